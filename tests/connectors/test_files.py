"""Delimited files, workbooks and folders: what is right is read exactly, what is broken is named in words."""

import gzip
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from integrations.connectors import folder
from integrations.connectors.excel import write_rows
from integrations.connectors.registry import CONNECTORS, connector, destination_kind, source_kind
from integrations.connectors.spec import Opened, SourceContext
from integrations.connectors.spool import SpooledSource, write_spool
from integrations.engine.errors import AdministratorError, DefinitionError, SourceError
from integrations.engine.plan import SourceSpec


def opened_source(path: Path, kind: str = "delimited", **options: Any) -> Any:
    return source_kind(kind).open(
        SourceContext(spec=SourceSpec(kind=kind, options=options), file=path, file_name=path.name)
    )


def read(
    path: Path, kind: str = "delimited", **options: Any
) -> tuple[tuple[str, ...], list[list[str]], dict[int, str]]:
    """Columns, rows and defects by the number of their row."""
    source = opened_source(path, kind, **options)
    rows: list[list[str]] = []
    defects = {}
    with closing(source):
        for batch in source.read():
            defects.update({batch.numbers[index]: sentence for index, sentence in batch.defects.items()})
            rows += batch.rows
        return source.columns, rows, defects


def csv(tmp_path: Path, content: bytes | str, name: str = "customers.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, kind: str = "delimited", **options: Any) -> str:
    with pytest.raises(SourceError) as refused:
        read(path, kind, **options)
    return refused.value.sentence


# ---- delimited -------------------------------------------------------------------------------------------------------


def test_text_stays_text(tmp_path: Path) -> None:
    path = csv(tmp_path, '\ufeffNumber,Name,Zip\n1,"Köhler, ""K""\nSöhne",00123\n2,=1+1, x \n')
    assert read(path) == (
        ("Number", "Name", "Zip"),
        [["1", 'Köhler, "K"\nSöhne', "00123"], ["2", "=1+1", " x "]],
        {},
    )


def test_ragged_lines_are_defects_named_by_their_physical_line(tmp_path: Path) -> None:
    _, rows, defects = read(csv(tmp_path, 'A,B\n1,"x\ny"\n2\n3,z,z\n4,ok\n'))
    assert len(rows) == 4
    assert defects == {
        2: "Line 4 has 1 value, too few: the header names 2 columns.",
        3: "Line 5 has 3 values, too many: the header names 2 columns.",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"A,B,A\n1,2,3\n", "names “A” twice, in columns 1 and 3"),
        ("A,B\n1,2\nK\u00f6hler,2\n".encode("cp1252"), "Line 3 of “customers.csv” is not UTF-8 text. Windows-1252"),
        (b"A,B\n1,\x002\n", "holds a NUL character"),
        ("A,B\n1,2\n".encode("utf-16"), "UTF-16"),
        (b'A,B\n1,"never closed\n2,3\n', "The quote opened in column 2 at line 2"),
        (b"A,B\n1," + b"x" * 10_000_100 + b"\n", "larger than 10 MB"),
        (b"PK\x03\x04rest", "an Excel workbook or a ZIP archive"),
        (b"%PDF-1.7", "a PDF document"),
        (gzip.compress(b"A,B\n"), "a gzip archive"),
    ],
    ids=["empty", "blank", "duplicate", "encoding", "nul", "utf-16", "quote", "10 MB field", "xlsx", "pdf", "gzip"],
)
def test_a_broken_file_ends_in_a_plain_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    sentence = refusal(csv(tmp_path, content))
    assert words in sentence and "customers.csv" in sentence


def test_a_header_alone_has_columns_and_no_rows(tmp_path: Path) -> None:
    assert read(csv(tmp_path, "A,B\n")) == (("A", "B"), [], {})


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert "folder" in refusal(tmp_path) or "directory" in refusal(tmp_path)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    assert "gone.csv" in refusal(tmp_path / "gone.csv")


@pytest.mark.parametrize(("delimiter", "mark"), [(";", ";"), ("tab", "\t"), ("|", "|")])
def test_other_delimiters(tmp_path: Path, delimiter: str, mark: str) -> None:
    assert read(csv(tmp_path, f"A{mark}B\n1{mark}2\n"), delimiter=delimiter)[1] == [["1", "2"]]


def test_every_reading_gives_the_same_rows(tmp_path: Path) -> None:
    source = opened_source(csv(tmp_path, "A,B\n" + "".join(f"{n},x\n" for n in range(5_000))))
    first, second = ([batch.rows for batch in source.read()] for _ in range(2))
    assert first == second and sum(map(len, first)) == 5_000


@pytest.mark.parametrize("options", [{"encoding": "klingon"}, {"delimiter": "ab"}, {"skip": "x"}, {"quote": ","}])
def test_options_that_no_file_could_follow_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(DefinitionError):
        read(csv(tmp_path, "A\n1\n"), **options)


# ---- Excel -----------------------------------------------------------------------------------------------------------


def workbook(tmp_path: Path, *rows: Any, sheet: str = "Rows") -> Path:
    book = Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(list(row))
    path = tmp_path / "customers.xlsx"
    book.save(path)
    return path


def test_cells_become_text_as_a_person_reads_them(tmp_path: Path) -> None:
    from datetime import date, datetime

    path = workbook(
        tmp_path,
        ["Number", "Count", "Rate", "Since", "At", "Flag", "Empty"],
        ["00123", 42, 0.25, date(2026, 1, 31), datetime(2026, 1, 31, 14, 30), True, None],
    )
    assert read(path, "excel")[1] == [["00123", "42", "0.25", "2026-01-31", "2026-01-31 14:30:00", "true", ""]]


