"""The list of runs: live, filtered by the address, paged by key so that a million runs cost no more than fifty.

Filters that no index serves look at so many runs at once; *Older* goes on from there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.http import Request
from accounts.models import Membership, Role, User
from accounts.policy import requires
from integrations.forms.stages import STAGES as TASK_STAGES
from integrations.models import Process, ProcessVersion, Run, RunStatus
from integrations.models.run import OPEN, Trigger
from integrations.web.ledger import ledger_of
from integrations.web.reads import read_again
from integrations.web.tags import duration

A_PAGE = 50
READY_LISTED = 10
COUNT_UP_TO = 1_000
SOUGHT_AT_ONCE = 50_000
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
WITHOUT_INDEX = ("trigger", "by", "q")
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
    def delivered(self) -> int:
        return self.run.documents_created + self.run.documents_updated

    @property
    def news(self) -> str:
        """What the list says below the name."""
        return f"{self.doing}, about {duration(self.left)} left" if self.left else self.doing


@dataclass(frozen=True)
class Page:
    """A page of runs, and the numbers from which newer and older ones are reached. `sought` is the first and the last
    number that were looked at; None when it was all of them."""

    runs: list[Run]
    newer: int | None
    older: int | None
    sought: tuple[int, int] | None


@require_GET
@requires(Role.VIEWER)
def runs(request: Request) -> HttpResponse:
    """List runs, the newest first; `run` in the address is the selected one. With htmx only the live part is given."""
    wanted = {name: request.GET.get(name, "").strip()[:200] for name in FILTERS}
    page = _page(request, wanted)
    picked = next((run for run in page.runs if str(run.number) == request.GET.get("run")), None)
    may_run = Role(request.membership.role).includes(Role.OPERATOR)
    is_empty = not page.runs and not any(wanted.values())
    pills = _pills(wanted, page.sought)
    context = {
        "lines": [line_of(run) for run in page.runs],
        "picked": picked,
        "ledger": ledger_of(picked) if picked else None,
        "again": read_again(picked) if picked and not picked.is_open else "",
        "pills": pills,
        "count": next((pill.count for pill in pills if pill.current), pills[0].count),
        "filters": _filters(request, wanted),
        "wanted": wanted,
        "filtered": any(wanted.values()),
        "now": timezone.now(),
        "sought": page.sought,
        "newer": f"?{urlencode({**_only(wanted), 'after': page.newer})}" if page.newer is not None else "",
        "older": f"?{urlencode({**_only(wanted), 'before': page.older})}" if page.older is not None else "",
        "live": any(run.is_open for run in page.runs) or page.newer is None,
        "here": request.get_full_path(),
        "may_run": may_run,
        "ready": ready(request.user)[:READY_LISTED] if may_run and is_empty else (),
    }
    return render(request, "runs/_table.html" if request.htmx.target == "runs" else "runs/runs.html", context)


def ready(user: User) -> QuerySet[Process]:
    """The integrations that `user` can run, the last used first."""
    runnable = Exists(ProcessVersion.objects.filter(process=OuterRef("pk")))
    newest = Run.objects.filter(process=OuterRef("pk")).order_by("-number").values("queued_at")[:1]
    able = Process.objects.filter(runnable, trashed_at=None, is_active=True).annotate(last_run_at=Subquery(newest))
    return able.that_may_be_run_by(user).order_by(F("last_run_at").desc(nulls_last=True), "name")


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


STAGES = {
    "read": "reading the source",
    "deliver": "sending documents",
    "": "starting",
    **{str(stage): words.doing for stage, words in TASK_STAGES.items()},
}


def _filtered(wanted: dict[str, str]) -> QuerySet[Run]:
    found: QuerySet[Run] = Run.objects.select_related("process", "requested_by", "version")
    statuses = next((item[3] for item in STATUSES if item[0] == wanted["status"]), ())
    if statuses:
        found = found.filter(status__in=statuses)
    if wanted["process"]:
        found = found.filter(process__public_id=wanted["process"]) if is_uuid(wanted["process"]) else found.none()
    if wanted["trigger"]:
        found = found.filter(trigger=wanted["trigger"])
    if wanted["by"]:
        found = found.filter(requested_by__email=wanted["by"])
    if wanted["period"] in PERIODS:
        found = _since(found, timezone.now() - timedelta(days=PERIODS[wanted["period"]][1]))
    if wanted["q"]:
        said = Q(name__icontains=wanted["q"]) | Q(reason__icontains=wanted["q"])
        said |= Q(source_file__name__icontains=wanted["q"])
        if wanted["q"].isdecimal() and len(wanted["q"]) < 18:
            said |= Q(number=int(wanted["q"]))
        found = found.filter(said)
    return found


def _since(found: QuerySet[Run], moment: datetime) -> QuerySet[Run]:
    """Runs requested since then, found by number: together with it, the indexes of all other filters serve."""
    later = Run.objects.filter(queued_at__gte=moment).order_by("queued_at", "pk")
    first = later.values_list("number", flat=True).first()
    # Not “at or after”: that would bring back the index by time, and with it a walk through the whole period.
    return found.none() if first is None else found.filter(number__gte=first).exclude(queued_at__lt=moment)


def _page(request: Request, wanted: dict[str, str]) -> Page:
    before, after = (_number(request.GET.get(name, "")) for name in ("before", "after"))
    newest = Run.objects.order_by("-number").values_list("number", flat=True).first() or 0
    found, sought = _filtered(wanted), None
    low, high = (after + 1, newest) if after is not None else (1, newest if before is None else before - 1)
    if any(wanted[name] for name in WITHOUT_INDEX):
        low, high = (low, low + SOUGHT_AT_ONCE - 1) if after is not None else (high - SOUGHT_AT_ONCE + 1, high)
        sought = max(low, 1), high
    found = found.filter(number__gte=low, number__lte=high)
    if after is not None:
        listed = list(found.order_by("number")[: A_PAGE + 1])
        newer = listed[A_PAGE - 1].number if len(listed) > A_PAGE else high if high < newest else None
        listed = listed[:A_PAGE][::-1]
        return Page(listed, newer, listed[-1].number if listed else low, sought)
    listed = list(found.order_by("-number")[: A_PAGE + 1])
    older = listed[A_PAGE - 1].number if len(listed) > A_PAGE else low if low > 1 else None
    listed = listed[:A_PAGE]
    newer = None if before is None else listed[0].number if listed else high
    return Page(listed, newer, older, sought)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 18 else None


def _pills(wanted: dict[str, str], sought: tuple[int, int] | None) -> list[Pill]:
    """Count each status within the other filters, but never further than a person would."""
    counts = None if sought is None else _counted(wanted, sought)
    pills = []
    for key, label, icon, statuses in STATUSES:
        choice = {**wanted, "status": key}
        if counts is None:
            counted = len(_filtered(choice).order_by().values_list("pk", flat=True)[: COUNT_UP_TO + 1])
            more = counted > COUNT_UP_TO
        else:
            counted = sum(count for status, count in counts.items() if status in statuses or not statuses)
            more = sought is not None and sought[0] > 1
        count = f"{min(counted, COUNT_UP_TO) if counts is None else counted:,}{'+' if more else ''}"
        pills.append(Pill(label, icon, _address(choice), count, key == wanted["status"]))
    return pills


def _counted(wanted: dict[str, str], sought: tuple[int, int]) -> dict[str, int]:
    """Count by status what fits the other filters among the runs that the page looks at, in one pass."""
    found = _filtered({**wanted, "status": ""}).filter(number__gte=sought[0], number__lte=sought[1])
    return dict(found.order_by().values_list("status").annotate(Count("pk")))


def _filters(request: Request, wanted: dict[str, str]) -> list[Filter]:
    """Give the pills that narrow the list further, each with what it offers."""
    kept = Process.objects.kept().order_by("name").values_list("public_id", "name")
    names = {str(public_id): name for public_id, name in kept[:CHOICES_LISTED]}
    members = Membership.objects.filter(company=request.company).select_related("user").order_by("user__email")
    offered: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("period", "Any time", {key: label for key, (label, _) in PERIODS.items()}),
        ("process", "Integration", names),
        ("trigger", "Trigger", {str(value): str(label) for value, label in Trigger.choices}),
        ("by", "By whom", {item.user.email: str(item.user) for item in members[:CHOICES_LISTED]}),
    )
    return [
        Filter(
            key,
            label,
            chosen=choices.get(wanted[key]) or _named(key, wanted[key]),
            url=_address({**wanted, key: ""}),
            choices=tuple((words, _address({**wanted, key: value})) for value, words in choices.items()),
        )
        for key, label, choices in offered
    ]


def _named(key: str, value: str) -> str:
    """Give the words for a choice that is not offered, such as a process in the trash."""
    if key != "process" or not is_uuid(value):
        return value
    return Process.objects.filter(public_id=value).values_list("name", flat=True).first() or value


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _address(wanted: dict[str, str]) -> str:
    # A bare “?” is the same page without any filter.
    return f"?{urlencode(_only(wanted))}"


def _only(wanted: dict[str, str]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if value}
