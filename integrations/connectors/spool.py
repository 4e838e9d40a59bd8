"""Rows that cannot be read twice, kept beside the run: gzip JSON lines, the columns first, then one batch a line."""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from integrations.engine.batch import RowBatch
from integrations.engine.errors import SourceError
from integrations.engine.ports import Source


def write_spool(source: Source, path: Path) -> int:
    """Read `source` once and keep its rows at `path`; give the number of rows.

    The file appears under its name only when it is whole and on the disk. Raises what the source raises; nothing
    is left behind then.
    """
    rows = 0
    growing = path.with_name(path.name + ".part")
    try:
        with growing.open("wb") as raw:
            # Level 1: the spool is read back within minutes, and time matters more than the last tenth of its size.
            with (
                gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as packed,
                io.TextIOWrapper(packed, "utf-8") as file,
            ):
                file.write(json.dumps(list(source.columns)) + "\n")
                for batch in source.read():
                    item = [batch.first_row, batch.rows, batch.lines, batch.defects]
                    file.write(json.dumps(item) + "\n")
                    rows += len(batch.rows)
            os.fsync(raw.fileno())
        growing.replace(path)
    finally:
        growing.unlink(missing_ok=True)
    return rows


class SpooledSource:
    """Gives the rows of a spool, the same ones in the same order at every `read`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        if self._columns is None:
            self._columns = tuple(next(self._items()))
        return self._columns

    def read(self) -> Iterator[RowBatch]:
        for number, item in enumerate(self._items()):
            if number == 0:
                continue
            first_row, rows, lines, defects = item
            yield RowBatch(
                rows=rows,
                first_row=first_row,
                lines=lines,
                defects={int(index): sentence for index, sentence in defects.items()},
            )

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _items(self) -> Iterator[list[Any]]:
        try:
            with gzip.open(self._path, "rt", encoding="utf-8") as file:
                for line in file:
                    yield json.loads(line)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise SourceError(
                "The rows kept for this run can no longer be read. Start a new run.", code="source.spool"
            ) from error