def test_a_sheet_and_a_header_row_can_be_chosen(tmp_path: Path) -> None:
    path = workbook(tmp_path, ["Customers of 2026"], [], ["A", "B"], ["1", "2"], sheet="List")
    assert read(path, "excel", sheet="List", header_row=3) == (("A", "B"), [["1", "2"]], {})
    assert "no sheet “Other”. It has: List" in refusal(path, "excel", sheet="Other")


def test_an_excel_error_is_a_defect_of_its_row(tmp_path: Path) -> None:
    path = workbook(tmp_path, ["A", "B"], ["1", "#N/A"], ["2", "x"])
    assert read(path, "excel")[2] == {1: "Row 2 holds the Excel error #N/A in B."}


def test_a_text_file_named_xlsx_is_refused(tmp_path: Path) -> None:
    assert "is no Excel workbook" in refusal(csv(tmp_path, "A,B\n1,2\n", "customers.xlsx"), "excel")


def test_a_workbook_that_unpacks_to_far_too_much_is_refused(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (300 << 20))
    began = time.monotonic()
    assert "far more than a workbook of its size" in refusal(path, "excel")
    assert time.monotonic() - began < 10


READ_A_WORKBOOK = """
import sys
from pathlib import Path
from integrations.connectors.excel import ExcelSource
print(ExcelSource(Path(sys.argv[1]), "customers.xlsx").columns)
"""


def test_the_child_that_parses_a_workbook_is_locked_in_and_dies_with_its_worker(tmp_path: Path) -> None:
    path = tmp_path / "customers.xlsx"
    write_rows(path, [f"C{n}" for n in range(10)], [[str(n)] * 10 for n in range(4_000)])
    worker = subprocess.Popen([sys.executable, "-c", READ_A_WORKBOOK, str(path)], stdout=subprocess.DEVNULL)
    try:
        status = locked_in_child_of(worker.pid)
        assert "NoNewPrivs:\t1" in status.read_text()
        assert (status.parent / "environ").stat().st_size == 0
        os.kill(int(status.parent.name), signal.SIGSTOP)
    finally:
        worker.kill()
        worker.wait()
    until = time.monotonic() + 60
    while status.exists():
        assert time.monotonic() < until, "the child outlives its worker"
        time.sleep(0.05)


def locked_in_child_of(pid: int) -> Path:
    """Wait until the child of this process has locked itself in; give its status in /proc."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            status = Path(f"/proc/{child}/status")
            if status.exists() and "Seccomp:\t2" in status.read_text():
                return status
        time.sleep(0.005)
    raise AssertionError("the child never locked itself in")


def test_a_damaged_workbook_is_said_to_be_damaged(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "damaged.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<not")
    assert "it is damaged" in refusal(path, "excel")


def test_written_text_never_becomes_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    assert write_rows(path, ["=A", "B"], [["=1+1", "00123"], [5, None]]) == 2
    page = load_workbook(path).active
    assert page is not None
    assert [[cell.value for cell in row] for row in page.iter_rows()] == [["=A", "B"], ["=1+1", "00123"], [5, None]]
    assert page["A1"].data_type == page["A2"].data_type == "s"


def test_what_no_cell_can_hold_is_written_as_a_sign_for_it(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    write_rows(path, ["A\x00"], [["a\x1bb"], ["half \ud800"], ["whole 😀"]])
    page = load_workbook(path).active
    assert page is not None
    assert [cell.value for row in page.iter_rows() for cell in row] == ["A�", "a�b", "half �", "whole 😀"]


# ---- folders, spools, registry ---------------------------------------------------------------------------------------


def place(path: Path, *roots: Path) -> Opened:
    return Opened(public_id="c", name="Drop", settings={"path": str(path)}, folders=roots or (path,))


def test_a_folder_lists_what_matches_and_opens_it(tmp_path: Path) -> None:
    csv(tmp_path, "A\n1\n")
    csv(tmp_path, "x", "other.txt")
    found = folder.find(place(tmp_path), "*.csv")
    assert [file.name for file in found] == ["customers.csv"]
    with folder.open_file(place(tmp_path), found[0]) as file:
        assert file.read() == b"A\n1\n"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    secret = csv(tmp_path, "secret", "secret.csv")
    (inside / "link.csv").symlink_to(secret)
    assert folder.find(place(inside), "*.csv") == []


@pytest.mark.parametrize("pattern", ["../*.csv", "a/b", "\0"])
def test_a_pattern_names_no_folders(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(DefinitionError):
        folder.find(place(tmp_path), pattern)


def test_a_folder_outside_of_the_roots_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdministratorError, match="outside of the folders"):
        folder.find(place(Path("/etc"), tmp_path), "*")
    assert not folder.test(place(tmp_path / "missing", tmp_path)).ok
    assert folder.test(place(tmp_path)).ok


def test_a_spool_gives_the_same_rows_and_defects_again(tmp_path: Path) -> None:
    source = opened_source(csv(tmp_path, "A,B\n1,2\n3\n"))
    assert write_spool(source, tmp_path / "spool") == 2
    spooled = SpooledSource(tmp_path / "spool")
    assert spooled.columns == ("A", "B")
    assert [(b.rows, b.defects, b.first_row) for b in spooled.read()] == [
        (b.rows, b.defects, b.first_row) for b in source.read()
    ]


def test_unknown_kinds_are_definition_errors() -> None:
    for find in (connector, source_kind, destination_kind):
        with pytest.raises(DefinitionError, match="nothing"):
            find("nothing")


def test_kinds_have_keys_of_their_own() -> None:
    kinds = [kind.key for found in CONNECTORS.values() for kind in (*found.sources, *found.destinations)]
    assert len(kinds) == len(set(kinds))
