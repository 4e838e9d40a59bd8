"""What the engine computed of a sample, as the Preview page and the mapping grid show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from integrations.engine.batch import Problem
from integrations.engine.errors import WaybillError
from integrations.engine.plan import ColumnType, FieldMap, Line, Plan
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
    """Why the document would fail, where that belongs to none of the cells."""
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


MOST_FAULTS = 5
"""So many failing calculations are told at once; each has the others computed anew."""
NOT_COMPUTED = Cell(words="not computed")
OF_THE_PARENT = Cell(words="of the parent’s document")
"""No preview has a parent."""


def line_sample(process: Process, plan: Plan, line: int, number: int) -> LineSample:
    """Compute what line `line` (from 1) would send of document `number` (from 1) of the sample.

    A calculation that fails is told at its row, and the others are computed without it.
    """
    failed: dict[str, Cell] = {}
    while True:
        sample, fault = _line_sample(process, plan, line, number)
        if not fault or len(failed) == MOST_FAULTS:
            return replace(sample, cells={**sample.cells, **failed})
        failed[fault] = sample.cells[fault]
        mapped = plan.lines[line - 1]
        without = replace(mapped, fields=tuple(item for item in mapped.fields if item.target != fault))
        plan = replace(plan, lines=(*plan.lines[: line - 1], without, *plan.lines[line:]))


def _line_sample(process: Process, plan: Plan, line: int, number: int) -> tuple[LineSample, str]:
    """Give the sample, and the name of the calculation that kept the rest from being computed, if one did."""
    if not plan.source.columns:
        return LineSample(reason="The live sample appears once the source has a sample file."), ""
    try:
        seen = line_preview(process, plan, line, number)
    except WaybillError as error:
        return LineSample(reason=error.sentence), ""
    if not seen.documents:
        return LineSample(reason="The sample holds no row."), ""
    number = max(1, min(number, seen.total))
    document = next(item for item in seen.documents if item.number == number)
    records = document.lines[min(line, len(document.lines)) - 1] if document.lines else []
    values: Mapping[str, Any] = records[0].values if records else {}
    fields = plan.lines[line - 1].fields
    sample = LineSample(number=number, documents=seen.total, key=document.key)
    if document.problem is None:
        return replace(sample, cells={item.target: _cell(item, values) for item in fields}), ""
    cells = {item.target: _cell(item, values) if item.target in values else NOT_COMPUTED for item in fields}
    guilty = _at_fault(document.problem, fields, values)
    if guilty is None:
        return replace(sample, cells=cells, verdict=f"would fail: {document.problem.sentence}"), ""
    cells[guilty.target] = Cell(problem=_failing(document))
    is_script = guilty.column_type is ColumnType.CALCULATION and not values
    return replace(sample, cells=cells), guilty.target if is_script else ""


def _at_fault(problem: Problem, fields: Sequence[FieldMap], values: Mapping[str, Any]) -> FieldMap | None:
    """Give the field that a problem is about: it is named, or reads the column that is, and has no value."""
    empty = [item for item in fields if values.get(item.target) is None]
    named = [item for item in empty if problem.where.column == item.target]
    reading = [item for item in empty if problem.where.column in item.columns]
    return next(iter([*named, *reading]), None)


def _failing(document: PreviewDocument) -> str:
    called = f"Document {document.key}" if document.key else f"Document {document.number}"
    return f"{called} would fail: {document.problem.sentence if document.problem else ''}"


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
    values = dict(
        zip(plan.additional_names, document.full_rows[0][len(seen.columns) - len(plan.additional) :], strict=False)
    )
    cells = {name: Cell(text=value, words="" if value else "blank") for name, value in values.items()}
    sample = LineSample(number=number, documents=len(seen.documents), key=document.key, cells=cells)
    if document.problem is None:
        return sample
    guilty = _at_fault(document.problem, plan.additional, {name: value or None for name, value in values.items()})
    if guilty is None:
        return replace(sample, verdict=f"would fail: {document.problem.sentence}")
    return replace(sample, cells=cells | {guilty.target: Cell(problem=_failing(document))})


def _cell(item: FieldMap, values: Mapping[str, Any]) -> Cell:
    if item.needs_a_parent:
        return OF_THE_PARENT
    value = values.get(item.target)
    text = "" if value is None else str(value)
    return Cell(text=text, words="" if text else "no value" if value is None else "blank")


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
