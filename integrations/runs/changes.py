"""A source that is read for changes only: what is carried from the run before, then what lies behind the watermark.

Both are pinned as one spool, so that whoever resumes or looks at the run sees the same rows. Where a key comes again
among the new rows, those are the newer ones: its carried rows are left out.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from integrations.connectors.spool import Interruptible, SpooledSource, write_spool
from integrations.engine.batch import Row, RowBatch
from integrations.engine.errors import DefinitionError, SourceError, Where
from integrations.engine.keys import Keys
from integrations.engine.plan import Column, Plan, SourceSpec
from integrations.engine.ports import Source
from integrations.engine.survey import check_columns
from integrations.engine.watermark import Mark, Reached, marks
from integrations.models import Run, Watermark
from integrations.runs.files import path_of

NAMED = 5
"""Documents that are named where many are told of."""


@dataclass(kw_only=True)
class Changes:
    """What a run of changes read, as `Run.changes` keeps it. `revision` is that of the watermark that it began with.

    `fewer_rows` counts the carried documents that came again with fewer rows than they had. Whether the others are gone
    or have not changed cannot be known, so it is told; the first few are named in `named`.
    """

    column: str
    since: str
    reached: str
    revision: int
    new_rows: int = 0
    carried_rows: int = 0
    carried_from: int | None = None
    moved: bool | None = None
    fewer_rows: int = 0
    named: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def begin(run: Run, spec: SourceSpec) -> tuple[Changes, Path | None]:
    """Say where the changes of `run` begin, and where the rows lie that are carried. Raises `DefinitionError` where the
    watermark was taken from another column."""
    found = Watermark.objects.select_related("carried", "carried_from").filter(process=run.process).first()
    if found is None:
        found = Watermark(process=run.process)
    if found.value and found.column != spec.watermark:
        raise DefinitionError(
            f"The watermark “{found.value}” was taken from the column {found.column}, and the source now has it in "
            f"{spec.watermark}. Reset it on the Source tab, or set it to a value of that column.",
            code="definition.watermark",
        )
    since = found.value or spec.first_value
    changes = Changes(column=spec.watermark, since=since, reached=since, revision=found.revision)
    if found.carried is None:
        return changes, None
    changes.carried_from = found.carried_from.number if found.carried_from else None
    return changes, path_of(found.carried)


def write_changes(
    source: Source, plan: Plan, changes: Changes, carried: Path | None, folder: Path, look_up: Callable[[], None]
) -> Path:
    """Spool the rows of `source` behind those that are carried, and note in `changes` what they came to."""
    old = SpooledSource(carried) if carried else None
    noticing = _Noticing(source, plan, changes.since, old)
    new = folder / "new"
    changes.new_rows = write_spool(noticing, new, look_up=look_up)
    changes.reached = noticing.reached
    if old is None:
        return new
    fewer = noticing.came_with_fewer_rows()
    changes.fewer_rows, changes.named = len(fewer), [str(mark) for mark in fewer[:NAMED]]
    kept = _Kept(old, plan, noticing.columns, noticing.again)
    whole = folder / "whole"
    changes.carried_rows = write_spool(_Joined(kept, SpooledSource(new)), whole, look_up=look_up) - changes.new_rows
    return whole


class _Noticing:
    """A source that is watched while it is read: how far it comes, and which of the rows in `old` come again."""

    def __init__(self, source: Source, plan: Plan, since: str, old: Source | None) -> None:
        self._source, self._plan, self._old = source, plan, old
        self._reached = Reached(plan.source.watermark_column or Column(name=plan.source.watermark), since)
        self._columns: tuple[str, ...] | None = None
        self._carried: Counter[Mark] = Counter()
        self.again: Counter[Mark] = Counter()
        """How many rows came of each document that is carried."""

    @property
    def columns(self) -> tuple[str, ...]:
        # Asked of the source when the spool is begun and not before: that waits in a thread which can be given up.
        if self._columns is None:
            self._columns = self._source.columns
            _check(self._plan, self._columns)
            if self._old is not None:
                keys = Keys(self._plan, self._columns)
                rows = _Kept(self._old, self._plan, self._columns, frozenset()).read()
                self._carried = Counter(mark for batch in rows for mark in marks(keys, batch.rows))
        return self._columns

    @property
    def reached(self) -> str:
        return self._reached.text

    def read(self) -> Iterator[RowBatch]:
        at = self.columns.index(self._plan.source.watermark)
        keys = Keys(self._plan, self.columns)
        for batch in self._source.read():
            self._reached.see([row[at] for row in batch.rows], batch.first_row)
            if self._carried:
                self.again.update(mark for mark in marks(keys, batch.rows) if mark in self._carried)
            yield batch

    def came_with_fewer_rows(self) -> list[Mark]:
        """Give the carried documents that came again with fewer rows than are carried."""
        return [mark for mark, rows in self.again.items() if rows < self._carried[mark]]

    def interrupt(self) -> None:
        if isinstance(self._source, Interruptible):
            self._source.interrupt()

    def close(self) -> None:
        self._source.close()


def _check(plan: Plan, columns: Sequence[str]) -> None:
    check_columns(plan, columns)
    if plan.source.watermark not in columns:
        raise SourceError(
            f"The source has no column “{plan.source.watermark}”, which its watermark is taken from. Correct the Source "
            "tab.",
            code="source.missing_column",
            where=Where(stage="read", column=plan.source.watermark),
        )


class _Kept:
    """The carried rows in the columns that the source has now, but for those of documents that came `again`."""

    def __init__(self, old: Source, plan: Plan, columns: Sequence[str], again: Container[Mark]) -> None:
        self.columns = tuple(columns)
        self._old, self._again, self._keys = old, again, Keys(plan, self.columns)
        for column in plan.source.columns:
            if column.name in self.columns and column.name not in old.columns:
                raise SourceError(
                    f"The documents that are carried were read without the column {column.name}, which the source has now. "
                    "Reset the watermark on the Source tab, so that they are read again.",
                    code="source.carried_column",
                    where=Where(stage="read", column=column.name),
                )

    def read(self) -> Iterator[RowBatch]:
        places = {name: at for at, name in enumerate(self._old.columns)}
        order = [places.get(name) for name in self.columns]
        for batch in self._old.read():
            rows: list[Row] = [["" if at is None else row[at] for at in order] for row in batch.rows]
            stays = [mark not in self._again for mark in marks(self._keys, rows)]
            yield RowBatch(rows=[row for row, stay in zip(rows, stays, strict=True) if stay], first_row=1)

    def close(self) -> None: ...


class _Joined:
    """The rows of one source and then those of another, numbered through."""

    def __init__(self, first: Source, second: Source) -> None:
        self._parts = (first, second)
        self.columns = second.columns

    def read(self) -> Iterator[RowBatch]:
        number = 1
        for part in self._parts:
            for batch in part.read():
                if batch.rows:
                    yield RowBatch(rows=batch.rows, first_row=number, defects=batch.defects)
                    number += len(batch.rows)

    def close(self) -> None: ...
