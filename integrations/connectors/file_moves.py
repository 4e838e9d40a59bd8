"""Files of server folders copied, moved and deleted, as tasks ask for it: planned first, then done step by step.

A plan names each file with its identity on the disk. Whoever carries it out again after a crash does what is left: a
file that is gone was moved or deleted, one that took its name since then is another one and stays.
"""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from integrations.connectors.folder import find
from integrations.connectors.outputs.placing import copy_durably, digest, rename, sync_folder
from integrations.connectors.places import HIDDEN, folder_of
from integrations.connectors.spec import Opened
from integrations.engine.errors import AdministratorError, DefinitionError, SourceError
from integrations.engine.file_name import complaint

NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Step:
    """One file and what becomes of it: it is copied or moved to `target`, or deleted where that is ""."""

    source: str
    target: str = ""
    stays: bool = False
    replaces: bool = False
    inode: int = 0
    size_bytes: int = 0
    changed_at_ns: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**data)


def files_at(opened: Opened, pattern: str) -> list[Path]:
    """Give the files that match. Raises `WaybillError` where there are none, or where one is a link."""
    found = [Path(file.path) for file in find(opened, pattern)]
    if not found:
        raise SourceError(f"No file matches {pattern} at {opened.name}.", code="task.no_file")
    if link := next((path for path in found if path.is_symlink()), None):
        raise DefinitionError(
            f"“{link.name}” at {opened.name} is a link, and tasks leave links alone. Make the pattern narrower.",
            code="task.link",
        )
    return found


def planned(
    files: Sequence[Path], to: Opened | None, new_name: Callable[[str], str], *, stays: bool, replaces: bool
) -> list[Step]:
    """Plan what becomes of `files`: into the folder of `to` under new names, or deleted without one.

    Raises `WaybillError` before anything is touched, where a name is none, is taken, or is given twice.
    """
    folder = folder_of(to) if to else None
    sources = {os.path.realpath(path) for path in files}
    steps: list[Step] = []
    taken: set[str] = set()
    for path in files:
        target = ""
        if folder is not None and to is not None:
            name = new_name(path.name)
            if said := complaint(name):
                raise DefinitionError(f"“{name}”, the new name of “{path.name}”, {said}.", code="task.file_name")
            if name in taken:
                raise DefinitionError(
                    f"Two files would both be called “{name}”. Let the new name hold [FILE].", code="task.file_name"
                )
            if os.path.realpath(folder / name) in sources:
                raise DefinitionError(
                    f"“{name}”, the new name of “{path.name}”, is the name of a file that the task takes itself. Choose "
                    "another new name, or make the pattern narrower.",
                    code="task.file_name",
                )
            if not replaces and os.path.lexists(folder / name):
                raise SourceError(f"There is already a file “{name}” at {to.name}.", code="task.file_exists")
            taken.add(name)
            target = str(folder / name)
        status = path.lstat()
        steps.append(
            Step(
                source=str(path),
                target=target,
                stays=stays,
                replaces=replaces,
                inode=status.st_ino,
                size_bytes=status.st_size,
                changed_at_ns=status.st_mtime_ns,
            )
        )
    return steps


def carry_out(steps: Sequence[Step], token: str, *, resumed: bool) -> None:
    """Do what is left of the steps. `token` names what is half copied, the same over resumes; `resumed` says that
    another one may have begun.

    Raises `WaybillError` with the file that could not be dealt with; what stands before it is done. Files that are not
    those of the plan any more are told of when the others are done.
    """
    others = []
    for step in steps:
        path = Path(step.source)
        try:
            if not _is_planned(step, path):
                if not (resumed and _was_done(step)):
                    others.append(path.name)
            elif not step.target:
                path.unlink()
                sync_folder(path.parent)
            elif not (_copy if step.stays else _move)(step, token):
                others.append(path.name)
        except FileExistsError as error:
            name = Path(step.target).name
            raise SourceError(
                f"There is already a file “{name}” where “{path.name}” goes.", code="task.file_exists"
            ) from error
        except OSError as error:
            raise AdministratorError(
                f"“{path.name}” cannot be dealt with: {error.strerror}. Look at the folder, or ask an administrator.",
                code="task.file",
            ) from error
    if others:
        names = ", ".join(f"“{name}”" for name in others[:NAMED]) + (" …" if len(others) > NAMED else "")
        raise SourceError(
            f"{names} changed or went away after the task had found it, so it was left as it is. Run again when nobody "
            "writes to the folder.",
            code="task.changed",
        )


def parted_name(name: str) -> tuple[str, str]:
    """Part a file's name into itself and its endings: (orders, .csv)."""
    stem, point, ending = name.rpartition(".")
    return (stem, point + ending) if stem else (name, "")


def literal(value: str) -> str:
    """Give a text that matches itself alone in a pattern of names."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in value)


def _is_planned(step: Step, path: Path) -> bool:
    """Say whether the file at `path` is the one that was planned for, unchanged."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return (status.st_ino, status.st_size, status.st_mtime_ns) == (step.inode, step.size_bytes, step.changed_at_ns)


def _was_done(step: Step) -> bool:
    """Say whether a step whose file is not there any more was done before a crash: where another file has the name by
    now, only a file that arrived shows it."""
    if step.stays:
        return False
    return not os.path.lexists(step.source) or (bool(step.target) and _is_planned(step, Path(step.target)))


def _move(step: Step, token: str) -> bool:
    """Move a file; False when it changed meanwhile, and stays."""
    source, target = Path(step.source), Path(step.target)
    try:
        rename(source, target, replace=step.replaces)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: the copy is whole there before the original goes.
        if not _copy(step, token):
            return False
        source.unlink()
        sync_folder(source.parent)
    return True


def _copy(step: Step, token: str) -> bool:
    """Let a copy show whole; False when the file changed while it was copied. A copy that is there already, byte for
    byte, was made before a crash."""
    source, target = Path(step.source), Path(step.target)
    if target.is_file() and not target.is_symlink() and digest(target) == digest(source):
        return True
    growing = target.with_name(f"{HIDDEN}{token}.part")
    growing.unlink(missing_ok=True)
    try:
        copy_durably(source, growing)
        if not _is_planned(step, source):
            return False
        rename(growing, target, replace=step.replaces)
    finally:
        growing.unlink(missing_ok=True)
    return True
