"""Exports as they come and go: one file, a .zip of many, or a folder that may live in version control.

Nothing of an archive is ever unpacked to a disk, and no name in it is used as a path: a thing is what its file says.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from integrations.engine.errors import AdministratorError
from integrations.exchange.plans import text_of
from integrations.exchange.text import LONGEST, NotTaken, read
from integrations.exchange.things import FOLDERS, FORMAT, File

MOST_FILES = 5_000
MOST_BYTES = 64 * 1024 * 1024
"""Of all files of an export together, unpacked."""
HEADER = b"waybill: "
ENDINGS = (".yaml", ".yml")
SAME_TIME = (1980, 1, 1, 0, 0, 0)
"""An archive of the same things is the same bytes."""


@dataclass(frozen=True)
class Thing:
    """A thing as its file tells it. `data` holds what comes after its kind and name; `where` names the file."""

    kind: str
    name: str
    data: dict[str, Any]
    where: str


def zipped(files: Sequence[File]) -> bytes:
    """Give files as an archive that `read_upload` takes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.path, SAME_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.text.encode())
    return packed.getvalue()


def write_folder(files: Sequence[File], folder: Path) -> list[str]:
    """Bring a folder to what `files` say and tell each change: written, or removed with its thing.

    Only files that an export wrote are ever removed, and only in the folders of an export.
    """
    told = []
    wanted = {file.path for file in files}
    for file in files:
        path, content = folder / file.path, file.text.encode()
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            told.append(f"written: {file.path}")
    for name in FOLDERS.values():
        for path in sorted((folder / name).glob("*.yaml")):
            relative = f"{name}/{path.name}"
            if relative not in wanted and path.read_bytes().startswith(HEADER):
                path.unlink()
                told.append(f"removed: {relative}")
    return told


def read_folder(folder: Path) -> list[Thing]:
    """Read the files of an export from a folder. Others may lie beside them."""
    if not folder.is_dir():
        raise AdministratorError(f"{folder} is no folder. Name the one that was exported to.", code="import.folder")
    paths = [path for name in FOLDERS.values() for path in sorted((folder / name).glob("*.y*ml"))]
    return _things((str(path.relative_to(folder)), path.open("rb")) for path in paths)


def read_upload(file: BinaryIO, name: str) -> list[Thing]:
    """Read what was uploaded: one file of an export, or a .zip of some. Raises `NotTaken` with the reason for none."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        return _things([(name, io.BytesIO(file.read(LONGEST * 4 + 1)))])
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(ENDINGS)]
            return _things((entry.filename, _opened(archive, entry)) for entry in entries)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, UnicodeDecodeError) as error:
        raise NotTaken(f"“{name}” is a damaged archive. Export it again.") from error


def _opened(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    try:
        return archive.open(entry)  # type: ignore[return-value]
    except RuntimeError as error:
        raise NotTaken("The archive has a password. Make one without.") from error


def _things(files: "Iterator[tuple[str, Any]] | list[tuple[str, Any]]") -> list[Thing]:
    """Read every file that says it is of an export, in the order of their kinds; one that says nothing is left alone."""
    things: dict[tuple[str, str], Thing] = {}
    room, others = MOST_BYTES, ""
    for number, (name, file) in enumerate(files, start=1):
        with file:
            # What an archive says of its sizes may be wrong: only what is read counts.
            content = file.read(min(LONGEST * 4, room) + 1)
        room -= len(content)
        if room < 0 or number > MOST_FILES:
            raise NotTaken(
                f"These are more than {MOST_FILES:,} files or {MOST_BYTES:,} bytes. Import them in several parts."
            )
        if not content.startswith(HEADER):
            others = others or name
            continue
        thing = _thing(content, PurePosixPath(name).name if len(name) > 200 else name)
        if other := things.get((thing.kind, thing.name)):
            raise NotTaken(f"{other.where} and {thing.where} are both the {thing.kind} {thing.name}. Keep one of them.")
        things[thing.kind, thing.name] = thing
    if not things:
        beside = f" {others} does not begin with “waybill: {FORMAT}”." if others else ""
        raise NotTaken(f"There is no file of an export in it.{beside} Choose a .yaml or .zip that Waybill exported.")
    order = list(FOLDERS)
    return sorted(things.values(), key=lambda thing: (order.index(thing.kind), thing.name))


def _thing(content: bytes, name: str) -> Thing:
    try:
        data = read(content.decode(), name)
    except UnicodeDecodeError as error:
        raise NotTaken(f"{name} is not UTF-8 text. Save it as UTF-8.") from error
    if not isinstance(data, dict):
        raise NotTaken(f"{name} holds no names with values. Choose a file that Waybill exported.")
    if (number := data.pop("waybill", None)) != FORMAT:
        raise NotTaken(f"{name} is of format {str(number)[:20]}; this Waybill reads format {FORMAT}.")
    kind, called = (text_of(data.pop(key, ""), f"{name}, {key}") for key in ("kind", "name"))
    if kind not in FOLDERS:
        raise NotTaken(f"{name}: there is no kind of thing “{kind[:40]}”. Known are {', '.join(FOLDERS)}.")
    if not called:
        raise NotTaken(f"{name} does not say the name of its {kind}. Add “name: …”.")
    return Thing(kind, called, data, name)
