"""The first look at the pinned source: everything that can be wrong with it as a whole is found before a byte is sent.

The whole source is read once. Counted are the rows and documents that the delivery will see; noticed is whether the
rows of some document lie apart. Memory stays flat: of each document only 8 bytes are kept, and those on disk.
"""

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from operator import ne
from typing import IO

from integrations.engine.errors import DefinitionError, SourceError, Where
from integrations.engine.keys import Keys, kept
from integrations.engine.plan import ROWS_OF, Plan, RepeatedKeys
from integrations.engine.ports import Source

PARTITIONS = 64
SPILL_AT = 65_536
FEW_SCATTERED = 10_000
"""Up to this many scattered keys are remembered; when there are more, all documents are gathered on disk."""
DELIMITERS = {";": "“;”", "\t": "tabs", "|": "“|”", ",": "commas"}
SHOWN = 120


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the source holds. `scattered` are the hashes of keys whose rows lie apart; None means too many to list."""

    columns: tuple[str, ...]
    rows: int
    documents: int
    dropped: int
    scattered: frozenset[int] | None


def survey(plan: Plan, source: Source) -> Survey:
    """Read the whole source once. Raises `SourceError` or `DefinitionError` for what no run could deliver."""
    columns = source.columns
    check_columns(plan, columns)
    keys = Keys(plan, columns)
    rows = unkeyed = dropped = 0
    with closing(_Starts()) as starts:
        before = None
        for batch in source.read():
            size = len(batch.rows)
            batch = kept(plan.options, keys, batch)
            dropped += size - len(batch.rows)
            rows += len(batch.rows)
            if not keys.indexes:
                continue
            found = keys.of(batch.rows)
            unkeyed += found.count("")
            if found:
                changes = map(ne, found, [before, *found[:-1]])
                starts.add([key for key, new in zip(found, changes, strict=True) if new and key])
                before = found[-1]
        distinct, scattered = starts.settle()
    if scattered is None and plan.options.repeated_keys is RepeatedKeys.ERROR:
        raise SourceError(
            f"More than {FEW_SCATTERED:,} keys come twice in the source, and the options call that an error. See that "
            f"{' and '.join(f'“{name}”' for name in keys.names)} identify a document. Nothing was sent.",
            code="source.repeated_key",
            where=Where(stage="group", column=keys.names[0]),
        )
    documents = distinct + unkeyed if keys.indexes else rows
    return Survey(columns=columns, rows=rows, documents=documents, dropped=dropped, scattered=scattered)


class _Starts:
    """Hashes of the keys at which a document seems to start; a key met twice belongs to a scattered document.

    Two keys of one 64-bit hash would be counted as one document; at ten million documents the odds are 1 : 400,000,
    and the balance check would say so.
    """

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._files: list[IO[bytes]] = []

    def add(self, keys: Sequence[str]) -> None:
        self._waiting.extend(map(hash, keys))
        if len(self._waiting) >= SPILL_AT:
            self._spill()

    def settle(self) -> tuple[int, frozenset[int] | None]:
        """Give the number of distinct keys, and those met more than once (None when they are too many)."""
        distinct = 0
        twice: set[int] | None = set()
        for hashes in self._parts():
            unique = set(hashes)
            distinct += len(unique)
            if twice is not None and len(unique) < len(hashes):
                twice.update(item for item, times in Counter(hashes).items() if times > 1)
                if len(twice) > FEW_SCATTERED:
                    twice = None
        return distinct, None if twice is None else frozenset(twice)

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _parts(self) -> Iterator[Sequence[int]]:
        """Give all hashes, equal ones in the same part. Few never touched the disk."""
        if not self._files:
            yield self._waiting
            return
        self._spill()
        for file in self._files:
            file.seek(0)
            yield array("q", file.read())

    def _spill(self) -> None:
        if not self._files:
            self._files = [tempfile.TemporaryFile() for _ in range(PARTITIONS)]  # noqa: SIM115  (closed by `close`)
        parts: list[list[int]] = [[] for _ in range(PARTITIONS)]
        for item in self._waiting:
            parts[item % PARTITIONS].append(item)
        for part, file in zip(parts, self._files, strict=True):
            file.write(array("q", part).tobytes())
        self._waiting.clear()


def check_columns(plan: Plan, columns: Sequence[str]) -> None:
    """See that every column the plan names is there, and once. The nearest name is offered for one that is missing."""
    repeated = [name for name, times in Counter(columns).items() if times > 1]
    if repeated:
        raise SourceError(
            f"The source has more than one column named “{repeated[0]}”. Give every column a name of its own.",
            code="source.duplicate_header",
            where=Where(stage="read", column=repeated[0]),
        )
    for name in plan.additional_names:
        if name in columns:
            raise DefinitionError(
                f"The additional column {name} has the name of a column of the source. Rename it.",
                code="definition.additional",
                where=Where(stage="read", column=name),
            )
    for name, use in needed(plan).items():
        if name not in columns:
            raise _missing(name, use, columns)
    if not plan.lines:
        raise DefinitionError("This integration has no line: nothing says where its documents go. Add a line.")


def needed(plan: Plan) -> dict[str, str]:
    """Give every source column that the plan needs, with the place that needs it."""
    uses = dict.fromkeys(plan.key_fields, "a key field")
    for item in plan.additional:
        for name in item.columns:
            uses.setdefault(name, f"the source of the additional column {item.target}")
    for line in plan.lines:
        for item in line.fields:
            for name in item.columns:
                uses.setdefault(name, f"the source of {item.target} on the line {line.name}")
        if line.rows:
            uses.setdefault(ROWS_OF, f"where the line {line.name} finds the rows of {line.rows}")
        for name in line.aggregates:
            uses.setdefault(name, f"grouped on the line {line.name}")
    uses = {name: use for name, use in uses.items() if name not in plan.additional_names}
    return uses | {c.name: uses.get(c.name, "a column of the source") for c in plan.source.columns}


def _missing(name: str, use: str, columns: Sequence[str]) -> SourceError:
    return SourceError(
        f"The source has no column “{name}”, which is {use}. {_hint(name, columns)}",
        code="source.missing_column",
        where=Where(stage="read", column=name),
    )


def _hint(name: str, columns: Sequence[str]) -> str:
    """Say what may be the reason: another delimiter, or a name that is written a little differently."""
    if len(columns) == 1:
        for mark, called in DELIMITERS.items():
            if mark in columns[0]:
                return (
                    f"It has only one column, “{columns[0][:SHOWN]}”, whose values seem to be separated by {called}. "
                    "Choose that delimiter for the source."
                )
    folded = {column.casefold().replace(" ", "").replace("_", ""): column for column in columns}
    near = get_close_matches(name.casefold().replace(" ", "").replace("_", ""), folded, n=1, cutoff=0.6)
    there = f"The nearest name there is “{folded[near[0]]}”." if near else f"It has: {', '.join(columns[:12])}."
    return f"{there} Correct the file's header or the integration."
