"""The list of runs: live, filtered by the address, paged by key so that a million runs cost no more than fifty.

Filters and orders that no index serves look at so many runs at once; *Older* goes on from there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.http import Request
from accounts.models import Membership, Role, User
from accounts.policy import requires
from integrations.forms.stages import STAGES as TASK_STAGES
from integrations.models import Process, ProcessVersion, Run, RunStatus, RunsView
from integrations.models.run import OPEN, Trigger
from integrations.runs.find import failed_with_key, holding_key
from integrations.web.ledger import ledger_of
from integrations.web.reads import read_again, takes_file
from integrations.web.runs_columns import BY_KEY, COLUMNS, NAME, STARTED, Column, chosen
from integrations.web.tags import duration

A_PAGE = 50
READY_LISTED = 10
COUNT_UP_TO = 10_000
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
KINDS = {"integration": "integration", "child": "child"}
FILTERS = ("status", "process", "kind", "trigger", "by", "period", "q")
WITHOUT_INDEX = ("kind", "trigger", "by", "q")
KEPT = (*FILTERS, "sort", "columns")
"""What an address keeps from page to page, and a saved view keeps of it."""
EVERY = "view=all"
CHOICES_LISTED = 200
OLDER_NAMED = 10


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
    def file(self) -> str:
        """The name of the file that the run reads, where it reads one."""
        return self.run.source_file.name if self.run.source_file and takes_file(self.run) else ""

    @property
    def delivered(self) -> int:
        return self.run.documents_created + self.run.documents_updated

    @property
    def news(self) -> str:
        """What the list says below the name."""
        return f"{self.doing}, about {duration(self.left)} left" if self.left else self.doing


@dataclass(frozen=True)
class Page:
    """A page of runs, and the addresses of its neighbours. `sought` is the first and the last number that were looked
    at; None when it was all of them. `further` looks among the runs before those."""

    runs: list[Run]
    newer: str
    older: str
    further: str
    sought: tuple[int, int] | None
    hits: frozenset[int]


@dataclass(frozen=True)
class Head:
    """The head of a column: `url` sorts by it, `sorted` is how it is sorted by now, in the words of ARIA."""

    column: Column
    url: str
    sorted: str


@require_GET
@requires(Role.VIEWER)
def runs(request: Request) -> HttpResponse:
    """List runs, the newest first; `run` in the address is the selected one. With htmx only the live part is given."""
    if (
        not request.GET
        and not request.htmx
        and (view := RunsView.objects.filter(user=request.user, is_default=True).first())
    ):
        return redirect(f"{reverse('runs')}?{view.query or EVERY}")
    wanted = {name: request.GET.get(name, "").strip()[:200] for name in KEPT}
    page = _page(request, wanted)
    columns = chosen(request.user, wanted["columns"])
    picked = next((run for run in page.runs if str(run.number) == request.GET.get("run")), None)
    may_run = Role(request.membership.role).includes(Role.OPERATOR)
    filtered = any(wanted[name] for name in FILTERS)
    is_empty = not page.runs and not filtered
    pills = _pills(wanted, page)
    context = {
        "lines": [line_of(run) for run in page.runs],
        "heads": _heads(wanted, columns),
        "columns": columns,
        "picked": picked,
        "ledger": ledger_of(picked) if picked else None,
        "again": read_again(picked) if picked and not picked.is_open else "",
        "pills": pills,
        "count": next((pill.count for pill in pills if pill.current), pills[0].count),
        "filters": _filters(request, wanted),
        "wanted": wanted,
        "filtered": filtered,
        "now": timezone.now(),
        "page": page,
        "older_with_key": _failed_before(wanted["q"], page),
        # A sorted list holds still: what changes in it changes its place.
        "live": not _sort_of(wanted)[0] and (any(run.is_open for run in page.runs) or not page.newer),
        "here": request.get_full_path(),
        "may_run": may_run,
        "ready": ready(request.user)[:READY_LISTED] if may_run and is_empty else (),
    }
    if request.htmx.target == "runs":
        return render(request, "runs/_table.html", context)
    offered = {
        "all_columns": [column for column in COLUMNS if column.key != NAME],
        "view_query": urlencode(_only({**wanted, "columns": ",".join(column.key for column in columns)})),
        "views": list(RunsView.objects.filter(user=request.user)),
    }
    return render(request, "runs/runs.html", context | offered)


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


def _filtered(wanted: dict[str, str], hits: frozenset[int] = frozenset()) -> QuerySet[Run]:
    """The runs that fit what is `wanted`; `hits` are the ids of those that hold the key that is looked for."""
    found: QuerySet[Run] = Run.objects.select_related("process", "requested_by", "version", "source_file")
    statuses = next((item[3] for item in STATUSES if item[0] == wanted["status"]), ())
    if statuses:
        found = found.filter(status__in=statuses)
    if wanted["process"]:
        found = found.filter(process__public_id=wanted["process"]) if is_uuid(wanted["process"]) else found.none()
    if wanted["kind"]:
        found = found.filter(parent__isnull=wanted["kind"] != "child")
    if wanted["trigger"]:
        found = found.filter(trigger=wanted["trigger"])
    if wanted["by"]:
        found = found.filter(requested_by__email=wanted["by"])
    if wanted["period"] in PERIODS:
        found = _since(found, timezone.now() - timedelta(days=PERIODS[wanted["period"]][1]))
    if wanted["q"]:
        said = Q(name__icontains=wanted["q"]) | Q(reason__icontains=wanted["q"]) | Q(pk__in=hits)
        said |= Q(source_file__name__icontains=wanted["q"])
        if (number := _number(wanted["q"])) is not None:
            said |= Q(number=number)
        found = found.filter(said)
    return found


def _since(found: QuerySet[Run], moment: datetime) -> QuerySet[Run]:
    """Runs requested since then, found by number: together with it, the indexes of all other filters serve."""
    later = Run.objects.filter(queued_at__gte=moment).order_by("queued_at", "pk")
    first = later.values_list("number", flat=True).first()
    # Not “at or after”: that would bring back the index by time, and with it a walk through the whole period.
    return found.none() if first is None else found.filter(number__gte=first).exclude(queued_at__lt=moment)


def _page(request: Request, wanted: dict[str, str]) -> Page:
    before, after, upto = (_number(request.GET.get(name, "")) for name in ("before", "after", "upto"))
    newest = Run.objects.order_by("-number").values_list("number", flat=True).first() or 0
    sort, _ = _sort_of(wanted)
    if sort:
        return _sorted_page(wanted, min(upto or newest, newest), before, after)
    low, high = (after + 1, newest) if after is not None else (1, newest if before is None else before - 1)
    sought, hits = None, frozenset[int]()
    if any(wanted[name] for name in WITHOUT_INDEX):
        low, high = (low, low + SOUGHT_AT_ONCE - 1) if after is not None else (high - SOUGHT_AT_ONCE + 1, high)
        hits, low, high = _with_key(wanted["q"], max(low, 1), min(high, newest), newest_first=after is None)
        sought = low, high
    found = _filtered(wanted, hits).filter(number__gte=low, number__lte=high)
    if after is not None:
        listed = list(found.order_by("number")[: A_PAGE + 1])
        newer = listed[A_PAGE - 1].number if len(listed) > A_PAGE else high if high < newest else None
        listed = listed[:A_PAGE][::-1]
        older: int | None = listed[-1].number if listed else low
    else:
        listed = list(found.order_by("-number")[: A_PAGE + 1])
        older = listed[A_PAGE - 1].number if len(listed) > A_PAGE else low if low > 1 else None
        listed = listed[:A_PAGE]
        newer = None if before is None else listed[0].number if listed else high
    return Page(
        listed,
        "" if newer is None else _address(wanted, after=newer),
        "" if older is None else _address(wanted, before=older),
        "",
        sought,
        hits,
    )


def _sorted_page(wanted: dict[str, str], upto: int, before: int | None, after: int | None) -> Page:
    """A page of the runs up to `upto`, in another order than by time: so many at once are sorted, and a page begins
    behind the run `before`, or ends at the run `after`, where those stand now."""
    column, falling = _sort_of(wanted)
    assert column is not None
    hits, low, high = _with_key(wanted["q"], max(upto - SOUGHT_AT_ONCE + 1, 1), upto, newest_first=True)
    among = _filtered(wanted, hits).filter(number__gte=low, number__lte=high).annotate(place=column.sort)
    backwards = after is not None
    at = before if after is None else after
    found = among
    mark = Run.objects.filter(number=at or 0).annotate(place=column.sort).values_list("place", "number").first()
    if mark is not None:
        sign = "lt" if falling != backwards else "gt"
        found = found.filter(Q(**{f"place__{sign}": mark[0]}) | Q(place=mark[0], **{f"number__{sign}": mark[1]}))
    direction = "-" if falling != backwards else ""
    listed: list[Run] = list(found.order_by(f"{direction}place", f"{direction}number")[: A_PAGE + 1])
    more, listed = len(listed) > A_PAGE, listed[:A_PAGE]
    if backwards:
        listed.reverse()
    has_newer, has_older = (more, True) if backwards else (at is not None, more)
    return Page(
        listed,
        _address(wanted, upto=high, after=listed[0].number) if has_newer and listed else "",
        _address(wanted, upto=high, before=listed[-1].number) if has_older and listed else "",
        _address(wanted, upto=low - 1) if low > 1 else "",
        (low, high) if low > 1 or wanted["q"] else None,
        hits,
    )


def _with_key(key: str, low: int, high: int, *, newest_first: bool) -> tuple[frozenset[int], int, int]:
    """Give the ids of the runs `low` to `high` that hold a document with this key, and how far that was looked for."""
    numbered = Run.objects.filter(number__gte=low, number__lte=high)
    # Numbers and ids are given in one order, under the lock of the company.
    first = numbered.order_by("number").values_list("pk", flat=True).first()
    if not key or first is None:
        return frozenset(), low, high
    last = numbered.order_by("-number").values_list("pk", flat=True)[0]
    found, reached = holding_key(key, first, last, newest_first=newest_first)
    if newest_first and reached > first:
        low = Run.objects.values_list("number", flat=True).get(pk=reached)
    elif not newest_first and reached < last:
        high = Run.objects.values_list("number", flat=True).get(pk=reached)
    return frozenset({*found, *(pk for pk in failed_with_key(key) if first <= pk <= last)}), low, high


def _failed_before(key: str, page: Page) -> list[int]:
    """Give the numbers of runs in which a document of this key failed, of those before the ones that were looked at."""
    if not key or page.sought is None or page.sought[0] <= 1:
        return []
    older = Run.objects.filter(pk__in=failed_with_key(key), number__lt=page.sought[0])
    return list(older.order_by("-number").values_list("number", flat=True)[:OLDER_NAMED])


def _sort_of(wanted: dict[str, str]) -> tuple[Column | None, bool]:
    """Give the column that the list is sorted by, and whether from the greatest down. None: the newest first."""
    column = BY_KEY.get(wanted["sort"].removeprefix("-"))
    if column is None or column.sort is None or wanted["sort"] == f"-{STARTED}":
        return None, True
    return column, wanted["sort"].startswith("-")


def _heads(wanted: dict[str, str], columns: tuple[Column, ...]) -> list[Head]:
    column, falling = _sort_of(wanted)
    now = column.key if column else STARTED
    heads = []
    for one in columns:
        # Figures are looked through from the greatest down, words from A.
        first = "-" if one.is_number or one.key == STARTED else ""
        turned = ("" if falling else "-") if one.key == now else first
        url = _address({**wanted, "sort": f"{turned}{one.key}"}) if one.sort is not None else ""
        heads.append(Head(one, url, ("descending" if falling else "ascending") if one.key == now else ""))
    return heads


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 18 else None


def _pills(wanted: dict[str, str], page: Page) -> list[Pill]:
    """Count each status within the other filters, but never further than a person would."""
    counts = None if page.sought is None else _counted(wanted, page)
    pills = []
    for key, label, icon, statuses in STATUSES:
        choice = {**wanted, "status": key}
        if counts is None:
            counted = _filtered(choice).order_by().values("pk")[: COUNT_UP_TO + 1].count()
            more = counted > COUNT_UP_TO
        else:
            counted = sum(count for status, count in counts.items() if status in statuses or not statuses)
            more = page.sought is not None and page.sought[0] > 1
        count = f"{min(counted, COUNT_UP_TO) if counts is None else counted:,}{'+' if more else ''}"
        pills.append(Pill(label, icon, _address(choice), count, key == wanted["status"]))
    return pills


def _counted(wanted: dict[str, str], page: Page) -> dict[str, int]:
    """Count by status what fits the other filters among the runs that the page looks at, in one pass."""
    assert page.sought is not None
    low, high = page.sought
    found = _filtered({**wanted, "status": ""}, page.hits).filter(number__gte=low, number__lte=high)
    return dict(found.order_by().values_list("status").annotate(Count("pk")))


def _filters(request: Request, wanted: dict[str, str]) -> list[Filter]:
    """Give the pills that narrow the list further, each with what it offers."""
    kept = Process.objects.kept().order_by("name").values_list("public_id", "name")
    names = {str(public_id): name for public_id, name in kept[:CHOICES_LISTED]}
    members = Membership.objects.filter(company=request.company).select_related("user").order_by("user__email")
    offered: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("period", "Any time", {key: label for key, (label, _) in PERIODS.items()}),
        ("process", "Integration", names),
        ("kind", "Kind", KINDS),
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


def _address(wanted: dict[str, str], **place: int) -> str:
    # Without anything it would lead to the view that a person has Runs open with.
    return f"?{urlencode({**_only(wanted), **place}) or EVERY}"


def _only(wanted: dict[str, str]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if value}
