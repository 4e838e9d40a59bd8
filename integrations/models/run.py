"""One execution of a process: its row is the truth, and every status write in the product stands here.

Each move is one guarded statement. A worker's writes carry the epoch it claimed: once another epoch holds the run,
or it has ended, they change nothing and the worker learns it (`engine.errors.Fenced`).
"""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Min, Q, Value, When
from django.db.models.functions import Coalesce, Greatest, Now
from django.utils import timezone

from accounts.models import User
from accounts.scoping import CompanyManager, CompanyOwned
from integrations.models.process import Process, ProcessVersion
from integrations.models.stored_file import StoredFile

DEATHS_ALLOWED = 3
"""Workers that may die over one segment of a run before it is parked as Failed (`spec/50-trust.md`)."""


class RunStatus(models.TextChoices):
    """The stored words. Queued and in progress both show as In-Progress; the text says which."""

    QUEUED = "queued", "In-Progress"
    """Requested, not claimed. Leaves to in_progress, cancelled, skipped."""
    IN_PROGRESS = "in_progress", "In-Progress"
    """Claimed by a worker under a lease. Leaves to any ended status, or to itself under the next epoch."""
    COMPLETED = "completed", "Completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors", "Completed with Errors"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    SKIPPED = "skipped", "Skipped"


ENDED = (
    RunStatus.COMPLETED,
    RunStatus.COMPLETED_WITH_ERRORS,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
    RunStatus.SKIPPED,
)


class Trigger(models.TextChoices):
    MANUAL = "manual", "manual"
    RERUN = "rerun", "re-run"
    PARENT = "parent", "parent"


BY_PEOPLE = (Trigger.MANUAL, Trigger.RERUN)
"""The triggers of runs that a person started."""


class Waiting(models.TextChoices):
    """What an unfinished run waits for."""

    LOCK = "lock", "waiting for an earlier run of this integration"
    CHILD = "child", "waiting for a child run"
    RETRY = "retry", "waiting to send again what was not taken"


OPEN = (RunStatus.QUEUED, RunStatus.IN_PROGRESS)
BUCKETS = ("created", "updated", "unchanged", "restricted", "failed", "unknown", "held")


