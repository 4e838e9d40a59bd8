"""The world as the engine sees it, in memory: a source, scripts, destinations of each kind, a journal that can be cut."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from integrations.engine.batch import Bucket, Delivery, Document, MappedBatch, Problem, Row, RowBatch
from integrations.engine.errors import TransientError
from integrations.engine.execute import Outcome, execute
from integrations.engine.inputs import Inputs, Parent
from integrations.engine.limits import out_of_time
from integrations.engine.plan import (
    Aggregate,
    Column,
    DestinationSpec,
    FieldMap,
    Line,
    Lookup,
    Options,
    Plan,
    SourceSpec,
    Stage,
)
from integrations.engine.ports import (
    Computed,
    Fault,
    Found,
    Position,
    Segment,
    Settled,
    Stop,
    TaskEnd,
    TaskResult,
    Ticket,
)
from integrations.engine.variables import Variables


class Cut(BaseException):
    """The process ends here, as by kill -9: nothing after this line happens."""


class Rows:
    """A source of listed rows, `size` of them a batch."""

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Row], *, size: int = 7, defects: dict[int, str] | None = None
    ) -> None:
        self.columns = tuple(columns)
        self._rows, self._size, self._defects = list(rows), size, defects or {}

    def read(self) -> Iterator[RowBatch]:
        for at in range(0, len(self._rows), self._size):
            rows = self._rows[at : at + self._size]
            defects = {i: self._defects[at + i] for i in range(len(rows)) if at + i in self._defects}
            yield RowBatch(rows=[list(row) for row in rows], first_row=at + 1, defects=defects)

    def close(self) -> None: ...


class Functions:
    """Scripts as Python: `answer` gets the rows of a record and says (send, values), or a Fault for the document."""

    def __init__(self, answer: Callable[[Row], tuple[bool, list[Any]] | Fault]) -> None:
        self._answer = answer

    def evaluate(self, documents: Sequence[Sequence[Sequence[Row]]]) -> Iterator[list[list[Computed]] | Fault]:
        for document in documents:
            lines: list[list[Computed]] = []
            fault = None
            for records in document:
                answers = [self._answer(row) for row in records]
                fault = fault or next((item for item in answers if isinstance(item, Fault)), None)
                lines.append([Computed(*item) for item in answers if not isinstance(item, Fault)])
            yield fault or lines

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


class Tables:
    """Lookups in rows by their key; `asked` holds the keys of every question."""

    def __init__(self, rows: Mapping[tuple[str, ...], Sequence[str | None]]) -> None:
        self._rows = rows
        self.asked: list[list[tuple[str, ...]]] = []

    def find(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> list[Found]:
        self.asked.append(list(keys))
        found = [self._rows.get(key, ()) for key in keys]
        return [Found(len(values), values[0] if values else None) for values in found]


class Counted:
    """Numbers from 1 on; `given` holds the (document, row)s of every question."""

    def __init__(self) -> None:
        self.given: list[list[tuple[int, int]]] = []

    def take(self, sequence: str, place: str, wanted: Sequence[tuple[int, int]]) -> list[str]:
        before = sum(map(len, self.given))
        self.given.append(list(wanted))
        return [str(before + index) for index in range(1, len(wanted) + 1)]


class World:
    """A destination that outlives whoever writes to it. `received` counts how often each document arrived."""

    def __init__(self, *, settles: bool = False, repeat_safe: bool = False, size: int = 3) -> None:
        self.settles, self.repeat_safe, self.batch_size = settles, repeat_safe, size
        self.received: Counter[str] = Counter()
        self.records: list[list[list[Any]]] = []
        self.refuse: set[str] = set()
        self.busy = 0
        self.cut: Callable[[str], None] = lambda place: None
        self._settled = Settled(segment=0)

    def enter(self, ticket: Ticket) -> Settled | None:
        return self._settled if self.settles else None

    def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
        if self.busy:
            self.busy -= 1
            raise TransientError("The destination is busy.")
        self.cut("before the destination took it")
        buckets: list[Bucket] = []
        problems = {}
        for index, (document, verdict) in enumerate(zip(batch.documents, batch.verdicts, strict=True)):
            if verdict is not None:
                buckets.append(verdict)
            elif document.key in self.refuse:
                buckets.append(Bucket.FAILED)
                problems[index] = Problem(sentence=f"{document.key} is refused.")
            else:
                buckets.append(Bucket.UPDATED if self.received[document.key] else Bucket.CREATED)
                self.received[document.key] += 1
        self.records.append([list(map(list, line.records)) for line in batch.lines])
        counts = [Counter(buckets[owner] for owner in line.owners) for line in batch.lines]
        delivery = Delivery(buckets=buckets, problems=problems, line_counts=[dict(count) for count in counts])
        if self.settles:
            self._settled = Settled(segment=ticket.segment, delivery=delivery)
        self.cut("after the destination took it")
        return delivery

    def close(self) -> None: ...


class Ledger:
    """A journal in memory that survives a cut, as the database does."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.stages: list[str] = []
        self.lines: list[str] = []
        self.waits: list[bool] = []
        self.rows = self.documents = 0
        self.dropped = 0
        self.intent: int | None = None
        self.stop_at: dict[int, Stop] = {}
        self.overdue_at: int | None = None
        """After how many segments the time of the run is over."""
        self.cut: Callable[[str], None] = lambda place: None

    def position(self) -> Position:
        buckets = [bucket for segment in self.segments for bucket in segment.buckets]
        return Position(
            segments=len(self.segments),
            documents=len(buckets),
            sending=self.intent,
            errors=sum(bucket in (Bucket.FAILED, Bucket.UNKNOWN) for bucket in buckets),
        )

    def surveyed(self, *, rows: int, documents: int, dropped: int) -> None:
        self.rows, self.documents, self.dropped = rows, documents, dropped

    def entered(self, stage: str, message: str = "") -> None:
        self.stages.append(str(stage))

    def sending(self, segment: int) -> None:
        self.cut("before the intent")
        self.intent = segment
        self.cut("after the intent")

    def not_sent(self, segment: int) -> None:
        assert self.intent == segment
        self.intent = None

    def settle(self, segment: Segment) -> None:
        self.cut("before the ledger")
        assert segment.number == len(self.segments) + 1
        self.segments.append(segment)
        self.intent = None
        self.cut("after the ledger")

    def log(self, level: str, message: str, *, stage: str = "", document: str = "") -> None:
        self.lines.append(message)

    def stop(self) -> Stop | None:
        return self.stop_at.get(len(self.segments))

    def waiting(self, waits: bool) -> None:
        self.waits.append(waits)

    def overdue(self) -> str:
        late = self.overdue_at is not None and len(self.segments) >= self.overdue_at
        return out_of_time(30) if late else ""

    # ---- what tests ask ------------------------------------------------------------------------------------------

    @property
    def buckets(self) -> dict[str, Bucket]:
        return {
            document.key: bucket
            for segment in self.segments
            for document, bucket in zip(segment.documents, segment.buckets, strict=True)
        }

    @property
    def sentences(self) -> dict[str, str]:
        return {
            segment.documents[index].key: problem.sentence
            for segment in self.segments
            for index, problem in segment.problems.items()
        }

    @property
    def counts(self) -> Counter[Bucket]:
        return Counter(bucket for segment in self.segments for bucket in segment.buckets)

    @property
    def held_documents(self) -> int:
        """What a run that ends now holds: read, and in no segment."""
        return self.documents - self.position().documents

    def balances(self) -> bool:
        """True when the documents that are accounted for are the first ones, each once, with all of their rows; what
        is behind them is held, and where none is, no row is missing."""
        documents = [document for segment in self.segments for document in segment.documents]
        rows = [number for document in documents for number in document.row_numbers]
        in_order = [document.number for document in documents] == list(range(1, len(documents) + 1))
        return in_order and len(set(rows)) == len(rows) and (self.held_documents > 0 or len(rows) == self.rows)


