"""A folder on the server's own disk, as a door for files that are too large or too many to upload."""

import fnmatch
import os
from pathlib import Path
from typing import BinaryIO

from integrations.connectors.outputs import IN_FOLDER
from integrations.connectors.places import HIDDEN, folder_of, lies_within, see_that_a_file_is_meant
from integrations.connectors.spec import Connector, FileDoor, FoundFile, Opened, Setting, Tested
from integrations.engine.errors import AdministratorError, DefinitionError, SourceError, WaybillError
from integrations.engine.file_name import search_complaint

LISTED = 10_000


def find(opened: Opened, pattern: str) -> list[FoundFile]:
    """List the files of the folder whose names match, in the order of their names. Links out of the folders are not seen.

    Raises `SourceError` where only folders match: whoever put one there meant a file.
    """
    if said := search_complaint(pattern):
        raise DefinitionError(said)
    files, folders = _matching(opened, pattern)
    see_that_a_file_is_meant(opened, pattern, files, folders)
    return files


def _matching(opened: Opened, pattern: str) -> tuple[list[FoundFile], list[str]]:
    """Give the matching files, and the names of the folders that match as well."""
    folder = folder_of(opened)
    found: list[FoundFile] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # What a run of this product is still making is nobody's file yet.
                if entry.name.startswith(HIDDEN) or not fnmatch.fnmatch(entry.name, pattern):
                    continue
                if not entry.is_file():
                    folders += [entry.name] if entry.is_dir() else []
                    continue
                if lies_within(Path(entry.path).resolve(), opened.folders):
                    status = entry.stat()
                    found.append(
                        FoundFile(
                            path=entry.path, name=entry.name, size_bytes=status.st_size, changed_at=status.st_mtime
                        )
                    )
                if len(found) >= LISTED:
                    break
    except PermissionError as error:
        raise AdministratorError(
            f"“{folder}” may not be read by this server. Ask its administrator for access."
        ) from error
    return sorted(found, key=lambda file: file.name), sorted(folders)


def open_file(opened: Opened, file: FoundFile) -> BinaryIO:
    path = Path(file.path).resolve()
    if not lies_within(path, opened.folders):
        raise AdministratorError(f"“{file.name}” leads out of the folders that this installation opens.")
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(
            f"“{file.name}” can no longer be read: {error.strerror}. Run again when it is back."
        ) from error


def test(opened: Opened) -> Tested:
    try:
        files, _ = _matching(opened, "*")
    except WaybillError as error:
        return Tested(ok=False, sentence=error.sentence, checks=(("Read the folder", False, error.sentence),))
    words = "1 file" if len(files) == 1 else f"{len(files):,} files"
    sentence = f"The folder can be read and holds {words}."
    return Tested(ok=True, sentence=sentence, checks=(("Read the folder", True, sentence),))


CONNECTOR = Connector(
    key="folder",
    title="Server folder",
    summary="A folder on this server, from which sources fetch their files and where destinations put theirs.",
    settings=(
        Setting(name="path", label="Folder", required=True, is_path=True, help="The full path, as the server sees it."),
    ),
    test=test,
    destinations=(IN_FOLDER,),
    file_door=FileDoor(title="Server folder", find=find, open=open_file),
)
