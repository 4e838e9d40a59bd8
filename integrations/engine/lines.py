"""What of a document goes to each line: its rows one by one, or one record with every column reduced to one value."""

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from itertools import compress
from typing import Any

from integrations.engine.batch import Document, Problem, Row
from integrations.engine.errors import RecordError, Where
from integrations.engine.plan import ROWS_OF, Aggregate, Column, Line, Plan, ValueType
from integrations.engine.typed import converter

DIGITS = 3_000
"""More than any two numbers that are read can span: a sum is exact."""
SUM, COMPARE = "record.sum", "record.compare"
FAILING = {SUM: "cannot be added up", COMPARE: "cannot be compared"}


class Cutter:
    """Cuts documents for one line of a plan."""

    def __init__(self, plan: Plan, line: Line, columns: Sequence[str]) -> None:
        self._grouped = line.grouped
        self._line = line
        self._columns = columns
        self._declared = {column.name: column for column in plan.all_columns}
        self._separator = plan.options.separator
        self._list_of = columns.index(ROWS_OF) if line.rows else None
        self._reduced = {
            columns.index(name): aggregate
            for name, aggregate in line.aggregates.items()
            if aggregate is not Aggregate.FIRST
        }

    def cut(self, document: Document) -> tuple[list[Row], list[int]]:
        """Give the source values of each record, and the numbers of the rows they begin with. Raises `RecordError` for a
        value that cannot be added up or compared."""
        if self._list_of is not None:
            document = self._of_the_list(document, self._list_of)
            if not document.rows:
                return [], []
        rows = self._records(document)
        return rows, document.row_numbers[: len(rows)]

    def _of_the_list(self, document: Document, index: int) -> Document:
        mine = [row[index] == self._line.rows for row in document.full_rows]
        return Document(
            number=document.number,
            key=document.key,
            rows=list(compress(document.full_rows, mine)),
            row_numbers=list(compress(document.row_numbers, mine)),
        )

    def _records(self, document: Document) -> list[Row]:
        rows = document.full_rows
        if not self._grouped or (len(rows) == 1 and not self._reduced):
            return rows
        first = list(rows[0])
        for index, aggregate in self._reduced.items():
            first[index] = self._reduce(aggregate, index, document)
        return [first]

    def _reduce(self, aggregate: Aggregate, index: int, document: Document) -> str:
        values = [row[index] for row in document.full_rows]
        if aggregate is Aggregate.LAST:
            return values[-1]
        if aggregate is Aggregate.CONCAT:
            return self._separator.join(value for value in values if value)
        if aggregate is Aggregate.SUM:
            numbers = [number for number, _ in self._read(ValueType.DECIMAL, SUM, index, document)]
            with localcontext(prec=DIGITS):
                return f"{sum(numbers, Decimal(0)):f}" if numbers else ""
        choose = min if aggregate is Aggregate.MIN else max
        filled = [value for value in values if value.strip()]
        kind = self._column(index).type
        if kind is ValueType.TEXT:
            return self._of_text(choose, filled, index)
        read = self._read(kind, COMPARE, index, document)
        try:
            return choose(read, key=lambda item: item[0])[1] if read else ""
        except TypeError:
            # Only moments are of two kinds that have no order between them.
            name = self._columns[index]
            raise RecordError(
                f"Column {name} of rows {document.row_numbers[0]} to {document.row_numbers[-1]} {FAILING[COMPARE]}: some "
                "moments have a time zone and some have none.",
                code=COMPARE,
                where=Where(stage="map", column=name),
            ) from None

    def _column(self, index: int) -> Column:
        name = self._columns[index]
        return self._declared.get(name) or Column(name=name)

    def _of_text(self, choose: Callable[..., str], filled: Sequence[str], index: int) -> str:
        """Choose by number where all are numbers, and by letter otherwise."""
        convert = converter(ValueType.DECIMAL, self._column(index).format)
        try:
            return choose(filled, key=convert, default="")
        except ValueError:
            return choose(filled)

    def _read(self, kind: ValueType, code: str, index: int, document: Document) -> list[tuple[Any, str]]:
        """Give what the column holds in each row, and how it is written there; blanks are left out."""
        convert = converter(kind, self._column(index).format)
        assert convert is not None
        found = []
        for number, row in zip(document.row_numbers, document.full_rows, strict=True):
            try:
                value = convert(row[index])
            except ValueError as error:
                name = self._columns[index]
                raise RecordError(
                    f"“{row[index][:80]}” in column {name} of row {number} {FAILING[code]}: expected {error}.",
                    code=code,
                    where=Where(stage="map", column=name),
                ) from None
            if value is not None:
                found.append((value, row[index]))
        return found


def problem_of(error: RecordError) -> Problem:
    """Give an error of one document as its problem; equal columns group together."""
    cause = f"{error.where.column}: {FAILING[error.code]}" if error.code in FAILING else error.sentence
    return Problem(sentence=error.sentence, cause=cause, code=error.code, where=error.where)
