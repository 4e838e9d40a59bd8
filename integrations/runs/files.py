"""Files that came in, kept by the hash of their content: two files of one name can never mix."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO

from django.conf import settings
from django_scopes import scopes_disabled

from accounts.models import Company, User
from integrations.models import StoredFile

CHUNK_BYTES = 1 << 20
NAME_LENGTH = 255
ASIDE = ".discarded"
LEFT_BEHIND_AFTER = timedelta(days=1)
"""No upload and no spooling goes on for that long without a write."""


def store(
    company: Company, file: IO[bytes], *, name: str, by: User | None, look_up: Callable[[], None] = lambda: None
) -> StoredFile:
    """Keep the bytes of `file`, read from where it stands, and give their row.

    The bytes are on the disk under their SHA-256 before the row exists. `name` is shown and never becomes a path.
    `look_up` is called with every piece; when it raises, nothing is kept.
    """
    incoming = _folder(settings.FILES_DIR / "incoming")
    digest = hashlib.sha256()
    size_bytes = 0
    handle, temporary = tempfile.mkstemp(dir=incoming)
    try:
        with os.fdopen(handle, "wb") as copy:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
                copy.write(chunk)
                look_up()
            copy.flush()
            os.fsync(copy.fileno())
        _keep(Path(temporary), digest.hexdigest())
    finally:
        Path(temporary).unlink(missing_ok=True)
    return StoredFile.objects.create(
        company=company, name=clean_name(name), sha256=digest.hexdigest(), size_bytes=size_bytes, uploaded_by=by
    )


def sweep(older_than: timedelta = LEFT_BEHIND_AFTER) -> int:
    """Remove what a process that was killed left half written: spools, uploads, files that came in. Gives how many."""
    for aside in Path(settings.FILES_DIR).glob(f"*/*{ASIDE}"):
        # Whoever put it aside died before it was looked at again: nothing that may be wanted is removed.
        aside.rename(aside.with_suffix(""))
    data, since = Path(settings.DATA_DIR), time.time() - older_than.total_seconds()
    left = [*data.glob("spool-*"), *data.glob("*.upload*"), *(Path(settings.FILES_DIR) / "incoming").glob("*")]
    removed = 0
    for path in left:
        # Whoever is faster, another machine or the owner after all, has removed it already.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < since:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed += 1
    return removed


def discard(sha256: str, is_wanted: Callable[[], bool]) -> None:
    """Remove the bytes of a content that no row names any more.

    They are put aside first and looked at again: a file of this content that just came in has no row yet.
    """
    place = _place(sha256)
    aside = place.with_suffix(ASIDE)
    with suppress(FileNotFoundError):
        place.rename(aside)
        if is_wanted() or time.time() - aside.stat().st_mtime < LEFT_BEHIND_AFTER.total_seconds():
            aside.rename(place)
        else:
            aside.unlink()


def discard_unwanted(sha256: str) -> None:
    """Give the disk back, unless a file of any company has the same content."""

    def is_wanted() -> bool:
        with scopes_disabled():
            return StoredFile.objects.filter(sha256=sha256).exists()

    discard(sha256, is_wanted)


def path_of(stored: StoredFile) -> Path:
    """Give the place of a stored file's bytes. They are read there, never written."""
    return _place(stored.sha256)


def clean_name(name: str) -> str:
    """Give the last part of what a browser or system called the file, without control characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in last if letter.isprintable())[-NAME_LENGTH:] or "file"


def _keep(temporary: Path, sha256: str) -> None:
    place = _place(sha256)
    folder = _folder(place.parent)
    temporary.replace(place)
    # The name itself must survive a power loss, not only the bytes.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _place(sha256: str) -> Path:
    return Path(settings.FILES_DIR) / sha256[:2] / sha256


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
