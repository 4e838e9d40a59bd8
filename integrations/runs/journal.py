"""The ledger of a run, written by the worker that holds it.

Every call is one short transaction that begins with the fence: a worker whose epoch is over changes nothing and gets
`Fenced`. Nothing but rows is touched inside.
"""

import json
import math
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from integrations.engine.batch import Bucket, Document, Problem
from integrations.engine.errors import DefinitionError, Fenced
from integrations.engine.failpoint import failpoint
from integrations.engine.limits import out_of_time
from integrations.engine.ports import Position, Segment, Stop
from integrations.models import (
    DocumentOutcome,
    GivenNumbers,
    LedgerSegment,
    LogEntry,
    OutputFile,
    Process,
    RollingNumber,
    Run,
    RunStatus,
    StageEntry,
    StoredFile,
    TaskDeed,
)
from integrations.models.run import BUCKETS, Waiting
from integrations.runs.claims import PATIENCE, others_wait
from integrations.runs.drain import is_draining
from integrations.runs.key_filter import make_filter
from integrations.runs.lease import Lease
from integrations.runs.watermarks import changing

LETTERS = {
    Bucket.CREATED: "c",
    Bucket.UPDATED: "u",
    Bucket.UNCHANGED: "n",
    Bucket.RESTRICTED: "r",
    Bucket.FAILED: "f",
    Bucket.UNKNOWN: "?",
    Bucket.HELD: "h",
}
WELL = (RunStatus.COMPLETED, RunStatus.COMPLETED_WITH_ERRORS)
WITH_A_ROW = (Bucket.FAILED, Bucket.UNKNOWN)
ROWS_AT_ONCE = 500
KEYS_NAMED = 5
LOOK_FOR_OTHERS_EVERY = timedelta(seconds=1)


class Carried(NamedTuple):
    """The spooled rows of the documents that the next run has to deliver still, and how many those are."""

    file: StoredFile | None = None
    documents: int = 0


class Deadline(NamedTuple):
    """The moment at which the `minutes` of a run, or of one that it is a child of, are over."""

    at: datetime
    minutes: int


