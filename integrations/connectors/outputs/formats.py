"""How records become the bytes of a file: delimited text, or an Excel workbook.

A format packs the records of a segment into a piece, and later writes the pieces of all segments into one file.
"""

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from integrations.connectors.delimited import ENCODINGS
from integrations.connectors.excel import SHEET_NAME_CHARS, cell_of
from integrations.engine.batch import Record
from integrations.engine.errors import DefinitionError
from integrations.engine.plan import Line
from integrations.engine.typed import ORDERS, TOKENS

WITH_MARK = "utf-8-sig"
MARKS = {WITH_MARK: b"\xef\xbb\xbf", "utf-16": b"\xff\xfe"}
CODECS = {WITH_MARK: "utf-8", "utf-16": "utf-16-le"}
"""How what follows the mark of such a file is encoded."""
FILE_ENCODINGS = (ENCODINGS[0], (WITH_MARK, "UTF-8 with a mark, as Excel expects it"), *ENCODINGS[1:])
ENDS = {"crlf": "\r\n", "lf": "\n"}
PLAIN_NUMBER = re.compile(r"[+-][\d\s().,/-]*")
DIGITS_OF_A_CELL = 15
CHARS_OF_A_CELL = 32_767
ROWS_OF_A_SHEET = 1_048_576
READ: Mapping[str, Callable[[str], Any]] = {"t": datetime.fromisoformat, "d": date.fromisoformat, "n": Decimal}
FIRST_DAY = date(1900, 3, 1)
"""Before it, Excel counts a day that never was."""


class Format(Protocol):
    """Packs and writes the records of one line."""

    def pack(self, records: Sequence[Record]) -> bytes:
        """Give the piece of these records. Raises `ValueError` where one of them cannot be written."""

    def fault(self, record: Record) -> tuple[str, str] | None:
        """Say why a record cannot be written: the field, and the reason; None when it can."""

    def write(self, pieces: Iterable[Path], path: Path, *, behind: Path | None = None) -> None:
        """Write the file of these pieces, behind the bytes of another one of the same columns where there is one."""


class Delimited:
    """Delimited text. Its header stands once, above everything that is appended later."""

    def __init__(self, options: Mapping[str, Any], line: Line) -> None:
        self.columns = [item.target for item in line.fields]
        self.has_header = bool(options["header"])
        self._encoding = str(options["encoding"])
        self._codec = CODECS.get(self._encoding, self._encoding)
        self._end = ENDS[str(options["line_end"])]
        self._delimiter = "\t" if options["delimiter"] == "tab" else str(options["delimiter"])
        self._quoting: Literal[0, 1] = csv.QUOTE_ALL if options["quoting"] == "all" else csv.QUOTE_MINIMAL
        self._mark = "," if options["decimal_mark"] == "," else "."
        self._date, self._moment = picture(options["date_format"]), picture(options["datetime_format"])
        self._guards = bool(options["guard"])

    def pack(self, records: Sequence[Record]) -> bytes:
        words = self._words
        return self._bytes([[words(value) for value in record] for record in records])

    def fault(self, record: Record) -> tuple[str, str] | None:
        for column, value in zip(self.columns, record, strict=True):
            try:
                self._words(value).encode(self._codec)
            except UnicodeEncodeError as error:
                letter = error.object[error.start]
                shown = f"“{letter}”" if letter.isprintable() else f"U+{ord(letter):04X}"
                return column, f"{self._encoding.upper()} has no {shown}"
        return None

    def write(self, pieces: Iterable[Path], path: Path, *, behind: Path | None = None) -> None:
        with path.open("xb") as file:
            if behind is not None:
                with behind.open("rb") as before:
                    shutil.copyfileobj(before, file)
                if not self._ends_a_line(behind):
                    file.write(self._end.encode(self._codec))
            else:
                file.write(MARKS.get(self._encoding, b""))
                if self.has_header:
                    file.write(self._bytes([self.columns]))
            for piece in pieces:
                with piece.open("rb") as packed:
                    shutil.copyfileobj(packed, file)

    def refuse_others(self, path: Path) -> None:
        """Raise `DefinitionError` when what stands in a file could not be gone on with."""
        if not self.has_header:
            return
        try:
            with path.open(encoding=self._encoding, newline="") as file:
                header = next(csv.reader(file, delimiter=self._delimiter), [])
        except (UnicodeError, csv.Error) as error:
            raise DefinitionError(
                f"“{path.name}” cannot be appended to: it is no text in {self._encoding.upper()}. Correct the encoding "
                "on the Target tab, or choose another name.",
                code="file.encoding",
            ) from error
        if header != self.columns:
            raise DefinitionError(
                f"“{path.name}” cannot be appended to: its columns are {', '.join(header) or 'none'}, and this "
                f"integration writes {', '.join(self.columns)}. Correct the mapping, or choose another name.",
                code="file.columns",
            )

    def _ends_a_line(self, path: Path) -> bool:
        """Say whether the next record can follow at once: the file is empty, or its last line is ended."""
        size, mark = path.stat().st_size, len(MARKS.get(self._encoding, b""))
        end = "\n".encode(self._codec)
        if size <= mark:
            return True
        with path.open("rb") as file:
            file.seek(max(0, size - len(end)))
            return file.read() == end

    def _bytes(self, rows: list[list[str]]) -> bytes:
        text = io.StringIO(newline="")
        few, all_quoted = self._writer(text, self._quoting), self._writer(text, csv.QUOTE_ALL)
        for row in rows:
            # Readers take a lone CR for the end of a line as well, and the writer quotes the ends alone that it writes.
            (all_quoted if any("\r" in value for value in row) else few).writerow(row)
        return text.getvalue().encode(self._codec)

    def _writer(self, text: io.StringIO, quoting: Literal[0, 1]) -> Any:
        return csv.writer(text, delimiter=self._delimiter, quoting=quoting, lineterminator=self._end)

    def _words(self, value: Any) -> str:
        if isinstance(value, str):
            return f"'{value}" if self._guards and is_formula(value) else value
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, datetime):
            return value.strftime(self._moment) + (value.strftime("%z") if value.tzinfo else "")
        if isinstance(value, date):
            return value.strftime(self._date)
        text = f"{value:f}" if isinstance(value, Decimal) else str(value)
        return text.replace(".", self._mark)


