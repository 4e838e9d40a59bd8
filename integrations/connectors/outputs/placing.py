"""Files get their names on a server folder at once and whole, and no name is taken from a file that is there."""

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from integrations.engine.errors import TransientError

NOREPLACE = 1
AT_FDCWD = -100
LOCK_SECONDS = 30.0
libc = ctypes.CDLL(None, use_errno=True)


def copy_durably(source: Path, path: Path) -> None:
    """Copy the bytes of a file to a new one, and have them on the disk."""
    with source.open("rb") as original, path.open("xb") as copy:
        shutil.copyfileobj(original, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())


def rename(source: Path, path: Path, *, replace: bool) -> None:
    """Give a file its name, durably. Raises `FileExistsError` where the name is taken and may not be."""
    if replace:
        source.replace(path)
    else:
        _rename_only(source, path)
    for folder in {source.parent, path.parent}:
        sync_folder(folder)


def _rename_only(source: Path, path: Path) -> None:
    """Rename without replacing, in one step: nobody can take the name between a look and the move."""
    done = libc.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(path), NOREPLACE)
    if done == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number), str(source), None, str(path))
    # A file system without that step, such as NFS: a look and a move have to do.
    if path.exists() or path.is_symlink():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    source.rename(path)


def taken_back(temporary: Path) -> bool:
    """Take a file back that somebody was about to give its name; False when that has been done.

    Only one of both can have it: a worker that was believed dead and wakes up finds nothing to place any more.
    """
    taken = temporary.with_name(f"{temporary.name}.taken")
    try:
        temporary.rename(taken)
    except FileNotFoundError:
        return taken.exists()
    return True


def remove_left(folder: Path, prefix: str) -> None:
    """Remove what earlier workers left half made."""
    for path in folder.iterdir():
        if path.name.startswith(prefix):
            path.unlink(missing_ok=True)


def numbered(name: str) -> Iterator[str]:
    """Give a name, and then the same one with numbers before its endings: a.csv, a-2.csv, a-3.csv …"""
    stem, point, endings = name.partition(".")
    yield name
    number = 1
    while True:
        number += 1
        yield f"{stem}-{number}{point}{endings}"


def digest(path: Path) -> tuple[str, int]:
    """Give the SHA-256 of a file and its size."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return found, path.stat().st_size


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, not only the bytes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems do not know this of folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


@contextmanager
def locked(
    locks: Path, path: Path, *, seconds: float = LOCK_SECONDS, wait: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Hold the lock that all runs ask for before they change `path`. It falls with whoever holds it.

    Raises `TransientError` when another one keeps it for too long.
    """
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    with (locks / name).open("wb") as file:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TransientError(
                        f"Another run has been writing “{path.name}” for {seconds:.0f} s. Run again when it is done.",
                        code="file.busy",
                    ) from None
                wait(0.1)
        yield
