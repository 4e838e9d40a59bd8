"""What of a document goes to each line: its rows one by one, or one record with every column reduced to one value."""

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from itertools import compress

from integrations.engine.batch import Document, Problem, Row
from integrations.engine.errors import RecordError, Where
from integrations.engine.plan import ROWS_OF, Aggregate, Line, Plan, ValueType
from integrations.engine.typed import converter

DIGITS = 3_000
"""More than any two numbers that are read can span: a sum is exact."""


class Cutter:
    """Cuts documents for one line of a plan."""

    def __init__(self, plan: Plan, line: Line, columns: Sequence[str]) -> None:
        self._grouped = line.grouped
        self._line = line
        self._columns = columns
        self._forms = {column.name: column.format for column in plan.source.columns}
        self._separator = plan.options.separator
        self._list_of = columns.index(ROWS_OF) if line.rows else None
        self._reduced = {
            columns.index(name): aggregate
            for name, aggregate in line.aggregates.items()
            if aggregate is not Aggregate.FIRST
        }

    def cut(self, document: Document) -> tuple[list[Row], list[int]]:
        """Give the source values of each record, and the numbers of the rows they begin with. Raises `RecordError` for a
        value that cannot be added up."""
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
        filled = [value for value in values if value.strip()]
        if not filled:
            return ""
        if aggregate is Aggregate.SUM:
            numbers = self._numbers(index, document)
            with localcontext(prec=DIGITS):
                return f"{sum(numbers, Decimal(0)):f}" if numbers else ""
        choose = min if aggregate is Aggregate.MIN else max
        try:
            return choose(filled, key=self._as_number(index))
        except ValueError:
            return choose(filled)

    def _as_number(self, index: int) -> Callable[[str], Decimal]:
        convert = converter(ValueType.DECIMAL, self._forms.get(self._columns[index], ""))
        assert convert is not None
        return convert

    def _numbers(self, index: int, document: Document) -> list[Decimal]:
        convert = self._as_number(index)
        numbers = []
        for number, row in zip(document.row_numbers, document.full_rows, strict=True):
            try:
                value = convert(row[index])
            except ValueError as error:
                name = self._columns[index]
                raise RecordError(
                    f"“{row[index][:80]}” in column {name} of row {number} cannot be added up: expected {error}.",
                    code="record.sum",
                    where=Where(stage="map", column=name),
                ) from None
            if value is not None:
                numbers.append(value)
        return numbers


def problem_of(error: RecordError) -> Problem:
    """Give an error of one document as its problem; equal columns group together."""
    cause = f"{error.where.column}: cannot be added up" if error.where.column else error.sentence
    return Problem(sentence=error.sentence, cause=cause, code=error.code, where=error.where)