class Excel:
    """A workbook. Text is text, `00123` and `=1+1` included; numbers and dates are cells of their kind.

    What a cell would change (a number of more than 15 digits, a day before 1900-03-01) cannot be written.
    """

    has_header = True

    def __init__(self, options: Mapping[str, Any], line: Line) -> None:
        self.columns = [item.target for item in line.fields]
        self._sheet = str(options["sheet"] or "Rows")[:SHEET_NAME_CHARS]

    def pack(self, records: Sequence[Record]) -> bytes:
        for record in records:
            if any(_unfit(value) for value in record):
                raise ValueError("a value that no cell can hold")
        return b"".join(json.dumps(list(map(_plain, record))).encode() + b"\n" for record in records)

    def fault(self, record: Record) -> tuple[str, str] | None:
        found = ((column, _unfit(value)) for column, value in zip(self.columns, record, strict=True))
        return next(((column, reason) for column, reason in found if reason), None)

    def write(self, pieces: Iterable[Path], path: Path, *, behind: Path | None = None) -> None:
        book = Workbook(write_only=True)
        with _temporary_files_in(path.parent), path.open("xb") as file:
            page, used = self._page(book), 1
            for piece in pieces:
                with piece.open("rb") as packed:
                    for record in packed:
                        if used == ROWS_OF_A_SHEET:
                            page, used = self._page(book), 1
                        page.append([cell_of(page, _value(item)) for item in json.loads(record)])
                        used += 1
            book.save(file)

    def _page(self, book: Workbook) -> Any:
        """Begin a sheet. What does not fit on one goes on on the next one."""
        number = len(book.worksheets) + 1
        title = self._sheet if number == 1 else f"{self._sheet[: SHEET_NAME_CHARS - 5]} {number}"
        page = book.create_sheet(title)
        page.append([cell_of(page, name) for name in self.columns])
        return page


FORMATS: Mapping[str, type[Delimited] | type[Excel]] = {"csv": Delimited, "xlsx": Excel}


def is_formula(text: str) -> bool:
    """Say whether a spreadsheet may take a text for a formula. A plain number with its sign does no harm."""
    if text[:1] in ("=", "@", "\t", "\r"):
        return True
    return text[:1] in ("+", "-") and not PLAIN_NUMBER.fullmatch(text)


def picture(form: Any) -> str:
    """Give the pattern of strftime for a picture such as DD.MM.YYYY. Raises `DefinitionError` for none."""
    text = str(form or "").strip()
    pattern = ORDERS.get(text.upper(), text)
    for token, code in TOKENS:
        pattern = pattern.replace(token, code)
    if not all(code in pattern for code in ("%m", "%d")) or not {"%Y", "%y"} & set(re.findall("%.", pattern)):
        raise DefinitionError(f"“{text}” is no date format. Write it as DD.MM.YYYY or YYYY-MM-DD hh:mm:ss.")
    return pattern


def _unfit(value: Any) -> str:
    """Say why a cell would change a value, or ""."""
    if isinstance(value, str):
        if len(value) > CHARS_OF_A_CELL:
            return f"a cell takes {CHARS_OF_A_CELL:,} characters, and this text has {len(value):,}"
        bad = ILLEGAL_CHARACTERS_RE.search(value) or re.search("[\ud800-\udfff]", value)
        return f"no cell can hold the character U+{ord(bad[0]):04X}" if bad else ""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        digits = len(Decimal(value).normalize().as_tuple().digits)
        more = f"a cell keeps {DIGITS_OF_A_CELL} digits, and this number has {digits}. Declare the field as text"
        return more if digits > DIGITS_OF_A_CELL else ""
    if isinstance(value, date):
        day = value.date() if isinstance(value, datetime) else value
        return f"a cell holds no day before {FIRST_DAY}. Declare the field as text" if day < FIRST_DAY else ""
    return ""


def _plain(value: Any) -> Any:
    """Give a value as JSON keeps it with its kind."""
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo else ["t", value.isoformat()]
    if isinstance(value, date):
        return ["d", value.isoformat()]
    return ["n", str(value)] if isinstance(value, Decimal) else value


def _value(item: Any) -> Any:
    if not isinstance(item, list):
        return item
    kind, text = item
    return READ[kind](text)


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let openpyxl keep its pieces where they are removed with the run's own, even after a kill."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
