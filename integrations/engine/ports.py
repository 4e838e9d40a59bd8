"""All that the engine knows of the world. Connectors, the script child and the journal stand behind these."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, runtime_checkable

from integrations.engine.batch import Bucket, Delivery, Document, MappedBatch, Problem, Row, RowBatch
from integrations.engine.plan import Lookup, Stage


class Source(Protocol):
    """Pinned rows: every `read` gives the same rows in the same order, so that resume and repair see what the run saw."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in source order. Raises `SourceError` when the header cannot be read."""

    def read(self) -> Iterator[RowBatch]:
        """Yield all rows from the start, lazily. Raises `SourceError` at the place that cannot be read."""

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """Names one segment of one run to a destination: the same over retries and resumes, with the holder's epoch.

    `token` + document number is the idempotency key of a send.
    """

    run: str
    token: str
    epoch: int
    segment: int
    in_doubt: bool = False
    """An earlier holder may have sent this segment already."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What a destination remembers of a run: the last segment it committed, with the answer given for it."""

    segment: int
    delivery: Delivery | None = None


class Destination(Protocol):
    """Takes mapped batches. One instance serves one run, from one thread."""

    batch_size: int
    """Documents a segment: fixed for a plan, so that a resumed run cuts the same segments."""

    settles: bool
    """True when `enter` can say exactly what was committed (a marker in the destination's own transaction)."""

    repeat_safe: bool
    """True when sending a document again changes nothing (an idempotency key, or an upsert by key)."""

    def enter(self, ticket: Ticket) -> Settled | None:
        """Shut out holders of an older epoch and give what this run committed last; None when nothing is known."""

    def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
        """Send the documents whose verdict is None and account for every document of the batch.

        One that was told to stop may account for the first documents alone, at least one: then none of the others
        has left. A ticket in doubt is answered whole.

        When this returns, what it calls delivered is durable there. Raises `Fenced` when a newer epoch has
        entered, `TransientError` when nothing of the batch was taken, `DefinitionError` when no batch ever will.
        """

    def close(self) -> None: ...


@runtime_checkable
class Completing(Protocol):
    """A destination where documents show together, once no more of them come: a file that is placed at the end."""

    def complete(self, *, whole: bool) -> Sequence[str]:
        """Let everything show that the ledger calls delivered, exactly once however often this is asked, and give
        sentences about it for the log. `whole` is False when the run ended before everything was attempted.

        Called before the tasks behind everything, also when nothing was ever delivered. Raises `WaybillError`.
        """


@dataclass(frozen=True, slots=True)
class Fault:
    """A script call that gave no answer: thrown, timed out, too large, no return. Costs its document only."""

    sentence: str
    code: str = "script"
    column: str = ""
    line: int | None = None


class Computed(NamedTuple):
    """One record's answer: whether to send it, and the calculated values in the order of the line's calculations."""

    send: bool
    values: Sequence[Any]


class Scripts(Protocol):
    """The script child of one run. Restriction and calculations of a document are one call."""

    def evaluate(self, documents: Sequence[Sequence[Sequence[Row]]]) -> Iterator[list[list[Computed]] | Fault]:
        """For each document (lines → records → source values) yield its answers in order, or the fault it met.

        What a document's scripts write into the run's variables stands there when its answer is given; the writes of
        one that met a fault never do.
        """

    def interrupt(self) -> None:
        """End the evaluation under way in another thread, which raises there. The tasks' scripts go on afterwards."""

    def close(self) -> None: ...


class Found(NamedTuple):
    """What a lookup found for one key: how many rows, and the result of the first of them as text.

    -1 rows with a `fault` where nothing can be said of this key, `passing` where it may be asked again.
    """

    rows: int
    value: str | None = None
    fault: str = ""
    passing: bool = False


