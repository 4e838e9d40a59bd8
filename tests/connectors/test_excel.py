"""Workbooks as people make them: merged cells, formulas, several sheets, ragged ends, and very many rows."""

import resource
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.formatting.rule import CellIsRule
from openpyxl.styles import Font, PatternFill
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.table import Table

from integrations.connectors.excel import write_rows
from tests.connectors.test_files import opened_source, read, refusal, workbook


def saved(book: Workbook, tmp_path: Path) -> Path:
    path = tmp_path / "customers.xlsx"
    book.save(path)
    return path


def with_value(path: Path, formula: str, value: str) -> Path:
    """Put the value that Excel would have computed beside a formula, which openpyxl does not write."""
    other = path.with_name("computed.xlsx")
    with zipfile.ZipFile(path) as packed, zipfile.ZipFile(other, "w") as whole:
        for part in packed.infolist():
            content = packed.read(part)
            if part.filename == "xl/worksheets/sheet1.xml":
                before = f"<f>{formula}</f><v />".encode()
                assert before in content
                content = content.replace(before, f"<f>{formula}</f><v>{value}</v>".encode())
            whole.writestr(part, content)
    return other


def test_a_formula_gives_the_value_that_was_computed(tmp_path: Path) -> None:
    path = with_value(workbook(tmp_path, ["Price", "Total"], [2.5, "=A2*4"]), "A2*4", "10")
    assert read(path, "excel")[1] == [["2.5", "10"]]


def test_a_formula_that_was_never_computed_is_a_defect_of_its_row_and_not_blank(tmp_path: Path) -> None:
    path = workbook(tmp_path, ["Price", "Total"], [2.5, "=A2*4"], [1, 4])
    assert read(path, "excel")[2] == {
        1: "Row 2 holds a formula in Total that was never computed. Open the workbook in Excel and save it."
    }


def test_a_formula_that_gives_an_empty_text_is_blank(tmp_path: Path) -> None:
    path = with_value(workbook(tmp_path, ["Price", "Total"], [2.5, '=IF(A2>1,"","x")']), 'IF(A2&gt;1,"","x")', "")
    computed = path.with_name("empty.xlsx")
    with zipfile.ZipFile(path) as packed, zipfile.ZipFile(computed, "w") as whole:
        for part in packed.infolist():
            whole.writestr(part, packed.read(part).replace(b'<c r="B2"', b'<c r="B2" t="str"'))
    assert read(computed, "excel") == (("Price", "Total"), [["2.5", ""]], {})


def test_a_merged_cell_holds_its_value_once_at_its_beginning(tmp_path: Path) -> None:
    book = Workbook()
    page = book.active
    assert page is not None
    for row in (["Group", "Name"], ["A", "x"], [None, "y"]):
        page.append(row)
    page.merge_cells("A2:A3")
    assert read(saved(book, tmp_path), "excel")[1] == [["A", "x"], ["", "y"]]


def test_the_first_of_several_sheets_is_read_or_the_one_that_is_named(tmp_path: Path) -> None:
    book = Workbook()
    assert book.active is not None
    book.active.append(["First"])
    book.active.append(["1"])
    second = book.create_sheet("Second")
    second.append(["Other"])
    second.append(["2"])
    path = saved(book, tmp_path)
    assert read(path, "excel")[:2] == (("First",), [["1"]])
    assert read(path, "excel", sheet="Second")[:2] == (("Other",), [["2"]])


def test_rows_and_columns_that_only_look_used_are_no_data(tmp_path: Path) -> None:
    path = workbook(tmp_path, ["A", "B", None], ["1", "2", None], [None, None], ["3"], *[[None, None]] * 500)
    assert read(path, "excel") == (("A", "B"), [["1", "2"], ["3", ""]], {})


def test_numbers_dates_and_texts_keep_their_meaning(tmp_path: Path) -> None:
    cells = [0.25, -0.0, 2**40, "00123", "007.50", date(1900, 3, 1), datetime(2026, 1, 31, 23, 59, 59), time(8, 30)]
    path = workbook(tmp_path, [f"C{n}" for n in range(len(cells))], cells)
    assert read(path, "excel")[1] == [
        ["0.25", "0", "1099511627776", "00123", "007.50", "1900-03-01", "2026-01-31 23:59:59", "08:30:00"]
    ]


def test_what_decorates_a_workbook_does_not_keep_it_from_being_read(tmp_path: Path) -> None:
    book = Workbook()
    page = book.active
    assert page is not None
    for row in (["Number", "Since", "Price"], ["00123", date(2026, 1, 31), 2.5], ["00124", date(2026, 2, 1), 3]):
        page.append(row)
    page["A2"].comment = Comment("a remark", "Vera")
    page["A3"].hyperlink = "https://example.test/"
    page["B2"].number_format, page["C2"].number_format = '[$-409]d"." mmm yyyy', '#,##0.00 "€"'
    page["C2"].font, page["C2"].fill = Font(bold=True), PatternFill("solid", "FFFF00")
    page.conditional_formatting.add("C2:C3", CellIsRule(operator="greaterThan", formula=["2"], font=Font(italic=True)))
    choice = DataValidation(type="list", formula1='"00123,00124"')
    page.add_data_validation(choice)
    choice.add("A2:A3")
    page.add_table(Table(displayName="Prices", ref="A1:C3"))
    page.freeze_panes, page.auto_filter.ref, page.protection.sheet = "A2", "A1:C3", True
    book.defined_names["numbers"] = DefinedName("numbers", attr_text="Sheet!$A$2:$A$3")
    chart = BarChart()
    chart.add_data(Reference(page, min_col=3, min_row=1, max_row=3), titles_from_data=True)
    page.add_chart(chart, "E2")
    alone = BarChart()
    alone.add_data(Reference(page, min_col=3, min_row=1, max_row=3), titles_from_data=True)
    book.create_chartsheet("Chart").add_chart(alone)
    assert read(saved(book, tmp_path), "excel")[1] == [["00123", "2026-01-31", "2.5"], ["00124", "2026-02-01", "3"]]


def test_a_workbook_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    assert "names the column “A” twice" in refusal(workbook(tmp_path, ["A", "B", "A"], [1, 2, 3]), "excel")


def test_an_empty_sheet_names_no_column(tmp_path: Path) -> None:
    assert "names no column" in refusal(workbook(tmp_path), "excel")


def test_a_workbook_of_many_rows_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "many.xlsx"
    rows = 12_000
    assert write_rows(path, ["Number", "Name", "Zip"], ([f"C{n}", f"Name {n}", "00123"] for n in range(rows))) == rows
    source = opened_source(path, "excel")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = 0
    for batch in source.read():
        assert batch.rows[0][0] == f"C{found}" and batch.rows[0][2] == "00123"
        found += len(batch.rows)
    source.close()
    assert found == rows
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 20


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["00123", "=1+1", "@x", "Köhler\nSöhne"], ["-5", "+1", "#N/A", ""]]
    path = tmp_path / "out.xlsx"
    write_rows(path, ["A", "B", "C", "D"], rows, sheet="A name that is much longer than Excel allows")
    assert read(path, "excel")[1] == rows
    page = load_workbook(path).active
    assert page is not None
    assert {cell.data_type for row in page.iter_rows(min_row=2) for cell in row if cell.value} == {"s"}


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + b"\0" * 18], ids=["nothing", "an empty archive"])
def test_what_is_no_workbook_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "customers.xlsx"
    path.write_bytes(content)
    assert "“customers.xlsx”" in refusal(path, "excel")
