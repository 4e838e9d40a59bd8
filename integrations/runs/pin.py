"""The source of a run, pinned before anything is sent: resume, repair and re-run see the rows that this run saw.

An upload is pinned by its content already. A file behind a door is copied into the store; the answer of a query is
spooled, compressed, and the spool is stored. The pin is recorded on the run under the fence.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from django.conf import settings

from integrations.connectors.registry import connector, source_kind
from integrations.connectors.spec import FileDoor, FoundFile, Opened, SourceContext, SourceKind
from integrations.connectors.spool import SpooledSource, write_spool
from integrations.engine.errors import DefinitionError, SourceError
from integrations.engine.plan import SourceSpec
from integrations.engine.ports import Source
from integrations.models import Run, StoredFile
from integrations.runs.connections import connection_of, opened
from integrations.runs.drain import wait_for_drain
from integrations.runs.files import path_of, store
from integrations.runs.journal import RunJournal

LookUp = Callable[[], None]

LISTED = 5
LOOKS = 5
PAUSE_SECONDS = 1.0


def open_pinned(run: Run, spec: SourceSpec, journal: RunJournal, look_up: LookUp) -> Source:
    """Open the pinned rows of `run`, pinning them first where that was not done yet.

    `look_up` is called now and then, and raises when the run should end.
    """
    if run.has_parents_rows:
        assert run.source_file is not None
        return SpooledSource(path_of(run.source_file))
    kind = source_kind(spec.kind)
    if kind.takes_file:
        file = run.source_file or _record(run, journal, _fetched(run, spec, kind, look_up))
        return kind.open(SourceContext(spec=spec, file=path_of(file), file_name=file.name, look_up=look_up))
    if kind.repeatable:
        return kind.open(_context(spec))
    return SpooledSource(path_of(run.source_file or _record(run, journal, _spooled(run, spec, kind, look_up))))


def _record(run: Run, journal: RunJournal, file: StoredFile) -> StoredFile:
    journal.note(source_file=file)
    run.source_file = file
    return file


def _context(spec: SourceSpec) -> SourceContext:
    return SourceContext(spec=spec, opened=opened(connection_of(spec.connection)) if spec.connection else None)


def _spooled(run: Run, spec: SourceSpec, kind: SourceKind, look_up: LookUp) -> StoredFile:
    source = kind.open(_context(spec))
    try:
        with tempfile.TemporaryDirectory(dir=settings.DATA_DIR, prefix="spool-") as folder:
            spool = Path(folder) / "rows"
            write_spool(source, spool, look_up=look_up)
            with spool.open("rb") as file:
                name = f"Run {run.number} rows.jsonl.gz"
                return store(run.company, file, name=name, by=run.requested_by, look_up=look_up)
    finally:
        source.close()


def _fetched(run: Run, spec: SourceSpec, kind: SourceKind, look_up: LookUp) -> StoredFile:
    """Copy the one file that matches through the door of the source's connection."""
    if not spec.connection:
        raise SourceError("This integration reads a file, and none came with the run. Run it again with a file.")
    connection = connection_of(spec.connection)
    door = connector(connection.connector).file_door
    pattern = str(spec.options.get("pattern") or "")
    if door is None or not pattern:
        raise DefinitionError(
            f"{connection.name} cannot be asked for a file: choose a connection with files and a file name pattern "
            "on the Source tab.",
            code="definition.no_door",
        )
    opening = opened(connection)
    found = _stable(door, opening, pattern, connection.name, look_up)
    if kind.extensions and not _fits(found.name, kind.extensions):
        raise SourceError(
            f"“{found.name}” is no file of the kind {kind.title}. Correct the pattern, or put the right file there.",
            code="source.extension",
        )
    with door.open(opening, found) as file:
        kept = store(run.company, file, name=found.name, by=run.requested_by, look_up=look_up)
    if kept.size_bytes != found.size_bytes:
        raise _still_changing(found.name, connection.name)
    return kept


def _stable(door: FileDoor, opening: Opened, pattern: str, place: str, look_up: LookUp) -> FoundFile:
    """Give the only match once its size and time stand still between two looks."""
    before = _only(door.find(opening, pattern), pattern, place)
    for _ in range(LOOKS):
        wait_for_drain(PAUSE_SECONDS)
        # A worker that must stop did not wait: then two looks in one instant would prove nothing.
        look_up()
        after = _only(door.find(opening, pattern), pattern, place)
        if after == before:
            return after
        before = after
    raise _still_changing(before.name, place)


def _only(found: Sequence[FoundFile], pattern: str, place: str) -> FoundFile:
    if not found:
        raise SourceError(
            f"No file matches {pattern} at {place}. Put the file there or correct the pattern, then run again.",
            code="source.no_file",
        )
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:LISTED]) + (" …" if len(found) > LISTED else "")
        raise SourceError(
            f"{len(found)} files match {pattern} at {place} ({names}), and a run reads exactly one. "
            "Make the pattern narrower or move the others away.",
            code="source.many_files",
        )
    return found[0]


def _fits(name: str, extensions: Sequence[str]) -> bool:
    return PurePath(name).suffix.lower().lstrip(".") in {extension.lower().lstrip(".") for extension in extensions}


def _still_changing(name: str, place: str) -> SourceError:
    return SourceError(
        f"“{name}” at {place} is still being written. Run again when it is complete.", code="source.growing"
    )