class Hooks:
    """Tasks at the stages given, each ending with `result`; `failed` says that one of them failed."""

    def __init__(self, *stages: Stage, result: TaskResult = TaskResult.GO_ON, failed: bool = True) -> None:
        self.stages = frozenset(stages)
        self.end = TaskEnd(result=result, failed=failed and result is not TaskResult.GO_ON, sentence="CHECK said no.")
        self.called: list[tuple[Stage, str]] = []

    def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
        self.called.append((stage, document.key if document else ""))
        return self.end


def customers(**changes: Any) -> Plan:
    """Key Number; one line with number and name."""
    fields = changes.pop("fields", (FieldMap(target="number", value="Number"), FieldMap(target="name", value="Name")))
    line = Line(name="Customer", target="customers", keys=("number",), fields=fields, **changes.pop("line", {}))
    parts: dict[str, Any] = {
        "process": "CUSTOMERS",
        "source": SourceSpec(kind="listed", columns=(Column(name="Number"), Column(name="Name"))),
        "destination": DestinationSpec(kind="world", connection=""),
        "key_fields": ("Number",),
        "lines": (line,),
        "options": Options(),
    }
    return Plan(**{**parts, **changes})


def run(plan: Plan, source: Rows, world: World, ledger: Ledger, **ports: Any) -> Outcome:
    return execute(
        plan,
        source=source,
        destination=world,
        scripts=ports.get("scripts"),
        journal=ledger,
        tasks=ports.get("tasks", Hooks()),
        inputs=Inputs(
            variables=ports.get("variables") or Variables(),
            tables=ports.get("tables", {}),
            started_at=ports.get("started_at"),
            lookups=ports.get("lookups"),
            numbers=ports.get("numbers"),
            parent=ports.get("parent") or Parent(),
        ),
        ticket_for=lambda segment: Ticket(run="r", token="t", epoch=1, segment=segment),
        wait=lambda seconds: None,
    )


__all__ = ["Aggregate", "Counted", "Cut", "Functions", "Hooks", "Ledger", "Rows", "Tables", "World", "customers", "run"]
