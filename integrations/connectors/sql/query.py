"""The rows of a query, as text: read once, in a read-only transaction, a bounded number at a time."""

import logging
import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from integrations.connectors.spec import SourceContext
from integrations.connectors.sql.binding import bound
from integrations.connectors.sql.systems import System, system_of
from integrations.engine.batch import Row, RowBatch
from integrations.engine.errors import DefinitionError, SourceError, TransientError, Where
from integrations.engine.plan import Column, SourceSpec, ValueType
from integrations.engine.watermark import typed

log = logging.getLogger(__name__)

ROWS = 2_000
NUMBERS = frozenset({ValueType.INTEGER, ValueType.DECIMAL})
DATES = frozenset({ValueType.DATE, ValueType.DATETIME})


class QuerySource:
    """`engine.ports.Source` that can be read once; the run spools it."""

    def __init__(self, context: SourceContext) -> None:
        if context.opened is None:
            raise DefinitionError("An SQL query needs a connection. Choose one on the Source tab.")
        self._query = str(context.spec.options.get("query") or "").strip().rstrip(";")
        if not self._query:
            raise DefinitionError("The query is empty. Write a SELECT on the Source tab.", code="sql.no_query")
        self._system: System = system_of(context.opened)
        self._values = context.values
        self._spec, self._after = context.spec, context.after
        self._seconds = context.seconds
        self._connection: Any = None
        self._cursor: Any = None
        self._until = 0.0
        self._interrupted = False

    @property
    def columns(self) -> tuple[str, ...]:
        cursor = self._opened()
        return tuple(str(item[0]) for item in cursor.description)

    def read(self) -> Iterator[RowBatch]:
        cursor = self._opened()
        first_row = 1
        try:
            for _ in count():
                self._until = time.monotonic() + self._seconds
                found = cursor.fetchmany(ROWS)
                if not found:
                    return
                self._see_how_it_compares(cursor, found)
                rows: list[Row] = [[as_text(value) for value in row] for row in found]
                yield RowBatch(rows=rows, first_row=first_row)
                first_row += len(rows)
        except self._system.errors as error:
            raise self._failed(error) from error
        finally:
            self.close()

    def interrupt(self) -> None:
        """End a read that another thread waits for: it raises there, and soon."""
        self._interrupted = True
        connection = self._connection
        if connection is not None:
            try:
                self._system.interrupt(connection)
            except self._system.errors:
                log.info("a query of %s had ended before it was interrupted", self._system.opened.name, exc_info=True)

    def close(self) -> None:
        if self._connection is None:
            return
        try:
            if self._cursor is not None:
                self._cursor.close()
        except self._system.errors:
            log.info("a query of %s was left without its end", self._system.opened.name, exc_info=True)
        finally:
            self._connection.close()
            self._connection = self._cursor = None

    def _opened(self) -> Any:
        if self._cursor is None:
            self._connection = self._system.connect(read_only=True, seconds=self._seconds)
            self._until = time.monotonic() + self._seconds
            if self._interrupted:
                raise SourceError("The query was given up before it began.", code="sql.interrupted")
            try:
                query, values = bound(self._system, *self._asked())
                self._cursor = self._system.stream(self._connection, query, values, is_over=self._is_over)
            except self._system.errors as error:
                self.close()
                raise self._failed(error) from error
            if self._cursor.description is None:
                self.close()
                raise SourceError(
                    "The query gives no rows: it is no SELECT. Correct it on the Source tab.", code="sql.query"
                )
        return self._cursor

    def _asked(self) -> tuple[str, dict[str, Any]]:
        """Give the query and what is bound in it. Of changes it is part of another one, which compares the watermark."""
        values = dict(self._values)
        if self._after is None:
            return self._query, values
        # The query ends on a line of its own: it may end with a comment.
        query = f"SELECT * FROM (\n{self._query}\n) AS waybill_rows"
        if not self._after:
            return query, values
        values["_waybill_watermark"] = _comparable(self._system, self._spec, self._after)
        name = '"' + self._spec.watermark.replace('"', '""') + '"'
        return f"{query} WHERE waybill_rows.{name} > [_waybill_watermark]", values

    def _see_how_it_compares(self, cursor: Any, rows: list[Any]) -> None:
        """See that the database compares the watermark as its declared type says: otherwise rows would be passed over."""
        column = self._spec.watermark_column
        if self._after is None or column is None:
            return
        names = [str(item[0]) for item in cursor.description]
        if column.name not in names:
            return
        at = names.index(column.name)
        complaint = next(filter(None, (_complaint(column, row[at]) for row in rows if row[at] is not None)), "")
        if complaint:
            raise SourceError(
                f"The watermark column {column.name} {complaint} Correct it on the Source tab.",
                code="source.watermark",
                where=Where(stage="read", column=column.name),
            )

    def _is_over(self) -> bool:
        return self._interrupted or time.monotonic() > self._until

    def _failed(self, error: Exception) -> Exception:
        said = str(error).strip().split("\n", 1)[0]
        if self._system.was_ended(error):
            return SourceError(
                f"The query took longer than {self._seconds:g} s and was ended. Make it narrower, or let the database "
                "find its rows sooner, for example by an index.",
                code="sql.slow",
            )
        if self._system.is_passing(error):
            return TransientError(f"{self._system.opened.name} does not answer the query now: {said}.")
        return SourceError(f"The query is refused: {said}. Correct it on the Source tab.", code="sql.query")


def _comparable(system: System, spec: SourceSpec, text: str) -> Any:
    """Give a watermark as the database compares it: numbers as numbers, anything else as it came from there."""
    column = spec.watermark_column or Column(name=spec.watermark)
    value = typed(column, text)
    return system.number(Decimal(value)) if column.type in NUMBERS and value is not None else text


def _complaint(column: Column, value: Any) -> str:
    is_number = isinstance(value, int | float | Decimal)
    if is_number and column.type not in NUMBERS:
        return "holds numbers. Declare it a whole number or a decimal."
    if not is_number and column.type in NUMBERS:
        return "is declared a number, and the database holds something else. Declare that, or cast it in the query."
    if isinstance(value, str) and column.type in DATES and column.format:
        return f"holds dates as texts in the form {column.format}, which have no order. Cast it in the query."
    return ""


def as_text(value: Any) -> str:
    """Give a value as a source column holds it. No value is blank text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)