class RunQuerySet(models.QuerySet["Run"]):
    """Reads with product names, then every legal move. A move says from which state; elsewhere it changes nothing
    and gives False. Time is the database's, so that machines need not agree on it."""

    # ---- who is where -------------------------------------------------------------------------------------------

    def unfinished(self) -> "RunQuerySet":
        """Queued or in progress."""
        return self.filter(status__in=OPEN)

    def last_by_a_person(self, process: Process) -> "Run | None":
        """The newest run of `process` that a person started: the one that Re-Run repeats."""
        # One question a trigger: each is answered by the head of an index, however many runs schedules and parents made.
        newest = [self.filter(process=process, trigger=trigger).order_by("-number").first() for trigger in BY_PEOPLE]
        return max((run for run in newest if run is not None), key=lambda run: run.number, default=None)

    def held_in(self, run_id: int, epoch: int) -> "RunQuerySet":
        """The run, while `epoch` holds it: the fence that every write of a worker carries."""
        return self.filter(pk=run_id, epoch=epoch, status=RunStatus.IN_PROGRESS)

    def silent(self) -> "RunQuerySet":
        """Claimed, and nobody has beaten since the lease ran out: their worker is dead, stopped or cut off."""
        return self.filter(status=RunStatus.IN_PROGRESS, lease_until__lt=Now()).exclude(lease_owner="")

    def handed_back(self) -> "RunQuerySet":
        """In progress and in nobody's hands: their worker was told to stop, or yielded its slot."""
        return self.filter(status=RunStatus.IN_PROGRESS, lease_owner="")

    def performed_by_a_worker(self) -> "RunQuerySet":
        """Without children of an unfinished parent: those are performed by the parent's worker and nobody else."""
        return self.exclude(parent__status__in=OPEN)

    def free_to_start(self) -> "RunQuerySet":
        """Without those that wait for an earlier run of their process: one in progress, or an older one in line."""
        return self.filter(Q(exclusive=False) | Q(status=RunStatus.IN_PROGRESS) | _heads_a_free_line())

    # ---- moves into a worker's hands ----------------------------------------------------------------------------

    def claim_queued(self, run: "Run", *, owner: str) -> bool:
        """queued → in_progress. Raises `IntegrityError` when another exclusive run of the process is in progress."""
        claimed = self.filter(pk=run.pk, epoch=run.epoch, status=RunStatus.QUEUED)
        return claimed._claim(run, owner, started_at=Now())

    def claim_handed_back(self, run: "Run", *, owner: str) -> bool:
        """in_progress and handed back → in_progress under the next epoch. Nobody died."""
        return self.handed_back().filter(pk=run.pk, epoch=run.epoch)._claim(run, owner)

    def claim_silent(self, run: "Run", *, owner: str) -> bool:
        """in_progress with a silent lease → in_progress under the next epoch, one death more; not the last one
        allowed, which `park` takes."""
        claimed = self.silent().filter(pk=run.pk, epoch=run.epoch, deaths__lt=DEATHS_ALLOWED - 1)
        return claimed._claim(run, owner, deaths=F("deaths") + 1)

    def claim_child(self, run: "Run", *, owner: str) -> bool:
        """queued or in_progress → in_progress under the next epoch, for the worker that holds the parent.

        Whoever held the child before held the parent too, and has lost it: its lease need not run out first.
        """
        claimed = self.filter(pk=run.pk, epoch=run.epoch, status__in=OPEN).exclude(parent=None)
        return claimed._claim(run, owner, started_at=Coalesce("started_at", Now()))

    def _claim(self, run: "Run", owner: str, **fields: Any) -> bool:
        """Give the run to `owner` under the next epoch; the claim is the first beat. `run` follows when it succeeds."""
        claimed = self.update(
            status=RunStatus.IN_PROGRESS,
            epoch=run.epoch + 1,
            lease_owner=owner,
            lease_until=Now() + lease_time(),
            waiting_for="",
            yielded_at=None,
            **fields,
        )
        if claimed:
            run.refresh_from_db()
        return bool(claimed)

    # ---- moves of the worker that holds the run ------------------------------------------------------------------

    def beat(self, run_id: int, epoch: int) -> bool:
        """in_progress, same epoch: the lease begins anew."""
        return bool(self.held_in(run_id, epoch).update(lease_until=Now() + lease_time()))

    def note(self, run_id: int, epoch: int, **fields: Any) -> bool:
        """in_progress, same epoch: write facts about the run that move nothing (its stage, pinned source, totals)."""
        moving = fields.keys() & {"status", "epoch", "lease_owner", "lease_until", "ended_at", "deaths", "segments"}
        if moving:
            raise ValueError(f"{sorted(moving)} belong to a move of their own.")
        return bool(self.held_in(run_id, epoch).update(**fields))

    def survey(self, run_id: int, epoch: int, *, rows: int, documents: int, dropped: int) -> bool:
        """in_progress, same epoch: what the source holds, of it `dropped` rows that a rule leaves out of everything."""
        # Nothing is restricted before the survey, and a resumed run is surveyed again: so counted once.
        first = Case(When(source_rows=None, then=Value(dropped)), default=Value(0))
        return bool(
            self.held_in(run_id, epoch).update(
                source_rows=rows, source_documents=documents, rows_restricted=F("rows_restricted") + first
            )
        )

    def send(self, run_id: int, epoch: int, *, segment: int) -> bool:
        """in_progress, same epoch, the segments before it settled: the intent to send `segment`."""
        return bool(self.held_in(run_id, epoch).filter(segments=segment - 1).update(sending_segment=segment))

    def not_sent(self, run_id: int, epoch: int, *, segment: int) -> bool:
        """in_progress, same epoch: the intent to send `segment` is taken back, for nothing of it has left."""
        held = self.held_in(run_id, epoch).filter(segments=segment - 1, sending_segment=segment)
        return bool(held.update(sending_segment=None))

    def settle(
        self,
        run_id: int,
        epoch: int,
        *,
        segment: int,
        documents: Mapping[str, int],
        rows: Mapping[str, int],
        follow_ups: int = 0,
        variables: Mapping[str, Any] | None = None,
        task_ends: Mapping[str, Any] | None = None,
    ) -> bool:
        """in_progress, same epoch, the segments before it settled: `segment` is accounted by bucket, with the
        variables and the ends of tasks it left where they changed.

        Getting further forgives the deaths before: only a run that dies again and again in one place is parked.
        """
        held = self.held_in(run_id, epoch).filter(segments=segment - 1)
        fields = _added("documents", documents) | _added("rows", rows)
        if follow_ups:
            fields["follow_ups"] = F("follow_ups") + follow_ups
        if variables is not None:
            fields["variables"] = dict(variables)
        if task_ends is not None:
            fields["task_ends"] = dict(task_ends)
        return bool(held.update(segments=segment, sending_segment=None, deaths=0, **fields))

    def hand_back(self, run_id: int, epoch: int, *, yielded: bool = False) -> bool:
        """in_progress, same epoch → in_progress in nobody's hands: the next worker continues at once.

        A run that yielded its slot goes to the end of the line of those that wait.
        """
        return bool(
            self.held_in(run_id, epoch).update(lease_owner="", lease_until=Now(), yielded_at=Now() if yielded else None)
        )

    def hand_back_all(self, owner: str) -> int:
        """in_progress in the hands of `owner`, which ends now → in nobody's hands, wherever they stand. Gives how many."""
        held = self.filter(status=RunStatus.IN_PROGRESS, lease_owner=owner)
        return held.update(lease_owner="", lease_until=Now(), yielded_at=None)

    def finish(self, run_id: int, epoch: int, *, status: str, reason: str = "", code: str = "") -> bool:
        """in_progress, same epoch → an ended status. What was read and not accounted is held from now on."""
        if status not in ENDED:
            raise ValueError(f"{status} does not end a run.")
        return bool(self.held_in(run_id, epoch).update(status=status, reason=reason, error_code=code, **_at_rest()))

    # ---- moves of others ------------------------------------------------------------------------------------------

    def was_dispatched(self, run_id: int) -> bool:
        """queued or in_progress: a worker was rung for."""
        return bool(self.filter(pk=run_id, status__in=OPEN).update(dispatched_at=Now()))

    def wait_in_line(self) -> int:
        """queued: say of those that an earlier run of their process holds up what they wait for. Gives how many."""
        waiting = self.filter(~_heads_a_free_line(), status=RunStatus.QUEUED, waiting_for="", exclusive=True)
        # Looked up first: nothing is written, and nobody waits for the database's one writer, when nobody is new here.
        return waiting.update(waiting_for=Waiting.LOCK) if waiting.exists() else 0

    def cancel_queued(self, run: "Run", *, by: User | None) -> bool:
        """queued → cancelled, at once."""
        who = f"Cancelled by {by} before it started." if by else "Cancelled before it started."
        queued = self.filter(pk=run.pk, status=RunStatus.QUEUED)
        asked = {"cancel_requested_at": Now(), "cancel_requested_by": by}
        return bool(queued.update(status=RunStatus.CANCELLED, reason=who, **asked, **_at_rest()))

    def ask_to_cancel(self, run: "Run", *, by: User | None) -> bool:
        """in_progress, not asked yet: its worker ends it at the next segment."""
        running = self.filter(pk=run.pk, status=RunStatus.IN_PROGRESS, cancel_requested_at=None)
        return bool(running.update(cancel_requested_at=Now(), cancel_requested_by=by))

    def park(self, run: "Run") -> bool:
        """in_progress with a silent lease and its last death → failed, under an epoch that nobody holds."""
        dead = self.silent().filter(pk=run.pk, epoch=run.epoch, deaths__gte=DEATHS_ALLOWED - 1)
        reason = (
            f"{DEATHS_ALLOWED} workers died one after another over segment {run.segments + 1} of this run, so it is "
            f"not tried again. {run.doubt} Look into the log for the last stage, correct the cause, then re-run."
        ).replace("  ", " ")
        return bool(
            dead.update(
                status=RunStatus.FAILED,
                epoch=run.epoch + 1,
                deaths=F("deaths") + 1,
                reason=reason,
                error_code="died",
                **_at_rest(),
            )
        )