class RunJournal:
    """`engine.ports.Journal` on rows. One instance serves one claim of one run, from one thread."""

    def __init__(self, run: Run, lease: Lease, *, redact: Callable[[str], str] = str) -> None:
        self._run = run
        self._lease = lease
        self._redact = redact
        self.columns: tuple[str, ...] = ()
        """Names of the source's columns, for the rows of documents to repair. Known once the source is open."""
        self.task_ends: dict[str, dict[str, Any]] | None = None
        """How the tasks of the run ended so far, written with its segments. None where it has no task."""
        self.carried = Carried()
        """What a run that reads changes leaves to the next one."""
        self.deadline: Deadline | None = None
        """When the run has to have ended; None where it may take its time."""
        self.gives_numbers = False
        """True where the run takes rolling numbers, so that those of what is accounted for are let go."""
        self._lines: list[LogEntry] = []
        self._claimed_at = time.monotonic()
        self._first_settled_at: float | None = None
        self._looked_at = self._claimed_at

    # ---- what the engine asks ------------------------------------------------------------------------------------

    def position(self) -> Position:
        run = self._fresh()
        return Position(
            segments=run.segments,
            documents=sum(getattr(run, f"documents_{bucket}") for bucket in BUCKETS),
            sending=run.sending_segment,
            errors=run.documents_failed + run.documents_unknown + run.documents_held,
            follow_ups=run.follow_ups,
        )

    def stop(self) -> Stop | None:
        return self.told_to_stop() or (Stop.YIELDING if self._should_yield() else None)

    def told_to_stop(self) -> Stop | None:
        """Say whether somebody waits for the run to end: in the middle of a segment, too."""
        if self._fresh().cancel_requested_at:
            return Stop.CANCELLED
        return Stop.DRAINING if is_draining() else None

    def overdue(self) -> str:
        if self.deadline is None or timezone.now() < self.deadline.at:
            return ""
        return out_of_time(self.deadline.minutes)

    # ---- what the engine tells -----------------------------------------------------------------------------------

    def surveyed(self, *, rows: int, documents: int, dropped: int) -> None:
        with self._writing():
            self._hold_or_drop(
                Run.objects.survey(
                    self._run.pk, self._lease.epoch, rows=rows + dropped, documents=documents, dropped=dropped
                )
            )

    def entered(self, stage: str, message: str = "") -> None:
        with self._writing():
            self._note(stage=_fitting(stage, 40))
            self._close_stages()
            StageEntry.objects.create(
                company=self._run.company,
                run=self._run,
                epoch=self._lease.epoch,
                stage=_fitting(stage, 40),
                message=message,
            )

    def sending(self, segment: int) -> None:
        with self._writing():
            self._hold_or_drop(Run.objects.send(self._run.pk, self._lease.epoch, segment=segment))
        failpoint("journal.sending")

    def not_sent(self, segment: int) -> None:
        with self._writing():
            self._hold_or_drop(Run.objects.not_sent(self._run.pk, self._lease.epoch, segment=segment))

    def settle(self, segment: Segment) -> None:
        # Counted and packed before the transaction begins: it holds the database's one writer on SQLite.
        documents, rows = _counted(segment)
        page = self._page(segment, documents, rows)
        outcomes = list(self._outcomes(segment))
        failpoint("journal.before_settle")
        with self._writing():
            self._hold_or_drop(
                Run.objects.settle(
                    self._run.pk,
                    self._lease.epoch,
                    segment=segment.number,
                    documents=documents,
                    rows=rows,
                    follow_ups=len(segment.follow_ups),
                    variables=segment.variables,
                    task_ends=self.task_ends,
                )
            )
            page.save(force_insert=True)
            DocumentOutcome.objects.bulk_create(outcomes, batch_size=ROWS_AT_ONCE)
            if self.gives_numbers:
                GivenNumbers.objects.filter(run=self._run, last_document__lte=page.last_document).delete()
            failpoint("journal.in_settle")
        failpoint("journal.settled")
        self._first_settled_at = self._first_settled_at or time.monotonic()

    def waiting(self, waits: bool) -> None:
        self.note(waiting_for=Waiting.RETRY if waits else "")

    def log(self, level: str, message: str, *, stage: str = "", document: str = "") -> None:
        """Keep a line of the run's log. It is written with the next thing that is, so that lines cost no commits."""
        self._lines.append(
            LogEntry(
                company=self._run.company,
                run=self._run,
                level=level,
                stage=_fitting(stage, 40),
                document=_fitting(document, 400),
                message=storable(self._redact(message)),
            )
        )
        if len(self._lines) >= ROWS_AT_ONCE:
            with self._writing():
                self._hold_or_drop(Run.objects.beat(self._run.pk, self._lease.epoch))

    def redacted(self, text: str) -> str:
        """Give `text` without the secrets of the run's connections and variables."""
        return self._redact(text)

    # ---- what the performer tells --------------------------------------------------------------------------------

    def note(self, **fields: Any) -> None:
        """Write facts on the run under the fence: its pinned source, how it batches."""
        with self._writing():
            self._note(**fields)

    def deed_begins(self, place: str, steps: Any = None) -> None:
        """Write that a task is about to do something outside, and in which steps, durable before it does."""
        with self._deeds():
            TaskDeed.objects.create(company=self._run.company, run=self._run, place=place, value=steps)

    def deed_is_done(self, place: str, value: str | None) -> None:
        with self._deeds():
            TaskDeed.objects.filter(run=self._run, place=place).update(done=True, value=value)

    def deed_left_nothing(self, place: str) -> None:
        """Write that what a task had begun was not done for sure: whoever continues may do it."""
        with self._deeds():
            TaskDeed.objects.filter(run=self._run, place=place).delete()

    def output(self, number: int, **fields: Any) -> None:
        """Write where the file of a line is on its way, under the fence."""
        with self._writing():
            self._hold_or_drop(Run.objects.beat(self._run.pk, self._lease.epoch))
            OutputFile.objects.update_or_create(
                company=self._run.company, run=self._run, number=number, defaults=fields
            )

    def take_numbers(self, sequence: str, place: str, wanted: Sequence[tuple[int, int]]) -> dict[int, str]:
        """Take a number for each (document, row), and keep under the fence for whom: by row."""
        with self._writing():
            self._hold_or_drop(Run.objects.beat(self._run.pk, self._lease.epoch))
            try:
                taken = RollingNumber.take(sequence, len(wanted))
            except RollingNumber.DoesNotExist:
                raise DefinitionError(
                    f"The rolling number of {place.rpartition('/')[2]} no longer exists. Choose another one in the mapping.",
                    code="definition.number",
                ) from None
            numbers = {row: number for (_, row), number in zip(wanted, taken, strict=True)}
            last = max(document for document, _ in wanted)
            GivenNumbers.objects.create(
                company=self._run.company, run=self._run, place=place, last_document=last, numbers=numbers
            )
        failpoint("journal.numbers")
        return numbers

    def finish(self, *, status: str, reason: str, code: str) -> None:
        """End the run. One that calls itself complete while its buckets do not add up is Failed, `unbalanced`.

        One that read changes moves the watermark of its process, if it ends well, and leaves it what is carried on.
        """
        with self._writing():
            run = self._fresh()
            if status in WELL and not run.is_balanced:
                status, code = RunStatus.FAILED, "unbalanced"
                reason = (
                    f"The ledger does not balance: {_difference(run)}. {_named(run)} Nothing more was sent. "
                    "Keep this run and ask an administrator to look into its log."
                )
            else:
                reason = f"{reason} {run.doubt}".strip()
            if run.changes and status in WELL:
                self._move_watermark(run, run.changes)
            self._close_stages()
            if self.gives_numbers:
                GivenNumbers.objects.filter(run=self._run).delete()
            self._hold_or_drop(
                Run.objects.finish(
                    self._run.pk,
                    self._lease.epoch,
                    status=status,
                    reason=storable(self._redact(reason)),
                    code=_fitting(code, 60),
                )
            )

    def keep(self, values: Mapping[str, Any]) -> None:
        """Leave values of variables to the later runs of the process."""
        if not values:
            return
        with self._writing():
            self._hold_or_drop(Run.objects.beat(self._run.pk, self._lease.epoch))
            process = Process.objects.select_for_update().get(pk=self._run.process_id)
            Process.objects.filter(pk=process.pk).update(kept_values=process.kept_values | dict(values))

    def hand_back(self, *, yielded: bool) -> None:
        """Give the run to whoever comes next, at once."""
        with self._writing():
            self._close_stages()
            self._hold_or_drop(Run.objects.hand_back(self._run.pk, self._lease.epoch, yielded=yielded))

    # ---- inside --------------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._lease.check()
        with transaction.atomic():
            yield
            if self._lines:
                # The fence of the statements before holds for these lines too.
                LogEntry.objects.bulk_create(self._lines, batch_size=ROWS_AT_ONCE)
        self._lines.clear()

    @contextmanager
    def _deeds(self) -> Iterator[None]:
        with self._writing():
            self._hold_or_drop(Run.objects.beat(self._run.pk, self._lease.epoch))
            yield

    def _note(self, **fields: Any) -> None:
        self._hold_or_drop(Run.objects.note(self._run.pk, self._lease.epoch, **fields))

    def _hold_or_drop(self, held: bool) -> None:
        if not held:
            raise Fenced("Another worker holds this run, or it has ended.")

    def _fresh(self) -> Run:
        self._lease.check()
        run = Run.objects.held_in(self._run.pk, self._lease.epoch).first()
        if run is None:
            raise Fenced("Another worker holds this run, or it has ended.")
        return run

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._redacted(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._redacted(item) for item in value]
        return self._redact(value) if isinstance(value, str) else value

    def _move_watermark(self, run: Run, changes: dict[str, Any]) -> None:
        with changing(run.process) as watermark:
            moved = watermark.move(
                run,
                column=changes["column"],
                since=changes["revision"],
                to=changes["reached"],
                carried=self.carried.file,
                documents=self.carried.documents,
            )
        self._note(changes={**changes, "moved": moved})

    def _close_stages(self) -> None:
        StageEntry.objects.filter(run=self._run, ended_at=None).update(ended_at=Now())

    def _should_yield(self) -> bool:
        """Others go first once this run has delivered as long as it took to start, and at least a while: a run is
        never started over and over to deliver one segment."""
        now = time.monotonic()
        if self._first_settled_at is None or self._run.parent_id is not None:
            return False
        started_in = self._first_settled_at - self._claimed_at
        if now - self._first_settled_at < max(started_in, PATIENCE.total_seconds()):
            return False
        if now - self._looked_at < LOOK_FOR_OTHERS_EVERY.total_seconds():
            return False
        self._looked_at = now
        return others_wait(self._run)

    def _page(self, segment: Segment, documents: Mapping[str, int], rows: Mapping[str, int]) -> LedgerSegment:
        keys = [document.key for document in segment.documents]
        return LedgerSegment(
            company=self._run.company,
            run=self._run,
            number=segment.number,
            epoch=self._lease.epoch,
            first_document=segment.first_document,
            last_document=segment.first_document + len(keys) - 1,
            documents=documents,
            rows=rows,
            lines=[_by_word(line) for line in segment.line_counts],
            keys=pack_keys(keys, segment.buckets),
            key_filter=make_filter(keys),
        )

    def _outcomes(self, segment: Segment) -> Iterator[DocumentOutcome]:
        for index, (document, bucket) in enumerate(zip(segment.documents, segment.buckets, strict=True)):
            if bucket not in WITH_A_ROW and index not in segment.follow_ups:
                continue
            problem = (
                segment.follow_ups.get(index)
                or segment.problems.get(index)
                or Problem(sentence=f"This document is {bucket}.")
            )
            yield self._outcome(document, bucket, problem, segment.values.get(index, []))

    def _outcome(
        self, document: Document, bucket: Bucket, problem: Problem, records: list[dict[str, Any]]
    ) -> DocumentOutcome:
        return DocumentOutcome(
            company=self._run.company,
            run=self._run,
            document=document.number,
            key=_fitting(document.key, 400),
            bucket=str(bucket),
            rows=[
                {"number": number, "values": _plain(dict(zip(self.columns, row, strict=False)))}
                for number, row in zip(document.row_numbers, document.rows, strict=True)
            ],
            records=[self._redacted(_plain(record)) for record in records],
            sentence=storable(self._redact(problem.sentence)),
            cause=_fitting(self._redact(problem.cause or problem.sentence), 300),
            code=_fitting(problem.code, 60),
            stage=_fitting(problem.where.stage, 40),
            column=_fitting(problem.where.column, 200),
            answer=storable(self._redact(problem.answer)),
        )


