"""What the engine computed of a sample, as the Preview page and the mapping grid show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from integrations.engine.errors import WaybillError
from integrations.engine.plan import Line, Plan
from integrations.engine.preview import Preview, PreviewDocument
from integrations.models import Process
from integrations.runs.preview import line_preview
from integrations.runs.trial import sample_of_tasks


@dataclass(frozen=True)
class Cell:
    """One value as it would be sent: its text, or the words for having none, or why it would fail."""

    text: str = ""
    words: str = ""
    problem: str = ""


@dataclass(frozen=True)
class LineSample:
    """The first record of one document on one line. `reason` says why there is none."""

    number: int = 1
    documents: int = 0
    key: str = ""
    verdict: str = ""
    cells: Mapping[str, Cell] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class ShownDocument:
    """A document of the sample: how many rows it has and what it would come to."""

    number: int
    key: str
    rows: int
    sent: int
    restricted: int
    problem: str


@dataclass(frozen=True)
class ShownRecord:
    """A record that a line would send, or would leave out."""

    key: str
    values: Sequence[Any]
    """By target; None where there is no value."""
    restricted: bool
    is_sent: bool


@dataclass(frozen=True)
class ShownLine:
    number: int
    name: str
    target: str
    targets: Sequence[str]
    records: Sequence[ShownRecord]

    @property
    def sent(self) -> int:
        return sum(record.is_sent for record in self.records)


OF_THE_PARENT = Cell(words="of the parent’s document")
"""No preview has a parent."""


def line_sample(process: Process, plan: Plan, line: int, number: int) -> LineSample:
    """Compute what line `line` (from 1) would send of document `number` (from 1) of the sample."""
    if not plan.source.columns:
        return LineSample(reason="The live sample appears once the source has a sample file.")
    try:
        seen = line_preview(process, plan, line, number)
    except WaybillError as error:
        return LineSample(reason=error.sentence)
    if not seen.documents:
        return LineSample(reason="The sample holds no row.")
    number = max(1, min(number, seen.total))
    document = next(item for item in seen.documents if item.number == number)
    problem = document.problem.sentence if document.problem else ""
    records = document.lines[min(line, len(document.lines)) - 1] if document.lines else []
    values: Mapping[str, Any] = records[0].values if records else {}
    cells = {
        item.target: OF_THE_PARENT if item.needs_a_parent else _cell(values.get(item.target), problem)
        for item in plan.lines[line - 1].fields
    }
    return LineSample(number=number, documents=seen.total, key=document.key, cells=cells)


def additional_sample(process: Process, plan: Plan, number: int) -> LineSample:
    """Compute the additional columns of document `number` (from 1) of the sample, for its first row."""
    if not plan.source.columns:
        return LineSample(reason="The live sample appears once the source has a sample file.")
    try:
        seen = sample_of_tasks(process, plan)
    except WaybillError as error:
        return LineSample(reason=error.sentence)
    if not seen.documents:
        return LineSample(reason="The sample holds no row.")
    number = max(1, min(number, len(seen.documents)))
    document = seen.documents[number - 1]
    problem = document.problem.sentence if document.problem else ""
    values = document.full_rows[0][len(seen.columns) - len(plan.additional) :]
    cells = {
        item.target: Cell(text=value, words="" if value else "blank", problem="" if value else problem)
        for item, value in zip(plan.additional, values, strict=False)
    }
    return LineSample(number=number, documents=len(seen.documents), key=document.key, cells=cells)


def _cell(value: Any, problem: str = "") -> Cell:
    if value is None:
        return Cell(words="no value", problem=problem)
    text = str(value)
    return Cell(text=text, words="" if text else "blank")


def sampled_documents(process: Process) -> list[tuple[int, str]]:
    """The documents of the sample that a script may be tried on: (number, words)."""
    if not process.drafted.source.columns:
        return []
    try:
        found = sample_of_tasks(process, process.drafted).documents
    except WaybillError:
        # A trial that needs a document says why there is none.
        return []
    return [(item.number, f"{item.number} · {item.key or 'no key'}") for item in found]


def _to_send(document: PreviewDocument) -> int:
    return sum(not record.restricted for records in document.lines for record in records)


def shown_documents(seen: Preview) -> list[ShownDocument]:
    """The documents that the first rows make, with what each would come to."""
    return [
        ShownDocument(
            number=document.number,
            key=document.key,
            rows=len(document.rows),
            sent=0 if document.problem else _to_send(document),
            restricted=sum(record.restricted for records in document.lines for record in records),
            problem=document.problem.sentence if document.problem else "",
        )
        for document in seen.documents
    ]


def shown_lines(some: Sequence[Line], seen: Preview, first: int) -> list[ShownLine]:
    """What each of these lines, of which `seen` was computed, would send record by record; the first is line `first`."""
    lines = []
    for index, line in enumerate(some):
        targets = [item.target for item in line.fields]
        records = [
            ShownRecord(
                key=document.key,
                values=list(map(record.values.get, targets)),
                restricted=record.restricted,
                is_sent=not record.restricted and document.problem is None,
            )
            for document in seen.documents
            if document.lines
            for record in document.lines[index]
        ]
        lines.append(
            ShownLine(number=first + index, name=line.name, target=line.target, targets=targets, records=records)
        )
    return lines
