"""Parses one workbook in a process of its own, with little memory and no way out. Started by `excel`, never imported.

Gets {"workbook", "spool", "sheet", "header_row", "locks", "parent"} as its argument, the first two as open files, and
locks itself in (see `egress.lock_in`) before it looks at the workbook. Writes the spool (see `connectors.spool`) and
says {"ok": true} or {"ok": false, "sentence", "code"}.
"""

import codecs
import gzip
import importlib
import io
import json
import os
import resource
import sys
from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

MEMORY_BYTES = 1 << 30
SPOOL_BYTES = 2 << 30
ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "ascii", "cp437", "cp1252", "iso8859-15")
"""What the parts of a workbook, and the names in it, are written in."""
CPU_SECONDS = 300
BATCH_ROWS = 2_000
COLUMNS_CAP = 16_384
ERRORS = {"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"}
UNCOMPUTED = "(not computed)"
"""Stands where a formula has no value yet. Programs write such workbooks; what is meant must not arrive as blank."""


class Refused(Exception):
    def __init__(self, sentence: str, code: str = "source.workbook") -> None:
        super().__init__(sentence)
        self.sentence, self.code = sentence, code


def main() -> dict[str, Any]:
    asked = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    from openpyxl import Workbook, load_workbook

    tell_uncomputed()
    warm_up(Workbook, load_workbook)
    with os.fdopen(asked["workbook"], "rb") as workbook, os.fdopen(asked["spool"], "wb") as spooled:
        sys.path.append(asked["locks"])
        locks = importlib.import_module("lock_in")
        locks.lock_in(asked["parent"], address_bytes=MEMORY_BYTES, file_bytes=SPOOL_BYTES)
        try:
            book = load_workbook(workbook, read_only=True, data_only=True, keep_links=False)
            spool(sheet_of(book, asked["sheet"]), spooled, asked["header_row"])
        except Refused as error:
            return {"ok": False, "sentence": error.sentence, "code": error.code}
        except MemoryError:
            return {"ok": False, "sentence": "it needs more memory than a workbook may. Save it as CSV."}
        except Exception:
            # Whatever the parser stumbles over, a person can only do this.
            return {"ok": False, "sentence": "it is damaged. Save it again in Excel."}
    return {"ok": True}


def tell_uncomputed() -> None:
    """Have the parser tell a formula without a value from an empty cell; by itself it calls both empty."""
    from openpyxl.worksheet import _reader

    parse = _reader.WorkSheetParser.parse_cell

    def parse_cell(self: Any, element: Any) -> Any:
        cell = parse(self, element)
        # A formula that gives an empty text says so ("str").
        if cell["value"] is None and element.get("t") != "str" and element.find(_reader.FORMULA_TAG) is not None:
            cell["value"] = UNCOMPUTED
        return cell

    _reader.WorkSheetParser.parse_cell = parse_cell  # type: ignore[method-assign]


def warm_up(workbook: Any, load_workbook: Any) -> None:
    """Read a workbook of our own, so that whatever is imported on the way is there before nothing can be opened."""
    for encoding in ENCODINGS:
        codecs.lookup(encoding)
    book = workbook()
    book.active.append(
        ["text", 1, 0.5, True, datetime(2026, 1, 31, 14, 30), date(2026, 1, 31), time(1), "=1+1", "#N/A"]
    )
    packed = io.BytesIO()
    book.save(packed)
    for row in load_workbook(packed, read_only=True, data_only=True, keep_links=False).active.iter_rows():
        [cell.value for cell in row]


def sheet_of(book: Any, name: str) -> Any:
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if not sheets:
        raise Refused("it has no sheet with cells.", "source.empty")
    if name and name not in sheets:
        raise Refused(f"it has no sheet “{name}”. It has: {', '.join(list(sheets)[:10])}.", "source.sheet")
    return sheets[name] if name else next(iter(sheets.values()))


def spool(sheet: Any, spooled: BinaryIO, header_row: int) -> None:
    # What the file says of its own size may be a lie; without it, rows are read as they come.
    sheet.reset_dimensions()
    rows = sheet.iter_rows(min_row=header_row, values_only=True)
    columns = header_of(next(rows, None), header_row)
    width = len(columns)
    with (
        gzip.GzipFile(fileobj=spooled, mode="wb", compresslevel=1) as packed,
        io.TextIOWrapper(packed, "utf-8") as file,
    ):
        file.write(json.dumps(columns) + "\n")
        batch: list[list[str]] = []
        lines: list[int] = []
        defects: dict[int, str] = {}
        first = 1
        for line, row in enumerate(rows, header_row + 1):
            values = [text_of(value) for value in row]
            if not any(values):
                continue
            if any(values[width:]):
                defects[len(batch)] = f"Row {line} has values beside the last named column."
            wrong = next((value for value in values[:width] if value in ERRORS or value is UNCOMPUTED), None)
            if wrong:
                defects[len(batch)] = defect_of(line, columns[values.index(wrong)], wrong)
            batch.append((values + [""] * width)[:width])
            lines.append(line)
            if len(batch) == BATCH_ROWS:
                file.write(json.dumps([first, batch, lines, defects]) + "\n")
                first += len(batch)
                batch, lines, defects = [], [], {}
        if batch:
            file.write(json.dumps([first, batch, lines, defects]) + "\n")


def defect_of(line: int, column: str, wrong: str) -> str:
    if wrong is UNCOMPUTED:
        return (
            f"Row {line} holds a formula in {column} that was never computed. Open the workbook in Excel and save it."
        )
    return f"Row {line} holds the Excel error {wrong} in {column}."


def header_of(row: Any, number: int) -> list[str]:
    names = [text_of(value).strip() for value in row or ()]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise Refused(f"row {number} of the sheet names no column. Choose the row of the column names.", "source.empty")
    if len(names) > COLUMNS_CAP:
        raise Refused(f"it has {len(names):,} columns; {COLUMNS_CAP:,} is the most.", "source.columns")
    columns = [name or f"Column {place}" for place, name in enumerate(names, 1)]
    twice = [name for name, times in Counter(columns).items() if times > 1]
    if twice:
        raise Refused(f"row {number} names the column “{twice[0]}” twice.", "source.duplicate_header")
    return columns


def text_of(value: Any) -> str:
    """Give a cell as text: whole numbers without a point, dates as ISO 8601, text as it is."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time.min else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value.total_seconds()) if isinstance(value, timedelta) else str(value)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()))