def _heads_a_free_line() -> Q:
    """The oldest of the exclusive runs of a process that are queued, where none is in progress. Each line is looked at
    once, by its index: asking every run for those before it would cost the square of their number."""
    exclusive = Run.objects.filter(exclusive=True).order_by()
    heads = exclusive.filter(status=RunStatus.QUEUED).values("process").annotate(head=Min("pk")).values("head")
    busy = exclusive.filter(status=RunStatus.IN_PROGRESS).values("process")
    return Q(pk__in=heads) & ~Q(process__in=busy)


def lease_time() -> timedelta:
    """How long a claim holds without a beat."""
    return timedelta(seconds=settings.LEASE_SECONDS)


def _added(what: str, counts: Mapping[str, int]) -> dict[str, Any]:
    unknown = counts.keys() - set(BUCKETS)
    if unknown:
        raise ValueError(f"{sorted(unknown)} are no buckets.")
    return {f"{what}_{bucket}": F(f"{what}_{bucket}") + count for bucket, count in counts.items() if count}


def _at_rest() -> dict[str, Any]:
    """The fields of a run that has ended: nobody holds it, and whatever was not accounted is held."""
    return {
        "ended_at": Now(),
        "lease_owner": "",
        "lease_until": None,
        "waiting_for": "",
        "yielded_at": None,
        "documents_held": F("documents_held") + _unaccounted("documents"),
        "rows_held": F("rows_held") + _unaccounted("rows"),
    }


