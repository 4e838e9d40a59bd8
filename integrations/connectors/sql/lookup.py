"""Values looked up in a table: many keys in one query, each bound, each answered by the number of its rows and the
first result."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from integrations.connectors.spec import Opened, TargetField
from integrations.connectors.sql.query import as_text
from integrations.connectors.sql.systems import System, system_of, table_fields
from integrations.engine.errors import DefinitionError, TransientError, Where
from integrations.engine.plan import Lookup, ValueType
from integrations.engine.ports import Found
from integrations.engine.typed import converter

VALUES_AT_ONCE = 5_000
"""Parameters of one query: well below what any system takes."""
PLAIN_TEXT = ("CHAR", "TEXT", "VARCHAR", "CHARACTER", "NVARCHAR", "NCHAR", "CITEXT", "NULL", "CLOB")
"""How the types begin whose values are compared as the text they are."""

Keyed = tuple[int, list[Any]]
"""The place of a key among those asked, and its values as the table has them."""


class SqlFinder:
    """`connectors.spec.Finder` for tables and views of one database. Its connection is opened when it is first asked."""

    def __init__(self, opened: Opened, seconds: float) -> None:
        self._system: System = system_of(opened)
        self._seconds = seconds
        self._connection: Any = None
        self._until = 0.0
        self._tables: dict[str, dict[str, TargetField]] = {}

    def tables(self) -> Sequence[str]:
        with self._system.inspector() as inspector:
            return sorted([*inspector.get_table_names(), *inspector.get_view_names()])

    def fields(self, table: str) -> Sequence[str]:
        return tuple(self._fields(table))

    def check(self, lookup: Lookup) -> None:
        fields = self._fields(lookup.table)
        name, where = self._system.opened.name, Where(stage="map")
        if not fields:
            raise DefinitionError(
                f"There is no table {lookup.table} in {name} to look up in. Correct the lookup.",
                code="definition.lookup",
                where=where,
            )
        for field in filter(None, (*(match.field for match in lookup.matches), lookup.result)):
            if field not in fields:
                raise DefinitionError(
                    f"The table {lookup.table} of {name} has no field {field}. Correct the lookup.",
                    code="definition.lookup",
                    where=where,
                )

    def find(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> Sequence[Found]:
        self.check(lookup)
        fields = self._fields(lookup.table)
        kinds = [fields[match.field] for match in lookup.matches]
        found = [Found(0)] * len(keys)
        askable = [(at, typed) for at, key in enumerate(keys) if (typed := self._typed(kinds, key)) is not None]
        for some in _cut(askable, max(1, VALUES_AT_ONCE // len(kinds))):
            for at, rows, value in self._rows(self._query(lookup, kinds, some), [v for _, key in some for v in key]):
                found[at] = Found(rows, None if value is None else as_text(value))
        return found

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _fields(self, table: str) -> dict[str, TargetField]:
        if table not in self._tables:
            self._tables[table] = table_fields(self._system, table)
        return self._tables[table]

    def _typed(self, kinds: Sequence[TargetField], key: tuple[str, ...]) -> list[Any] | None:
        """Give a key as the table has such values; None for one that no row can have."""
        values = []
        for kind, text in zip(kinds, key, strict=True):
            convert = converter(kind.type)
            try:
                value = convert(text) if convert else text
            except ValueError:
                return None
            if value is None or not _can_be_held(value):
                return None
            values.append(self._system.plain(value))
        return values

    def _query(self, lookup: Lookup, kinds: Sequence[TargetField], keys: Sequence[Keyed]) -> str:
        system = self._system
        row = ", ".join([system.mark] * len(kinds))
        names = [f"k{place}" for place in range(len(kinds))]
        listed = ", ".join(f"({at}, {row})" for at, _ in keys)
        # Without one it is only asked whether there is a row.
        result = self._quoted(lookup.result or lookup.matches[0].field)
        same = " AND ".join(
            f"{self._compared(match.field, kind)} = waybill_keys.{name}"
            for match, kind, name in zip(lookup.matches, kinds, names, strict=True)
        )
        return (
            f"WITH waybill_keys (place, {', '.join(names)}) AS (VALUES {listed}) "
            f"SELECT place, many, value FROM (SELECT waybill_keys.place AS place, it.{result} AS value, "
            "COUNT(*) OVER (PARTITION BY waybill_keys.place) AS many, "
            f"ROW_NUMBER() OVER (PARTITION BY waybill_keys.place ORDER BY it.{result} NULLS LAST) AS turn "
            f"FROM waybill_keys JOIN {self._quoted(lookup.table)} AS it ON {same}) AS found WHERE turn = 1"
        )

    def _compared(self, field: str, kind: TargetField) -> str:
        name = f"it.{self._quoted(field)}"
        is_plain = kind.type is not ValueType.TEXT or kind.type_label.upper().startswith(PLAIN_TEXT)
        # A key of another kind (a UUID, a name of a list) is compared as text: no text is refused then.
        return name if is_plain else f"CAST({name} AS text)"

    def _quoted(self, name: str) -> str:
        quoted = self._system.quoted(name)
        return quoted.replace("%", "%%") if self._system.mark == "%s" else quoted

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        system = self._system
        if self._connection is None:
            self._connection = system.connect(read_only=True, seconds=self._seconds)
        self._until = time.monotonic() + self._seconds
        try:
            cursor = system.stream(self._connection, query, values, is_over=lambda: time.monotonic() > self._until)
            rows: list[Any] = cursor.fetchall()
            cursor.close()
            self._connection.rollback()
            return rows
        except system.errors as error:
            self.close()
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> Exception:
        system, said = self._system, str(error).strip().split("\n", 1)[0].rstrip(".")
        if system.was_ended(error):
            return DefinitionError(
                f"A lookup in {system.opened.name} took longer than {self._seconds:g} s and was ended. Let the database "
                "find its rows sooner, for example by an index.",
                code="sql.slow",
            )
        if system.is_passing(error):
            return TransientError(f"{system.opened.name} does not answer a lookup now: {said}.", code="sql.busy")
        return DefinitionError(f"{system.opened.name} refuses a lookup: {said}.", code="sql.statement")


def _can_be_held(value: Any) -> bool:
    """Say whether a database can have a value at all: no number beyond 64 bits, no NUL, no half of a character."""
    if isinstance(value, str):
        return "\0" not in value and value.encode("utf-8", "ignore").decode() == value
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _cut(keys: Sequence[Keyed], most: int) -> Iterator[Sequence[Keyed]]:
    for at in range(0, len(keys), most):
        yield keys[at : at + most]