class Lookups(Protocol):
    """The tables that the fields of a run are looked up in."""

    def find(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> Sequence[Found]:
        """Say for each key (a text for each match of `lookup`) what is there. Raises `WaybillError` with the reason
        for no answer."""


class Numbers(Protocol):
    """The sequences that fields of a run take their numbers from."""

    def take(self, sequence: str, place: str, wanted: Sequence[tuple[int, int]]) -> Sequence[str]:
        """Give the next number, as text, for each (document, row) at a `place` of the plan. What this run was given
        before, for a document that it does not account for yet, it is given again."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where the ledger stands: whole segments written, and the documents they account for.

    `sending` is the segment whose intent was written and which may have left; None when none may have.
    """

    segments: int = 0
    documents: int = 0
    sending: int | None = None
    errors: int = 0
    """Documents accounted for that count as errors."""
    follow_ups: int = 0
    """Documents that arrived and whose tasks behind them failed."""


class Stop(StrEnum):
    """Why a run should end at the next segment."""

    CANCELLED = "cancelled"
    DRAINING = "draining"
    YIELDING = "yielding"


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One accounted batch, as the engine tells it to the journal. Lists are parallel and cover every document."""

    number: int
    first_document: int
    documents: Sequence[Document]
    buckets: Sequence[Bucket]
    problems: dict[int, Problem]
    values: dict[int, list[dict[str, Any]]]
    """For each document with an error: one entry a record, {"line": name, "values": {target: value}}."""
    line_counts: list[dict[Bucket, int]]
    follow_ups: dict[int, Problem] = field(default_factory=dict)
    """Documents that arrived and whose tasks behind them failed: they stay delivered, and somebody has to look."""
    variables: Mapping[str, Any] | None = None
    """The run's variables after this segment, where they changed: a resumed run goes on with them."""


class Journal(Protocol):
    """Writes the ledger. Every call that writes is one short transaction guarded by the run's epoch, and raises
    `Fenced` when this worker no longer holds the run."""

    def position(self) -> Position: ...

    def surveyed(self, *, rows: int, documents: int, dropped: int) -> None:
        """Record what the whole source holds, known before anything is sent. A resumed run is surveyed again.

        `rows` belong to the documents; `dropped` ones were left out by a rule, and are restricted.
        """

    def entered(self, stage: str, message: str = "") -> None:
        """Record that the run is at this stage now (the timeline of the Run Summary)."""

    def sending(self, segment: int) -> None:
        """Write the intent, durable before a byte leaves."""

    def not_sent(self, segment: int) -> None:
        """Take the intent back: nothing of the segment has left."""

    def settle(self, segment: Segment) -> None:
        """Write the segment, its outcomes and the counters, in one transaction."""

    def log(self, level: str, message: str, *, stage: str = "", document: str = "") -> None: ...

    def stop(self) -> Stop | None:
        """Say whether the run should end at this segment, and why."""

    def waiting(self, waits: bool) -> None:
        """Tell that the run waits to send again what was not taken, or no longer does."""

    def overdue(self) -> str:
        """Say that the run took longer than it may; "" while it is in time."""


class TaskResult(StrEnum):
    """How the tasks of a stage ended. QUIT and CANCEL left the tasks behind that one undone."""

    GO_ON = "go_on"
    QUIT = "quit"
    CANCEL = "cancel"
    INTERRUPTED = "interrupted"
    """The run has to stop first; whoever continues it does the rest."""


@dataclass(frozen=True, kw_only=True)
class TaskEnd:
    """The end of a stage's tasks, and of the one that ended them: whether it failed, and what it said."""

    result: TaskResult = TaskResult.GO_ON
    failed: bool = False
    sentence: str = ""


class Tasks(Protocol):
    """The tasks of a process, called at their stages. What an end means for the document or the run, the engine says."""

    @property
    def stages(self) -> Collection[Stage]:
        """The stages that have a task at all: what has none costs nothing."""

    def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
        """Do the tasks of a stage in their order. At a stage of the integration, one that was done before a crash is
        not done again. Raises `Fenced` only."""