def _unaccounted(what: str) -> Any:
    accounted = sum((F(f"{what}_{bucket}") for bucket in BUCKETS), start=Value(0))
    return Greatest(Coalesce(F(f"source_{what}"), accounted) - accounted, 0)


class Run(CompanyOwned):
    """One execution. Counters are kept by bucket, in documents and in rows; `source_…` is what was read."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    number = models.PositiveBigIntegerField()
    process = models.ForeignKey(Process, on_delete=models.PROTECT, related_name="runs", db_index=False)
    version = models.ForeignKey(ProcessVersion, on_delete=models.PROTECT, related_name="runs")
    name = models.CharField(max_length=200)
    trigger = models.CharField(max_length=12, choices=Trigger.choices, default=Trigger.MANUAL)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    source_file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, null=True, related_name="runs")
    """The pinned source: the upload itself, or the spooled rows of a query or folder file."""
    source_was_fetched = models.BooleanField(default=False)
    """True where the file lay behind the connection of the source, under the same name."""
    has_parents_rows = models.BooleanField(default=False)
    """True for a child that was given rows of its parent: `source_file` is their spool, whatever the plan's source."""

    status = models.CharField(max_length=24, choices=RunStatus.choices, default=RunStatus.QUEUED)
    waiting_for = models.CharField(max_length=12, choices=Waiting.choices, blank=True)
    reason = models.TextField(blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    exclusive = models.BooleanField(default=True)
    """False where the process allows several runs at once; the constraint below is the lock of all others."""

    queued_at = models.DateTimeField(default=timezone.now, editable=False)
    dispatched_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    epoch = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    deaths = models.PositiveSmallIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    yielded_at = models.DateTimeField(null=True)
    """When a run in nobody's hands gave its slot to others that waited; its place in line counts from here."""

    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children", db_index=False)
    parent_key = models.CharField(max_length=200, blank=True)
    """(task, stage, document) within the parent: a resumed parent never starts the same child twice."""

    parent_document = models.JSONField(null=True)
    """{column: value} of the parent's document that started this run, as far as its fields take them. Null for a run
    that no document started."""

    given = models.JSONField(default=dict)
    """{variable: value} that the run was asked for with."""
    changes = models.JSONField(null=True)
    """Of a run that reads changes only, known once its rows are pinned (`runs.changes.Changes`): since when, how far it
    came, how many rows were new and how many carried, and when it has ended, whether the watermark moved."""
    variables = models.JSONField(null=True)
    """The run's own copy of the global variables, as its last segment or task left them. Null before it started."""
    tables = models.JSONField(default=dict)
    """{table: {"name", "rows"}}: the rows of each translation table that this run translates by, from start to end."""
    passed = models.JSONField(default=list)
    """The tasks of the integration's stages that are done ("stage/name"): a resumed run does not do them again."""
    task_ends = models.JSONField(default=dict)
    """{"stage/name": {"done": n, "failed": n, "skipped": n, "said": sentence, "run": number of the last child}}: how
    often each task ended how, as far as the ledger goes, and what the last failure or child said."""

    stage = models.CharField(max_length=40, blank=True)
    batching = models.TextField(blank=True)
    """In words: whether scripts ran batch by batch or document by document, and why."""

    source_rows = models.PositiveBigIntegerField(null=True)
    source_documents = models.PositiveBigIntegerField(null=True)
    segments = models.PositiveIntegerField(default=0)
    sending_segment = models.PositiveIntegerField(null=True)
    """The segment whose intent is written: it may have left. Null when nothing is under way."""

    follow_ups = models.PositiveBigIntegerField(default=0)
    """Documents that arrived and whose tasks behind them failed: they stand in their bucket and count as errors."""

    documents_created = models.PositiveBigIntegerField(default=0)
    documents_updated = models.PositiveBigIntegerField(default=0)
    documents_unchanged = models.PositiveBigIntegerField(default=0)
    documents_restricted = models.PositiveBigIntegerField(default=0)
    documents_failed = models.PositiveBigIntegerField(default=0)
    documents_unknown = models.PositiveBigIntegerField(default=0)
    documents_held = models.PositiveBigIntegerField(default=0)
    rows_created = models.PositiveBigIntegerField(default=0)
    rows_updated = models.PositiveBigIntegerField(default=0)
    rows_unchanged = models.PositiveBigIntegerField(default=0)
    rows_restricted = models.PositiveBigIntegerField(default=0)
    rows_failed = models.PositiveBigIntegerField(default=0)
    rows_unknown = models.PositiveBigIntegerField(default=0)
    rows_held = models.PositiveBigIntegerField(default=0)

    objects: ClassVar = CompanyManager.from_queryset(RunQuerySet)()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "number"], name="one_run_of_a_number"),
            models.UniqueConstraint(
                fields=["process"], condition=Q(status="in_progress", exclusive=True), name="one_exclusive_run_at_once"
            ),
            models.UniqueConstraint(
                fields=["parent", "parent_key"], condition=~Q(parent_key=""), name="one_child_of_a_place"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "in_progress"], ended_at=None)
                | (~Q(status__in=["queued", "in_progress"]) & Q(ended_at__isnull=False)),
                name="ended_runs_say_when",
            ),
            models.CheckConstraint(
                condition=~Q(status="in_progress") | Q(lease_until__isnull=False), name="in_progress_has_a_lease"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["company", "-queued_at", "-id"], name="runs_newest_first"),
            models.Index(fields=["company", "status", "-number"], name="runs_by_status"),
            models.Index(fields=["company", "name"], name="runs_by_name"),
            models.Index(fields=["process", "-number"], name="runs_of_a_process"),
            models.Index(fields=["process", "trigger", "-number"], name="runs_of_a_process_by_trigger"),
            models.Index(fields=["company", "process", "status", "-number"], name="runs_of_a_process_by_status"),
            # Not partial: SQLite proves a condition only where the query spells it out.
            models.Index(fields=["status", "process", "exclusive", "id"], name="runs_in_line"),
            # Partial: nearly no run has a parent, and SQLite would look for those without one here.
            models.Index(fields=["parent"], condition=Q(parent__isnull=False), name="runs_of_a_parent"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name}"

    @property
    def doubt(self) -> str:
        """Say what nobody could settle: a segment whose worker ended while it was being sent. "" when there is none."""
        if self.sending_segment is None:
            return ""
        return (
            f"Segment {self.sending_segment} was being sent when its worker ended: some of its documents may have "
            "arrived at the destination, though they are held here. Look there before sending them again."
        )

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_balanced(self) -> bool:
        """True when every document and row that was read stands in exactly one bucket."""
        return all(
            (getattr(self, f"source_{what}") or 0) == sum(getattr(self, f"{what}_{bucket}") for bucket in BUCKETS)
            for what in ("documents", "rows")
        )
