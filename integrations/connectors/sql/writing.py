"""How the records of one line get into their table: staged in bulk, judged by the database itself, then written.

Staged values have the types of the target's columns, so “the same” is decided as the database stores it. A record whose
key is met twice in one segment waits for the next wave, so that the order of the source is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any

from integrations.connectors.sql.systems import System
from integrations.engine.batch import Bucket, Record
from integrations.engine.errors import DefinitionError
from integrations.engine.plan import Line, WriteMode


class LineWriter:
    """Writes the records of one line. `prepare` comes first on every new connection."""

    def __init__(self, system: System, line: Line, number: int) -> None:
        self._system = system
        self.line = line
        self.targets = [item.target for item in line.fields]
        self._stage = f"waybill_stage_{number}"
        # Only these come as objects that a driver may not know; all others are plain by their type.
        self._typed = [place for place, item in enumerate(line.fields) if item.type in system.not_plain]
        self._keys = list(line.keys)
        self._key_places = [self.targets.index(key) for key in line.keys if key in self.targets]
        quoted = system.quoted
        self._table = quoted(line.target)
        self._columns = ", ".join(quoted(name) for name in self.targets)
        self._others = others = [name for name in self.targets if name not in self._keys]
        self._match = " AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in self._keys)
        self._differs = ""
        self._sets = ", ".join(f"{quoted(name)} = {self._taken(quoted(name))}" for name in others)

    def check(self, columns: Sequence[str]) -> None:
        """See that the table has what the line writes. Raises `DefinitionError` naming what is missing."""
        name = self.line.target
        if not columns:
            raise DefinitionError(
                f"There is no table {name} in {self._system.opened.name}. Choose another target for the line "
                f"{self.line.name}, or create the table.",
                code="sql.no_table",
            )
        missing = [target for target in self.targets if target not in columns]
        if missing:
            raise DefinitionError(
                f"The table {name} has no column {missing[0]}. It has {', '.join(columns[:20])}. "
                f"Correct the mapping of the line {self.line.name}.",
                code="sql.no_column",
            )
        if self.line.mode is not WriteMode.INSERT and (not self._keys or len(self._key_places) < len(self._keys)):
            raise DefinitionError(
                f"The line {self.line.name} needs key fields that are mapped, to find its records in {name}.",
                code="sql.no_key",
            )

    def without_key(self, records: Sequence[Record]) -> list[int]:
        """Give the places of the records that could never be found again: a part of the key is null, or all is blank."""
        if self.line.mode is WriteMode.INSERT:
            return []
        if len(self._key_places) == 1:
            place = self._key_places[0]
            return [at for at, record in enumerate(records) if record[place] is None or record[place] == ""]
        keys = [[record[place] for place in self._key_places] for record in records]
        return [at for at, key in enumerate(keys) if None in key or all(part == "" for part in key)]

    def prepare(self, cursor: Any) -> None:
        """Make the staging table, private to this connection, with the types of the target's columns."""
        cursor.execute(
            f"DROP TABLE IF EXISTS temp.{self._stage}"
            if self._is_sqlite
            else f"DROP TABLE IF EXISTS pg_temp.{self._stage}"
        )
        cursor.execute(
            f"CREATE TEMP TABLE {self._stage} AS SELECT 0 AS waybill_n, {self._columns} FROM {self._table} WHERE 1 = 0"
        )
        as_text = self._system.without_equality(cursor, self._stage)
        self._differs = " OR ".join(self._differs_in(name, as_text=name in as_text) for name in self._others)

    def _differs_in(self, name: str, *, as_text: bool) -> str:
        column = self._system.quoted(name)
        mine, theirs = (f"CAST({side}.{column} AS TEXT)" if as_text else f"{side}.{column}" for side in "ts")
        differs = f"NOT ({mine} {self._system.same} {theirs})"
        return differs if self.line.update_blanks else f"(NOT {self._is_blank(column)} AND {differs})"

    def _is_blank(self, column: str) -> str:
        return f"(s.{column} IS NULL OR CAST(s.{column} AS TEXT) = '')"

    def _taken(self, column: str) -> str:
        """Say what a record that is there gets: the staged value, or its own where that is blank and stays."""
        if self.line.update_blanks:
            return f"s.{column}"
        return f"CASE WHEN {self._is_blank(column)} THEN t.{column} ELSE s.{column} END"

    def write(self, cursor: Any, records: Sequence[Record]) -> list[Bucket | None]:
        """Write the records and give the bucket of each; None where there was nothing to write it to.

        Raises the driver's error when the database refuses one of them; which one is for the caller to find out.
        """
        buckets: list[Bucket | None] = [Bucket.UNCHANGED] * len(records)
        for wave in self._waves(records):
            self._fill(cursor, records, wave)
            WRITES[self.line.mode](self, cursor, buckets, wave)
            cursor.execute(f"DELETE FROM {self._stage}")
        return buckets

    @property
    def _is_sqlite(self) -> bool:
        return self._system.mark == "?"

    def _waves(self, records: Sequence[Record]) -> list[range]:
        """Cut where a key comes again. Without keys everything is one wave."""
        if self.line.mode is WriteMode.INSERT or not records:
            return [range(len(records))] if records else []
        places = self._key_places
        if len(places) == 1:
            place = places[0]
            keys: list[Any] = [record[place] for record in records]
        else:
            keys = [tuple(record[place] for place in places) for record in records]
        if len(set(keys)) == len(keys):
            return [range(len(records))]
        waves: list[range] = []
        seen: set[Any] = set()
        start = 0
        for index, key in enumerate(keys):
            if key in seen:
                waves.append(range(start, index))
                start, seen = index, set()
            seen.add(key)
        return [*waves, range(start, len(records))]

    def _fill(self, cursor: Any, records: Sequence[Record], wave: range) -> None:
        """Stage the records of a wave, each with its place among all."""
        picked = records[wave.start : wave.stop]
        if self._typed:
            plain, typed = self._system.plain, self._typed
            picked = [list(record) for record in picked]
            for record in picked:
                for place in typed:
                    record[place] = plain(record[place])
        staged = [(number, *record) for number, record in enumerate(picked, wave.start)]
        self._system.fill(cursor, self._stage, ("waybill_n", *self.targets), staged)

    def _numbers(self, cursor: Any, query: str) -> list[int]:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]

    def _new(self, cursor: Any) -> list[int]:
        return self._numbers(
            cursor,
            f"SELECT s.waybill_n FROM {self._stage} s WHERE NOT EXISTS (SELECT 1 FROM {self._table} t WHERE {self._match})",
        )

    def _change(self, cursor: Any, buckets: list[Bucket | None]) -> None:
        if not self._differs:
            return
        changed = self._numbers(
            cursor,
            f"SELECT s.waybill_n FROM {self._stage} s JOIN {self._table} t ON {self._match} WHERE {self._differs}",
        )
        if not changed:
            return
        cursor.execute(
            f"UPDATE {self._table} AS t SET {self._sets} FROM {self._stage} AS s "
            f"WHERE {self._match} AND ({self._differs})"
        )
        for index in changed:
            buckets[index] = Bucket.UPDATED

    def _upsert(self, cursor: Any, buckets: list[Bucket | None], wave: range) -> None:
        new = self._new(cursor)
        if len(new) < len(wave):
            self._change(cursor, buckets)
        if not new:
            return
        missing = (
            ""
            if len(new) == len(wave)
            else (f" s WHERE NOT EXISTS (SELECT 1 FROM {self._table} t WHERE {self._match})")
        )
        cursor.execute(
            f"INSERT INTO {self._table} ({self._columns}) SELECT {self._columns} FROM {self._stage}{missing}"
        )
        for index in new:
            buckets[index] = Bucket.CREATED

    def _insert(self, cursor: Any, buckets: list[Bucket | None], wave: range) -> None:
        cursor.execute(
            f"INSERT INTO {self._table} ({self._columns}) SELECT {self._columns} FROM {self._stage} ORDER BY waybill_n"
        )
        for index in wave:
            buckets[index] = Bucket.CREATED

    def _update(self, cursor: Any, buckets: list[Bucket | None], wave: range) -> None:
        for index in self._new(cursor):
            buckets[index] = None
        self._change(cursor, buckets)

    def _delete(self, cursor: Any, buckets: list[Bucket | None], wave: range) -> None:
        gone = set(self._new(cursor))
        cursor.execute(
            f"DELETE FROM {self._table} AS t WHERE EXISTS (SELECT 1 FROM {self._stage} s WHERE {self._match})"
        )
        for index in wave:
            if index not in gone:
                buckets[index] = Bucket.UPDATED


Write = Callable[[LineWriter, Any, list[Bucket | None], range], None]
WRITES: dict[WriteMode, Write] = {
    WriteMode.UPSERT: LineWriter._upsert,
    WriteMode.INSERT: LineWriter._insert,
    WriteMode.UPDATE: LineWriter._update,
    WriteMode.DELETE: LineWriter._delete,
}
