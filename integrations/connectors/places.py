"""Where a connection may look on the server's own disk: inside the folders the installation opens, nowhere else. What
holds for folders anywhere stands here, too."""

from collections.abc import Sequence
from pathlib import Path

from integrations.connectors.spec import FoundFile, Opened
from integrations.engine.errors import AdministratorError, DefinitionError, SourceError

HIDDEN = ".waybill-"
"""How the name of a file begins that is still being made. Sources do not see it."""


def folder_of(opened: Opened) -> Path:
    """Give the folder of a connection, links resolved. Raises `WaybillError` where it is not there or not allowed."""
    path = allowed_path(str(opened.settings.get("path") or ""), opened.folders)
    if not path.is_dir():
        raise DefinitionError(
            f"There is no folder “{path}” on the server. Correct the path of the connection {opened.name}.",
            code="folder.missing",
        )
    return path


def see_that_a_file_is_meant(opened: Opened, pattern: str, files: Sequence[FoundFile], folders: Sequence[str]) -> None:
    """Raise `SourceError` where only folders match: whoever put one there meant a file."""
    if folders and not files:
        raise SourceError(
            f"“{folders[0]}” at {opened.name} is a folder, and a run reads a file. Put the file itself there, or correct "
            f"the pattern {pattern}.",
            code="source.folder",
        )


def allowed_path(text: str, folders: Sequence[Path]) -> Path:
    """Give the real path behind `text`, links resolved, when it lies in one of `folders` (a root may be one file).

    Raises `DefinitionError` for no or a relative path, `AdministratorError` for a path outside of every folder.
    Whether something exists there is for the caller to find out.
    """
    if not text.strip() or "\0" in text:
        raise DefinitionError("No path is given. Enter the full path, as the server sees it.", code="path.missing")
    path = Path(text.strip())
    if not path.is_absolute():
        raise DefinitionError(
            f"“{path}” is not a full path. Enter it from the root, as the server sees it.", code="path.relative"
        )
    real = path.resolve()
    if not lies_within(real, folders):
        raise AdministratorError(
            f"“{path}” lies outside of the folders that this installation opens to connections: "
            f"{', '.join(map(str, folders)) or 'none'}. Choose a path inside of them, or ask the Owner to add its folder to WAYBILL_FOLDERS.",
            code="path.outside",
        )
    return real


def lies_within(real: Path, folders: Sequence[Path]) -> bool:
    """Say whether a resolved path is one of the folders or lies below one."""
    return any(real.is_relative_to(folder.resolve()) for folder in folders)
