"""The source of a run, pinned once the tasks before it are done: resume, repair and re-run see the rows that it saw.

An upload is pinned by its content already. A file behind a door is copied into the store; the answer of a query is
spooled, compressed, and the spool is stored. The pin is recorded on the run under the fence: whoever resumes the run
neither asks nor copies again, whatever the variables are by then.
"""

import glob
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from django.conf import settings

from integrations.connectors.registry import connector, source_kind
from integrations.connectors.spec import FileDoor, FoundFile, Opened, SourceContext, SourceKind
from integrations.connectors.spool import SpooledSource, write_spool
from integrations.engine.batch import RowBatch
from integrations.engine.errors import DefinitionError, SourceError
from integrations.engine.plan import SourceSpec
from integrations.engine.ports import Source
from integrations.engine.variables import IN_TEXT, Variables, text_of, with_ends
from integrations.models import Run, StoredFile
from integrations.runs.changes import begin, write_changes
from integrations.runs.connections import connection_of, opened
from integrations.runs.drain import wait_for_drain
from integrations.runs.files import path_of, store
from integrations.runs.journal import RunJournal
from integrations.runs.redaction import Redacted

LookUp = Callable[[], None]

LISTED = 5
LOOKS = 5
PAUSE_SECONDS = 1.0


class SourceInTime:
    """A source that is opened when it is asked for the first time. Closing one that never was does nothing."""

    def __init__(self, open_it: Callable[[], Source]) -> None:
        self._open = open_it
        self._source: Source | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self._opened().columns

    def read(self) -> Iterator[RowBatch]:
        return self._opened().read()

    def close(self) -> None:
        if self._source is not None:
            self._source.close()

    def _opened(self) -> Source:
        if self._source is None:
            self._source = self._open()
        return self._source


def open_pinned(
    run: Run, spec: SourceSpec, journal: RunJournal, look_up: LookUp, variables: Variables | None = None
) -> Source:
    """Open the pinned rows of `run`, pinning them first where that was not done yet.

    `look_up` is called now and then, and raises when the run should end. `variables` fill in what the source names in
    brackets; a secure value that comes back as a row is dots.
    """
    values = values_named_by(spec, variables or Variables())
    if run.has_parents_rows:
        assert run.source_file is not None
        return SpooledSource(path_of(run.source_file))
    kind = source_kind(spec.kind)
    if kind.takes_file:
        file = run.source_file or _record(run, journal, _fetched(run, spec, kind, look_up, values), fetched=True)
        return kind.open(SourceContext(spec=spec, file=path_of(file), file_name=file.name, look_up=look_up))
    if kind.repeatable:
        return kind.open(_context(spec, values))
    redact = journal.redacted if variables is not None and variables.hold_secure_values and values else None
    pin = _changes if spec.reads_changes else _spooled
    spool = run.source_file or pin(run, spec, journal, look_up, values, redact)
    return SpooledSource(path_of(spool))


def _record(run: Run, journal: RunJournal, file: StoredFile, *, fetched: bool = False, **more: Any) -> StoredFile:
    facts = {"source_file": file, "source_was_fetched": fetched, **more}
    journal.note(**facts)
    for name, value in facts.items():
        setattr(run, name, value)
    return file


def _context(spec: SourceSpec, values: Mapping[str, Any], after: str | None = None) -> SourceContext:
    connection = opened(connection_of(spec.connection)) if spec.connection else None
    return SourceContext(spec=spec, opened=connection, values=values, after=after)


def values_named_by(spec: SourceSpec, variables: Variables) -> dict[str, Any]:
    """Give the values that a source names, secure ones in the clear."""
    named = {name for names in spec.named.values() for name in names}
    return with_ends(variables.opened({name: variables.value(name) for name in named & set(variables.names)}))


def _spooled(
    run: Run,
    spec: SourceSpec,
    journal: RunJournal,
    look_up: LookUp,
    values: Mapping[str, Any],
    redact: Callable[[str], str] | None,
) -> StoredFile:
    """Pin all that the source gives."""
    with _asked(_context(spec, values), redact) as source, _spool_folder() as folder:
        write_spool(source, folder / "rows", look_up=look_up)
        return _record(run, journal, _kept(run, folder / "rows", look_up))


def _changes(
    run: Run,
    spec: SourceSpec,
    journal: RunJournal,
    look_up: LookUp,
    values: Mapping[str, Any],
    redact: Callable[[str], str] | None,
) -> StoredFile:
    """Pin what is carried, and what lies behind the watermark."""
    changes, carried = begin(run, spec)
    with _asked(_context(spec, values, changes.since), redact) as source, _spool_folder() as folder:
        rows = write_changes(source, run.version.plan, changes, carried, folder, look_up)
        if changes.fewer_rows:
            journal.log(
                "warning",
                f"Of {changes.fewer_rows:,} carried document{'' if changes.fewer_rows == 1 else 's'} fewer rows came than "
                f"had failed ({', '.join(changes.named)}). The rows that came stand for the whole document: if the query "
                "gives only the rows that changed, the others were not sent. Have it give all rows of a document, or reset "
                "the watermark.",
            )
        return _record(run, journal, _kept(run, rows, look_up), changes=changes.to_json())


@contextmanager
def _asked(context: SourceContext, redact: Callable[[str], str] | None) -> Iterator[Source]:
    source: Source = source_kind(context.spec.kind).open(context)
    try:
        yield Redacted(source, redact) if redact is not None else source
    finally:
        source.close()


@contextmanager
def _spool_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=settings.DATA_DIR, prefix="spool-") as folder:
        yield Path(folder)


def _kept(run: Run, spool: Path, look_up: LookUp) -> StoredFile:
    with spool.open("rb") as file:
        return store(run.company, file, name=f"Run {run.number} rows.jsonl.gz", by=run.requested_by, look_up=look_up)


def _fetched(run: Run, spec: SourceSpec, kind: SourceKind, look_up: LookUp, values: Mapping[str, Any]) -> StoredFile:
    """Copy the one file that matches through the door of the source's connection."""
    if not spec.connection:
        raise SourceError("This integration reads a file, and none came with the run. Run it again with a file.")
    connection = connection_of(spec.connection)
    door = connector(connection.connector).file_door
    pattern = pattern_of(spec, values)
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


def pattern_of(spec: SourceSpec, values: Mapping[str, Any]) -> str:
    """Give the file name pattern of a source with the values of its variables, which stand for themselves and match
    nothing else. Raises `SourceError` for a value that would lead out of the connection's folder."""

    def taken(name: str) -> str:
        text = text_of(values[name])
        if text in (".", "..") or any(mark in text for mark in "/\\\0"):
            raise SourceError(
                f"{name} is “{text}”, which would lead out of the folder of the source. A file name pattern takes "
                "names of files only: correct the variable.",
                code="source.path",
            )
        return glob.escape(text)

    pattern = str(spec.options.get("pattern") or "")
    return IN_TEXT.sub(lambda found: taken(found[1]) if found[1] in values else found[0], pattern)


def _fits(name: str, extensions: Sequence[str]) -> bool:
    return PurePath(name).suffix.lower().lstrip(".") in {extension.lower().lstrip(".") for extension in extensions}


def _still_changing(name: str, place: str) -> SourceError:
    return SourceError(
        f"“{name}” at {place} is still being written. Run again when it is complete.", code="source.growing"
    )
