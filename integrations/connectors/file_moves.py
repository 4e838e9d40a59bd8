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


def carry_out(steps: Sequence[Step], token: str) -> None:
    """Do what is left of the steps. `token` names what is half copied, the same over resumes.

    Raises `WaybillError` with the file that could not be dealt with; what stands before it is done.
    """
    for step in steps:
        path = Path(step.source)
        try:
            if step.target and step.stays:
                _copy(path, Path(step.target), token, replaces=step.replaces)
            elif _is_still_there(step):
                if step.target:
                    _move(path, Path(step.target), token, replaces=step.replaces)
                else:
                    path.unlink()
                    sync_folder(path.parent)
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


def parted_name(name: str) -> tuple[str, str]:
    """Part a file's name into itself and its endings: (orders, .csv)."""
    stem, point, ending = name.rpartition(".")
    return (stem, point + ending) if stem else (name, "")


def literal(value: str) -> str:
    """Give a text that matches itself alone in a pattern of names."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in value)


def _is_still_there(step: Step) -> bool:
    """Say whether the file that was planned for is there: one that took its name since is another one."""
    try:
        status = os.lstat(step.source)
    except FileNotFoundError:
        return False
    return (status.st_ino, status.st_size, status.st_mtime_ns) == (step.inode, step.size_bytes, step.changed_at_ns)


def _move(source: Path, target: Path, token: str, *, replaces: bool) -> None:
    try:
        rename(source, target, replace=replaces)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: the copy is whole there before the original goes.
        _copy(source, target, token, replaces=replaces)
        source.unlink()
        sync_folder(source.parent)


def _copy(source: Path, target: Path, token: str, *, replaces: bool) -> None:
    """Let a copy show whole. One that is there already, byte for byte, was made before a crash."""
    if target.is_file() and not target.is_symlink() and digest(target) == digest(source):
        return
    growing = target.with_name(f"{HIDDEN}{token}.part")
    growing.unlink(missing_ok=True)
    copy_durably(source, growing)
    try:
        rename(growing, target, replace=replaces)
    finally:
        growing.unlink(missing_ok=True)
