"""Rows become documents: those that share a key, in the order of their first rows.

Where all rows of every document lie together, grouping is one pass with nothing kept. Rows of scattered documents are
first laid aside on disk, partitioned by key, each partition is put together in memory on its own, and the documents
come back in order by a merge (a hash-partitioned grouping, as databases do it). Memory stays flat either way.
"""

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from heapq import merge
from operator import itemgetter
from typing import IO

from integrations.engine.batch import Document, Problem, Row, RowBatch
from integrations.engine.errors import Where
from integrations.engine.keys import Keys, kept
from integrations.engine.limits import repeated
from integrations.engine.plan import Plan, RepeatedKeys
from integrations.engine.ports import Source
from integrations.engine.survey import Survey

ROWS_A_PARTITION = 20_000
MOST_PARTITIONS = 200

Entry = tuple[int, str, Row, str]
"""A row laid aside: its number, its key, its values, its defect ("" for none)."""


def documents(plan: Plan, source: Source, seen: Survey) -> Iterator[Document]:
    """Yield every document of the source, numbered from 1 in order of first rows."""
    keys = Keys(plan, seen.columns)
    if not keys.indexes:
        found = _row_by_row(plan, source, keys)
    elif seen.scattered is not None and not seen.scattered:
        found = _together(_entries(plan, source, keys), keys)
    else:
        found = _gathered(plan, source, keys, seen)
    refuses = plan.options.repeated_keys is RepeatedKeys.ERROR
    for number, document in enumerate(found, 1):
        document.number = number
        if refuses and document.problem is None:
            document.problem = repeated(plan, document, lies_apart=hash(document.key) in (seen.scattered or ()))
        yield document


def _batches(plan: Plan, source: Source, keys: Keys) -> Iterator[RowBatch]:
    return (kept(plan.options, keys, batch) for batch in source.read())


def _row_by_row(plan: Plan, source: Source, keys: Keys) -> Iterator[Document]:
    for batch in _batches(plan, source, keys):
        for index, (number, row) in enumerate(zip(batch.numbers, batch.rows, strict=True)):
            defect = batch.defects.get(index, "") if batch.defects else ""
            yield Document(0, str(number), [row], [number], _defective(defect) if defect else None)


def _entries(plan: Plan, source: Source, keys: Keys) -> Iterator[Entry]:
    for batch in _batches(plan, source, keys):
        found = keys.of(batch.rows)
        if batch.defects:
            defects = batch.defects
            yield from (
                (number, key, row, defects.get(index, ""))
                for index, (number, key, row) in enumerate(zip(batch.numbers, found, batch.rows, strict=True))
            )
        else:
            for number, key, row in zip(batch.numbers, found, batch.rows, strict=True):
                yield number, key, row, ""


def _together(entries: Iterator[Entry], keys: Keys) -> Iterator[Document]:
    """Group rows whose documents lie together. A row without a key is a document of its own, and a failed one."""
    current: Document | None = None
    for number, key, row, defect in entries:
        if current is not None and key == current.key and key:
            current.rows.append(row)
            current.row_numbers.append(number)
        else:
            if current is not None:
                yield current
            current = Document(0, key, [row], [number])
            if not key and not defect:
                current.problem = _without_key(keys, number)
        if defect and current.problem is None:
            current.problem = _defective(defect)
    if current is not None:
        yield current


def _gathered(plan: Plan, source: Source, keys: Keys, seen: Survey) -> Iterator[Document]:
    """Group with the scattered documents laid aside: all of them where `seen` does not list which."""
    scattered = seen.scattered
    count = min(MOST_PARTITIONS, seen.rows // ROWS_A_PARTITION + 1)
    with ExitStack() as files:
        parts = [files.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
        for entry in _entries(plan, source, keys):
            mark = hash(entry[1])
            if entry[1] and (scattered is None or mark in scattered):
                pickle.dump(entry, parts[mark % count], protocol=pickle.HIGHEST_PROTOCOL)
        put_together = [_put_together(part, files, keys) for part in parts]
        rest = _together(
            (
                entry
                for entry in _entries(plan, source, keys)
                if not entry[1] or (scattered is not None and hash(entry[1]) not in scattered)
            ),
            keys,
        )
        yield from merge(rest, *put_together, key=lambda document: document.row_numbers[0])


def _put_together(part: IO[bytes], files: ExitStack, keys: Keys) -> Iterator[Document]:
    """Bring the documents of one partition together and yield them from disk in the order of their first rows."""
    found: dict[str, list[Entry]] = {}
    for entry in _unpickled(part):
        found.setdefault(entry[1], []).append(entry)
    ordered = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  (entered for as long as it is read)
    for entries in sorted(found.values(), key=itemgetter(0)):
        for entry in entries:
            pickle.dump(entry, ordered, protocol=pickle.HIGHEST_PROTOCOL)
    part.truncate(0)
    del found
    return _together(_unpickled(ordered), keys)


def _unpickled(file: IO[bytes]) -> Iterator[Entry]:
    """Give back what this process itself wrote to a nameless file."""
    file.seek(0)
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return


def _defective(sentence: str) -> Problem:
    return Problem(
        sentence=sentence, cause="A line of the file cannot be trusted", code="source.row", where=Where(stage="read")
    )


def _without_key(keys: Keys, number: int) -> Problem:
    names = " and ".join(f"“{name}”" for name in keys.names)
    what = "The key field" if len(keys.names) == 1 else "The key fields"
    are = "is" if len(keys.names) == 1 else "are"
    return Problem(
        sentence=f"{what} {names} {are} blank in row {number}.",
        cause=f"{what} {names} {are} blank",
        code="source.no_key",
        where=Where(stage="group", column=keys.names[0]),
    )
