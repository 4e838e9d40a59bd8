"""The list of runs: live, filtered by the address, paged by key so that a million runs cost no more than fifty."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.http import Request
from accounts.models import Membership, Role
from accounts.policy import requires
from integrations.models import Process, Run, RunStatus
from integrations.models.run import OPEN, Trigger
from integrations.web.ledger import ledger_of
from integrations.web.tags import duration

A_PAGE = 50
COUNT_UP_TO = 1_000
STATUSES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("", "All", "", ()),
    ("in-progress", "In-Progress", "loader-2", OPEN),
    ("completed", "Completed", "circle-check", (RunStatus.COMPLETED,)),
    ("with-errors", "Completed with Errors", "alert-triangle", (RunStatus.COMPLETED_WITH_ERRORS,)),
    ("failed", "Failed", "circle-x", (RunStatus.FAILED,)),
    ("cancelled", "Cancelled, Skipped", "ban", (RunStatus.CANCELLED, RunStatus.SKIPPED)),
)
PERIODS = {"day": ("Last 24 hours", 1), "week": ("Last 7 days", 7), "month": ("Last 30 days", 30)}
FILTERS = ("status", "process", "trigger", "by", "period", "q")
CHOICES_LISTED = 200


@dataclass(frozen=True)
class Pill:
    label: str
    icon: str
    url: str
    count: str
    current: bool


@dataclass(frozen=True)
class Filter:
    """A pill over the list. `chosen` says what it lets through, `url` takes it off; otherwise it offers `choices`,
    words and addresses."""

    key: str
    label: str
    chosen: str
    url: str
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Line:
    """A run as the list shows it: OK is delivered and unchanged, failed is failed, unknown and held."""

    run: Run
    kind: str
    ok: int
    failed: int
    total: int | None
    took: timedelta | None
    rate: float | None
    left: timedelta | None
    doing: str

    @property
    def news(self) -> str:
        """What the list says below the name."""
        return f"{self.doing}, about {duration(self.left)} left" if self.left else self.doing


@require_GET
@requires(Role.VIEWER)
def runs(request: Request) -> HttpResponse:
    """List runs, the newest first; `run` in the address is the selected one. With htmx only the live part is given."""
    wanted = {name: request.GET.get(name, "").strip()[:200] for name in FILTERS}
    found = _filtered(wanted)
    listed, newer, older = _page(request, found)
    picked = next((run for run in listed if str(run.number) == request.GET.get("run")), None)
    pills = _pills(wanted)
    context = {
        "lines": [line_of(run) for run in listed],
        "picked": picked,
        "ledger": ledger_of(picked) if picked else None,
        "pills": pills,
        "count": next((pill.count for pill in pills if pill.current), pills[0].count),
        "filters": _filters(request, wanted),
        "wanted": wanted,
        "filtered": any(wanted.values()),
        "now": timezone.now(),
        "newer": f"?{urlencode({**_only(wanted), 'after': newer})}" if newer else "",
        "older": f"?{urlencode({**_only(wanted), 'before': older})}" if older else "",
        "live": any(run.is_open for run in listed) or not newer,
        "here": request.get_full_path(),
        "may_run": Role(request.membership.role).includes(Role.OPERATOR),
    }
    return render(request, "runs/_table.html" if request.htmx.target == "runs" else "runs/runs.html", context)


def line_of(run: Run) -> Line:
    """Give a run as a line of the list."""
    ok = run.documents_created + run.documents_updated + run.documents_unchanged
    failed = run.documents_failed + run.documents_unknown + run.documents_held
    took = (run.ended_at or timezone.now()) - run.started_at if run.started_at else None
    rate, left = _pace(run, ok + failed + run.documents_restricted, took)
    kind = "child" if run.parent_id else "integration"
    return Line(run, kind, ok, failed, run.source_documents, took, rate, left, _doing(run))


def _pace(run: Run, accounted: int, took: timedelta | None) -> tuple[float | None, timedelta | None]:
    """Give documents a second and the time left, of a run that is going on and has shown a pace."""
    seconds = took.total_seconds() if took else 0
    if run.status != RunStatus.IN_PROGRESS or seconds < 1 or not accounted or run.source_documents is None:
        return None, None
    rate = accounted / seconds
    return rate, timedelta(seconds=max(run.source_documents - accounted, 0) / rate)


def _doing(run: Run) -> str:
    if run.status == RunStatus.QUEUED:
        return run.get_waiting_for_display() or "waiting for a worker"
    if run.status != RunStatus.IN_PROGRESS:
        return run.reason
    return "cancelling" if run.cancel_requested_at else STAGES.get(run.stage, run.stage)


STAGES = {"read": "reading the source", "deliver": "sending documents", "": "starting"}


def _filtered(wanted: dict[str, str]) -> QuerySet[Run]:
    found: QuerySet[Run] = Run.objects.select_related("process", "requested_by", "version")
    statuses = next((item[3] for item in STATUSES if item[0] == wanted["status"]), ())
    if statuses:
        found = found.filter(status__in=statuses)
    if wanted["process"]:
        found = found.filter(process__name=wanted["process"])
    if wanted["trigger"]:
        found = found.filter(trigger=wanted["trigger"])
    if wanted["by"]:
        found = found.filter(requested_by__email=wanted["by"])
    if wanted["period"] in PERIODS:
        found = found.filter(queued_at__gte=timezone.now() - timedelta(days=PERIODS[wanted["period"]][1]))
    if wanted["q"]:
        said = Q(name__icontains=wanted["q"]) | Q(reason__icontains=wanted["q"])
        said |= Q(source_file__name__icontains=wanted["q"])
        if wanted["q"].isdecimal() and len(wanted["q"]) < 18:
            said |= Q(number=int(wanted["q"]))
        found = found.filter(said)
    return found


def _page(request: Request, found: QuerySet[Run]) -> tuple[list[Run], int | None, int | None]:
    """Give a page of runs, and the numbers from which newer and older ones are reached."""
    before, after = (request.GET.get(name, "") for name in ("before", "after"))
    if after.isdecimal() and len(after) < 18:
        listed = list(found.filter(number__gt=int(after)).order_by("number")[: A_PAGE + 1])
        newer = listed[A_PAGE - 1].number if len(listed) > A_PAGE else None
        listed = listed[:A_PAGE][::-1]
        return listed, newer, listed[-1].number if listed else None
    if before.isdecimal() and len(before) < 18:
        found = found.filter(number__lt=int(before))
    else:
        before = ""
    listed = list(found.order_by("-number")[: A_PAGE + 1])
    older = listed[A_PAGE - 1].number if len(listed) > A_PAGE else None
    listed = listed[:A_PAGE]
    return listed, listed[0].number if before and listed else None, older


def _pills(wanted: dict[str, str]) -> list[Pill]:
    """Count each status within the other filters, but never further than a person would."""
    pills = []
    for key, label, icon, _ in STATUSES:
        choice = {**wanted, "status": key}
        counted = len(_filtered(choice).order_by().values_list("pk", flat=True)[: COUNT_UP_TO + 1])
        count = f"{COUNT_UP_TO:,}+" if counted > COUNT_UP_TO else f"{counted:,}"
        pills.append(Pill(label, icon, _address(choice), count, key == wanted["status"]))
    return pills


def _filters(request: Request, wanted: dict[str, str]) -> list[Filter]:
    """Give the pills that narrow the list further, each with what it offers."""
    names = Process.objects.filter(trashed_at=None).order_by("name").values_list("name", flat=True)[:CHOICES_LISTED]
    members = Membership.objects.filter(company=request.company).select_related("user").order_by("user__email")
    offered: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("period", "Any time", {key: label for key, (label, _) in PERIODS.items()}),
        ("process", "Integration", {name: name for name in names}),
        ("trigger", "Trigger", {str(value): str(label) for value, label in Trigger.choices}),
        ("by", "By whom", {item.user.email: str(item.user) for item in members[:CHOICES_LISTED]}),
    )
    return [
        Filter(
            key,
            label,
            chosen=choices.get(wanted[key], wanted[key]),
            url=_address({**wanted, key: ""}),
            choices=tuple((words, _address({**wanted, key: value})) for value, words in choices.items()),
        )
        for key, label, choices in offered
    ]


def _address(wanted: dict[str, str]) -> str:
    # A bare “?” is the same page without any filter.
    return f"?{urlencode(_only(wanted))}"


def _only(wanted: dict[str, str]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if value}
