"""Rows that cannot be read twice, kept beside the run: gzip JSON lines, the columns first, then one batch a line."""

import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from integrations.engine.ahead import Ahead
from integrations.engine.batch import RowBatch
from integrations.engine.errors import SourceError
from integrations.engine.ports import Source


@runtime_checkable
class Interruptible(Protocol):
    """A source whose read can be ended by another thread."""

    def interrupt(self) -> None: ...


def write_spool(source: Source, path: Path, *, look_up: Callable[[], None] = lambda: None) -> int:
    """Read `source` once and keep its rows at `path`; give the number of rows.

    The file appears under its name only when it is whole and on the disk. Raises what the source raises, and what
    `look_up` does, which is called now and then, also while the source is waited for; nothing is left behind then.
    """
    rows = 0
    growing = path.with_name(path.name + ".part")
    try:
        with growing.open("wb") as raw:
            # Level 1: the spool is read back within minutes, and time matters more than the last tenth of its size.
            with (
                gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as packed,
                io.TextIOWrapper(packed, "utf-8") as file,
                Ahead(_told(source), meanwhile=look_up, interrupt=_interrupt_of(source)) as told,
            ):
                for item, count in told:
                    look_up()
                    file.write(json.dumps(item) + "\n")
                    rows += count
            os.fsync(raw.fileno())
        growing.replace(path)
    finally:
        growing.unlink(missing_ok=True)
    return rows


def _told(source: Source) -> Iterator[tuple[list[Any], int]]:
    """Give the lines of a spool, each with the number of rows in it."""
    yield list(source.columns), 0
    for batch in source.read():
        yield [batch.first_row, batch.rows, batch.lines, batch.defects], len(batch.rows)


def _interrupt_of(source: Source) -> Callable[[], None]:
    return source.interrupt if isinstance(source, Interruptible) else lambda: None


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
