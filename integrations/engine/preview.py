"""What a plan would do with the first rows of its source: the same stages as a run, up to the door of the destination."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from integrations.engine.batch import Bucket, Document, MappedBatch, Problem, Row, RowBatch
from integrations.engine.group import documents
from integrations.engine.inputs import Inputs
from integrations.engine.mapping import Mapper, joined
from integrations.engine.order import order_of
from integrations.engine.plan import Plan
from integrations.engine.ports import Scripts, Source
from integrations.engine.survey import survey


@dataclass(frozen=True, kw_only=True)
class PreviewRecord:
    """One record of a line: what it would send, or what it was when a restriction left it out."""

    values: Mapping[str, Any] = field(default_factory=dict)
    restricted: bool = False


@dataclass(frozen=True, kw_only=True)
class PreviewDocument:
    """A document of the sample; `lines` follow the plan's lines, each a list of its records. `full_rows` are its rows
    with the additional columns, as far as they could be computed."""

    number: int
    key: str
    rows: Sequence[Row]
    full_rows: Sequence[Row]
    row_numbers: Sequence[int]
    problem: Problem | None
    restricted: bool
    lines: Sequence[Sequence[PreviewRecord]]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The first rows and what becomes of them. `columns` and `rows` have the additional columns behind the source's."""

    columns: tuple[str, ...]
    rows: Sequence[Row]
    documents: Sequence[PreviewDocument]


def preview(
    plan: Plan, source: Source, scripts: Scripts | None, *, inputs: Inputs | None = None, rows: int = 50
) -> Preview:
    """Compute what the first `rows` rows would become. Raises what a run would fail with before it sends."""
    sample = _FirstRows(source, rows)
    seen = survey(plan, sample)
    blank = [""] * len(plan.additional)
    found = list(documents(plan, sample, seen))
    mapper = Mapper(plan, seen.columns, scripts, inputs)
    step = 1 if order_of(plan).map_singly else max(len(found), 1)
    batch = joined([mapper.map(found[at : at + step]) for at in range(0, max(len(found), 1), step)])
    wide = {
        number: row
        for found_one in found
        for number, row in zip(found_one.row_numbers, found_one.full_rows, strict=True)
    }
    read = ((number, row) for part in sample.read() for number, row in zip(part.numbers, part.rows, strict=True))
    return Preview(
        columns=(*seen.columns, *plan.additional_names),
        rows=[wide.get(number) or [*row, *blank] for number, row in read],
        documents=[_shown(plan, batch, index, document) for index, document in enumerate(found)],
    )


def _shown(plan: Plan, batch: MappedBatch, index: int, document: Document) -> PreviewDocument:
    return PreviewDocument(
        number=document.number,
        key=document.key,
        rows=document.rows,
        full_rows=document.full_rows,
        row_numbers=document.row_numbers,
        problem=batch.problems.get(index),
        restricted=batch.verdicts[index] is Bucket.RESTRICTED,
        lines=[_records(plan, batch, line, index) for line in range(len(plan.lines))],
    )


def _records(plan: Plan, batch: MappedBatch, line: int, index: int) -> list[PreviewRecord]:
    spec = plan.lines[line]
    targets = [item.target for item in spec.fields]
    if index in batch.problems:
        return [PreviewRecord(values=p["values"]) for p in batch.parts.get(index, ()) if p["line"] == spec.name]
    records = batch.lines[line]
    sent = [
        PreviewRecord(values=dict(zip(targets, record, strict=True)))
        for record, owner in zip(records.records, records.owners, strict=True)
        if owner == index
    ]
    left_out = batch.documents[index].rows[: 1 if spec.grouped else None]
    return sent + [PreviewRecord(restricted=True) for _ in range(len(left_out) - len(sent))]


class _FirstRows:
    """The beginning of a source."""

    def __init__(self, source: Source, rows: int) -> None:
        self._source = source
        self._rows = rows

    @property
    def columns(self) -> tuple[str, ...]:
        return self._source.columns

    def read(self) -> Iterator[RowBatch]:
        left = self._rows
        for batch in self._source.read():
            rows = list(islice(batch.rows, left))
            yield RowBatch(
                rows=rows,
                first_row=batch.first_row,
                lines=batch.lines[: len(rows)] if batch.lines else None,
                defects={index: sentence for index, sentence in batch.defects.items() if index < len(rows)},
            )
            left -= len(rows)
            if left <= 0:
                return

    def close(self) -> None:
        self._source.close()
