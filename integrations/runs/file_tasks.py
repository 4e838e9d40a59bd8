"""File tasks of a run: which files they mean, and where those go."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from integrations.connectors.file_moves import Step, files_at, literal, parted_name, planned
from integrations.connectors.outputs.placing import digest
from integrations.connectors.spec import Opened
from integrations.engine.errors import DefinitionError, SourceError
from integrations.engine.file_name import named
from integrations.engine.plan import FileAction, Plan, Task
from integrations.engine.secure import has_handle
from integrations.engine.variables import text_of
from integrations.models import Run
from integrations.runs.connections import connection_of, opened
from integrations.runs.variables import local_start

DONE = {
    FileAction.COPY: "copied",
    FileAction.MOVE: "moved",
    FileAction.DELETE: "deleted",
    FileAction.ARCHIVE: "archived",
}
NAMED = 3


def planned_files(run: Run, plan: Plan, task: Task, values: Mapping[str, Any]) -> list[Step]:
    """Plan what the task does. Raises `WaybillError` before anything is touched."""
    assert run.started_at is not None
    moment = local_start(run.company, run.started_at)
    if any(map(has_handle, (named(text, values, moment) for text in (task.file_name, task.new_name)))):
        raise DefinitionError("A file name cannot hold a secure variable: everyone sees it.", code="task.file_name")
    pattern = named(task.file_name, values, moment, lambda value: literal(text_of(value)))
    files = _own_file(run, plan) if task.own_file else files_at(_folder(task.connection), pattern)
    to = None if task.action is FileAction.DELETE else _folder(task.to_connection)
    shape = named(task.new_name or default_name(task.action), values, moment)

    def new_name(name: str) -> str:
        stem, ending = parted_name(name)
        return shape.replace("[FILE]", stem).replace("[EXT]", ending)

    return planned(files, to, new_name, stays=task.action is FileAction.COPY, replaces=task.overwrite)


def default_name(action: FileAction) -> str:
    """Give the new name that is taken where none is given."""
    return "[FILE]_[YYYY-MM-DD_hhmmss][EXT]" if action is FileAction.ARCHIVE else "[FILE][EXT]"


def told_of_files(task: Task, steps: Sequence[Step]) -> str:
    if not steps:
        return "The source came with the run, so no folder holds its file."
    names = ", ".join(Path(step.source).name for step in steps[:NAMED]) + (" …" if len(steps) > NAMED else "")
    count = "1 file was" if len(steps) == 1 else f"{len(steps):,} files were"
    return f"{count} {DONE[task.action]}: {names}."


def _own_file(run: Run, plan: Plan) -> list[Path]:
    """Give the file that the run has read, as it lies in its folder; nothing where it came another way.

    Raises `SourceError` where another content has taken its place: nobody has read that.
    """
    if not run.source_was_fetched or run.source_file is None:
        return []
    place = _folder(plan.source.connection)
    files = files_at(place, literal(run.source_file.name))
    if digest(files[0])[0] != run.source_file.sha256:
        raise SourceError(
            f"“{run.source_file.name}” at {place.name} has changed since this run read it, so it is left as it is.",
            code="task.changed",
        )
    return files


def _folder(public_id: str) -> Opened:
    connection = connection_of(public_id)
    if connection.connector != "folder":
        raise DefinitionError(f"{connection.name} is no server folder. Choose another one.", code="task.connection")
    return opened(connection)
