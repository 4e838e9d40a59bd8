"""Excel workbooks: rows of one sheet as a source, and rows written to a workbook.

A workbook comes from strangers, so it is parsed in a child process with limits on time, memory and size (see
`excel_child`), which spools the rows; what the run reads is the spool. Written text never becomes a formula.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from integrations.connectors.spec import FieldKind, Setting, SourceContext, SourceKind
from integrations.connectors.spool import SpooledSource
from integrations.egress import lock_in
from integrations.engine.batch import RowBatch
from integrations.engine.errors import DefinitionError, SourceError

CHILD = Path(__file__).with_name("excel_child.py")
SECONDS = 300
LOOK_UP_SECONDS = 0.2
UNPACKED_CAP = 2 << 30
RATIO_CAP = 200
SHEET_NAME_CHARS = 31


class ExcelSource:
    """`engine.ports.Source` of one sheet. The workbook is parsed when it is first asked."""

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        sheet: str = "",
        header_row: int = 1,
        look_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._path, self._name = path, name
        self._look_up = look_up
        self._sheet, self._header_row = sheet, header_row
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._spool: SpooledSource | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self._parsed().columns

    def read(self) -> Iterator[RowBatch]:
        return self._parsed().read()

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = self._spool = None

    def _parsed(self) -> SpooledSource:
        if self._spool is None:
            self._refuse_bombs()
            self._folder = tempfile.TemporaryDirectory(prefix="workbook-")
            spool = Path(self._folder.name) / "rows"
            self._parse(spool)
            self._spool = SpooledSource(spool)
        return self._spool

    def _refuse_bombs(self) -> None:
        if not self._path.is_file() or not zipfile.is_zipfile(self._path):
            raise SourceError(
                f"“{self._name}” is no Excel workbook (.xlsx), whatever its name says. Choose a workbook, or read it "
                "as a delimited text file.",
                code="source.kind",
            )
        with zipfile.ZipFile(self._path) as archive:
            parts = archive.infolist()
        unpacked = sum(part.file_size for part in parts)
        if unpacked > UNPACKED_CAP or unpacked > RATIO_CAP * max(self._path.stat().st_size, 1 << 20):
            raise SourceError(
                f"“{self._name}” unpacks to {unpacked >> 20:,} MB, far more than a workbook of its size should. "
                "Save it again in Excel, or as CSV.",
                code="source.too_large",
            )

    def _parse(self, spool: Path) -> None:
        with self._path.open("rb") as workbook, spool.open("wb") as spooled:
            asked = {
                "workbook": workbook.fileno(),
                "spool": spooled.fileno(),
                "sheet": self._sheet,
                "header_row": self._header_row,
                "locks": str(Path(lock_in.__file__).parent),
                "parent": os.getpid(),
            }
            child = subprocess.Popen(
                [sys.executable, "-I", str(CHILD), json.dumps(asked)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                pass_fds=[workbook.fileno(), spooled.fileno()],
            )
        try:
            said: dict[str, Any] = json.loads(self._answer(child) or b"{}")
        finally:
            child.kill()
            child.communicate()
        if said.get("ok"):
            return
        reason = str(said.get("sentence") or "it is damaged, or needs more memory than a workbook may.")
        raise SourceError(f"“{self._name}” cannot be read: {reason}", code=str(said.get("code") or "source.workbook"))

    def _answer(self, child: "subprocess.Popen[bytes]") -> bytes:
        """Wait for what the child says, but no longer than somebody waits for it."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                return child.communicate(timeout=LOOK_UP_SECONDS)[0]
            except subprocess.TimeoutExpired:
                self._look_up()
        raise SourceError(f"“{self._name}” takes longer than {SECONDS} s to read. Save it as CSV.")


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, sheet: str = "Rows") -> int:
    """Write a workbook of one sheet and give the number of rows. Text stays text: nothing becomes a formula.

    What a cell cannot hold (control characters, halves of characters) is shown as “�”.
    """
    book = Workbook(write_only=True)
    page = book.create_sheet(sheet[:SHEET_NAME_CHARS])
    page.append([cell_of(page, name) for name in columns])
    written = 0
    for row in rows:
        page.append([cell_of(page, value) for value in row])
        written += 1
    book.save(path)
    return written


def cell_of(page: Any, value: Any) -> Any:
    """Give the cell of a value on a page that is being written."""
    if not isinstance(value, str):
        return value
    fitting = ILLEGAL_CHARACTERS_RE.sub("�", value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    cell = WriteOnlyCell(page, value=fitting)
    # Declared as text: a value such as "=1+1" or "00123" is shown as it is.
    cell.data_type = "s"
    cell.number_format = "@"
    return cell


def _open_source(context: SourceContext) -> ExcelSource:
    if context.file is None:
        raise DefinitionError("An Excel source needs a file. Upload one, or name a connection that has it.")
    options = context.spec.options
    try:
        header_row = int(options.get("header_row") or 1)
    except ValueError:
        raise DefinitionError("The row of the column names must be a number.") from None
    return ExcelSource(
        context.file,
        context.file_name or context.file.name,
        sheet=str(options.get("sheet") or ""),
        header_row=header_row,
        look_up=context.look_up,
    )


KIND = SourceKind(
    key="excel",
    title="Excel workbook (.xlsx)",
    open=_open_source,
    takes_file=True,
    extensions=(".xlsx", ".xlsm"),
    settings=(
        Setting(name="sheet", label="Sheet", help="Empty: the first sheet."),
        Setting(name="header_row", label="Row of the column names", kind=FieldKind.NUMBER, default=1),
    ),
)
