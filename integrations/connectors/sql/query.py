"""The rows of a query, as text: read once, in a read-only transaction, a bounded number at a time."""

from collections.abc import Iterator
from datetime import date, datetime
from itertools import count
from typing import Any

from integrations.connectors.spec import SourceContext
from integrations.connectors.sql.systems import System, system_of
from integrations.engine.batch import Row, RowBatch
from integrations.engine.errors import DefinitionError, SourceError, TransientError

ROWS = 2_000


class QuerySource:
    """`engine.ports.Source` that can be read once; the run spools it."""

    def __init__(self, context: SourceContext) -> None:
        if context.opened is None:
            raise DefinitionError("An SQL query needs a connection. Choose one on the Source tab.")
        self._query = str(context.spec.options.get("query") or "").strip().rstrip(";")
        if not self._query:
            raise DefinitionError("The query is empty. Write a SELECT on the Source tab.", code="sql.no_query")
        self._system: System = system_of(context.opened)
        self._connection: Any = None
        self._cursor: Any = None

    @property
    def columns(self) -> tuple[str, ...]:
        cursor = self._opened()
        return tuple(str(item[0]) for item in cursor.description)

    def read(self) -> Iterator[RowBatch]:
        cursor = self._opened()
        first_row = 1
        try:
            for _ in count():
                found = cursor.fetchmany(ROWS)
                if not found and self._system.mark == "%s":
                    cursor.execute(f"FETCH {ROWS} FROM waybill_rows")
                    found = cursor.fetchmany(ROWS)
                if not found:
                    return
                rows: list[Row] = [[_text(value) for value in row] for row in found]
                yield RowBatch(rows=rows, first_row=first_row)
                first_row += len(rows)
        except self._system.errors as error:
            raise self._failed(error) from error
        finally:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = self._cursor = None

    def _opened(self) -> Any:
        if self._cursor is None:
            self._connection = self._system.connect(read_only=True)
            try:
                self._cursor = self._system.stream(self._connection, self._query)
            except self._system.errors as error:
                self.close()
                raise self._failed(error) from error
            if self._cursor.description is None:
                self.close()
                raise SourceError(
                    "The query gives no rows: it is no SELECT. Correct it on the Source tab.", code="sql.query"
                )
        return self._cursor

    def _failed(self, error: Exception) -> Exception:
        said = str(error).strip().split("\n", 1)[0]
        if self._system.is_passing(error):
            return TransientError(f"{self._system.opened.name} does not answer the query now: {said}.")
        return SourceError(f"The query is refused: {said}. Correct it on the Source tab.", code="sql.query")


def _text(value: Any) -> str:
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
