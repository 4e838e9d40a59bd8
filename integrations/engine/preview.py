"""What a plan would do with the first rows of its source: the same stages as a run, up to the door of the destination."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from integrations.engine.batch import Bucket, MappedBatch, Problem, Row, RowBatch
from integrations.engine.group import documents
from integrations.engine.inputs import Inputs
from integrations.engine.mapping import Mapper, joined
from integrations.engine.order import Order, order_of
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
    total: int
    """How many documents the first rows make, whether all of them were computed or one."""


def preview(
    plan: Plan,
    source: Source,
    scripts: Scripts | None,
    *,
    inputs: Inputs | None = None,
    rows: int = 50,
    only: int | None = None,
) -> Preview:
    """Compute what the first `rows` rows would become, or of their documents the one numbered `only` (or the last).

    Raises what a run would fail with before it sends.
    """
    sample = _FirstRows(source, rows)
    seen = survey(plan, sample)
    blank = [""] * len(plan.additional)
    every = list(documents(plan, sample, seen))
    found = every if only is None else every[: max(only, 1)][-1:]
    mapper = Mapper(plan, seen.columns, scripts, inputs)
    step = 1 if _order(plan).map_singly else max(len(found), 1)
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
        documents=_shown(plan, batch),
        total=len(every),
    )


def stands_alone(plan: Plan) -> bool:
    """Say whether a line of a document comes out the same whatever the lines and documents before it did."""
    return not _order(plan).writes_before_sending


def _order(plan: Plan) -> Order:
    """No task does anything here, so that none stands between documents."""
    return order_of(replace(plan, tasks=()))


def _shown(plan: Plan, batch: MappedBatch) -> list[PreviewDocument]:
    lines = [_records(plan, batch, line) for line in range(len(plan.lines))]
    return [
        PreviewDocument(
            number=document.number,
            key=document.key,
            rows=document.rows,
            full_rows=document.full_rows,
            row_numbers=document.row_numbers,
            problem=batch.problems.get(index),
            restricted=batch.verdicts[index] is Bucket.RESTRICTED,
            lines=[records[index] for records in lines],
        )
        for index, document in enumerate(batch.documents)
    ]


def _records(plan: Plan, batch: MappedBatch, line: int) -> list[list[PreviewRecord]]:
    """Give the records of a line for each document: those that are sent, then those that are left out."""
    spec, mapped = plan.lines[line], batch.lines[line]
    targets = [item.target for item in spec.fields]
    shown: list[list[PreviewRecord]] = [[] for _ in batch.documents]
    for record, owner in zip(mapped.records, mapped.owners, strict=True):
        shown[owner].append(PreviewRecord(values=dict(zip(targets, record, strict=True))))
    for index, document in enumerate(batch.documents):
        if index in batch.problems:
            parts = batch.parts.get(index, ())
            shown[index] = [PreviewRecord(values=part["values"]) for part in parts if part["line"] == spec.name]
        else:
            left_out = len(document.rows[: 1 if spec.grouped else None]) - len(shown[index])
            shown[index] += [PreviewRecord(restricted=True)] * left_out
    return shown


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