def pack_keys(keys: Iterable[str], buckets: Iterable[Bucket]) -> bytes:
    """Pack the keys of a segment and the bucket of each (see `LedgerSegment.keys`)."""
    letters = "".join(map(LETTERS.__getitem__, buckets))
    return zlib.compress(json.dumps(list(keys)).encode() + b"\0" + letters.encode(), level=1)


def unpack_keys(packed: bytes) -> list[tuple[str, Bucket]]:
    """Give the keys of a segment, each with its bucket, in the order of the documents."""
    keys, letters = zlib.decompress(packed).split(b"\0")
    buckets = {letter: bucket for bucket, letter in LETTERS.items()}
    return list(zip(json.loads(keys), (buckets[letter] for letter in letters.decode()), strict=True))


def storable(text: str) -> str:
    """Give `text` as every database stores it: NUL shown as its symbol, halves of characters replaced."""
    return text.replace("\0", "␀").encode("utf-8", "replace").decode()


def _fitting(text: str, length: int) -> str:
    return storable(text)[:length]


def _plain(value: Any) -> Any:
    """Give mapped values as JSON holds them: what JSON does not know becomes its text."""
    if isinstance(value, dict):
        return {storable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return storable(str(value))


def _counted(segment: Segment) -> tuple[dict[str, int], dict[str, int]]:
    documents = Counter(segment.buckets)
    rows = Counter(documents)
    for document, bucket in zip(segment.documents, segment.buckets, strict=True):
        if (more := len(document.row_numbers) - 1) > 0:
            rows[bucket] += more
    return _by_word(documents), _by_word(rows)


def _by_word(counts: Mapping[Bucket, int]) -> dict[str, int]:
    return {str(bucket): count for bucket, count in counts.items()}


def _named(run: Run) -> str:
    """Name the keys that an unbalanced ledger holds twice, or how far it goes."""
    seen: set[str] = set()
    twice: list[str] = []
    last = ""
    for page in LedgerSegment.objects.filter(run=run).order_by("number").values_list("keys", flat=True).iterator():
        for key, _ in unpack_keys(bytes(page)):
            if key in seen:
                twice.append(key)
            seen.add(key)
            last = key
        if len(twice) >= KEYS_NAMED:
            break
    if twice:
        return f"Accounted for more than once: {', '.join(twice[:KEYS_NAMED])}."
    return f"The last document accounted for is {last}." if last else "No document is accounted for."


def _difference(run: Run) -> str:
    parts = []
    for what in ("documents", "rows"):
        read = getattr(run, f"source_{what}") or 0
        accounted = sum(getattr(run, f"{what}_{bucket}") for bucket in BUCKETS)
        if read != accounted:
            parts.append(f"{read} {what} read, {accounted} accounted")
    return " and ".join(parts)
