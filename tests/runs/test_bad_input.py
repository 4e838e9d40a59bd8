"""Files that no run can read, or not all of: each ends in a sentence that names the thing, the place and the next step,
with nothing sent that should not be and nothing lost."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from integrations.engine.plan import Column, NoData, Options, SourceSpec
from integrations.models import DocumentOutcome, Run, RunStatus
from integrations.runs.files import store
from integrations.runs.perform import perform_next
from integrations.runs.request import request_run
from tests import factories
from tests.runs.performing import Crm, fresh, process_into

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]

HEADER = "CustomerNumber,Name\n"
COLUMNS = (Column(name="CustomerNumber"), Column(name="Name"))


def ran(
    crm: Crm,
    content: bytes | str,
    *,
    kind: str = "delimited",
    name: str = "",
    options: Options | None = None,
    **form: Any,
) -> Run:
    """A run of the customers process over a file with this content, as it ended."""
    company = crm.connection.company
    source = SourceSpec(kind=kind, options=form, columns=COLUMNS)
    process = process_into(crm, source=source, options=options)
    bytes_of = content.encode() if isinstance(content, str) else content
    name = name or ("customers.xlsx" if kind == "excel" else "customers.csv")
    run = request_run(process, by=None, file=store(company, io.BytesIO(bytes_of), name=name, by=None))
    assert perform_next()
    return fresh(run)


def assert_told(run: Run) -> None:
    """The run ended with a plain sentence of its own, and accounts for all that it read."""
    assert run.is_balanced
    assert run.error_code != "internal" and run.reason.endswith("."), run.reason
    assert not any(word in run.reason for word in ("Error", "Traceback", "codec", "None")), run.reason


def workbook(*rows: Any) -> bytes:
    book, whole = Workbook(), io.BytesIO()
    assert book.active is not None
    for row in rows:
        book.active.append(list(row))
    book.save(whole)
    return whole.getvalue()


def archive(**parts: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    return whole.getvalue()


# ---- the file as a whole cannot be trusted: nothing is sent ----------------------------------------------------------

GOOD = "C1,Anna\nC2,Ben\n"
WHOLE: dict[str, tuple[bytes | str, dict[str, Any], str, list[str]]] = {
    "wrong encoding": (
        (HEADER + "C1,Anna\nC2,Köhler\n").encode("cp1252"),
        {},
        "source.encoding",
        ["Line 3 of “customers.csv” is not UTF-8 text", "Windows-1252", "choose it as the encoding"],
    ),
    "UTF-16 declared, UTF-8 given": (
        HEADER + GOOD,
        {"encoding": "utf-16"},
        "source.encoding",
        ["“customers.csv” is not UTF-16 text", "UTF-8 fits the whole file"],
    ),
    "UTF-16 that ends within a character": (
        (HEADER + GOOD).encode("utf-16")[:-1],
        {"encoding": "utf-16"},
        "source.encoding",
        ["“customers.csv” is not UTF-16 text", "cut off"],
    ),
    "UTF-8 declared, UTF-16 given": (
        (HEADER + GOOD).encode("utf-16"),
        {},
        "source.encoding",
        ["Line 1 of “customers.csv” is not UTF-8 text", "UTF-16"],
    ),
    "missing column": (
        "CustomerNumber,Nmae\n" + GOOD,
        {},
        "source.missing_column",
        ["no column “Name”", "nearest name there is “Nmae”", "Correct the file's header or the integration"],
    ),
    "duplicate header": (
        "CustomerNumber,Name,Name\nC1,Anna,B\n",
        {},
        "source.duplicate_header",
        ["names “Name” twice, in columns 2 and 3", "Give every column a name of its own"],
    ),
    "empty file": ("", {}, "source.empty", ["“customers.csv” is empty", "Choose another file"]),
    "a million blank lines": ("\n" * 1_000_000, {}, "source.empty", ["“customers.csv” is empty"]),
    "10 MB field": (
        HEADER + "C1,Anna\nC2," + "x" * 10_000_100 + "\nC3,Cara\n",
        {},
        "source.field_too_large",
        ["column 2 at line 3", "larger than 10 MB"],
    ),
    "10 MB in quotes": (
        HEADER + 'C1,Anna\nC2,"' + "x\n" * 5_100_000 + '"\nC3,Cara\n',
        {},
        "source.field_too_large",
        ["column 2 at line 3", "larger than 10 MB", "quote that is opened there"],
    ),
    "NUL bytes": (
        HEADER + "C1,Anna\nC2,B\0n\n",
        {},
        "source.nul",
        ["Line 3 of “customers.csv” holds a NUL character", "Export the file again"],
    ),
    "a quote that swallows the file": (
        HEADER + 'C1,Anna\nC2,"Ben\n' + "C3,Cara\n" * 5_000,
        {},
        "source.open_quote",
        ["The quote opened in column 2 at line 3", "never closed", "Close it"],
    ),
    "a semicolon file read with commas": (
        (HEADER + GOOD).replace(",", ";"),
        {},
        "source.missing_column",
        ["only one column", "separated by “;”", "Choose that delimiter"],
    ),
    "a tab file read with commas": (
        (HEADER + GOOD).replace(",", "\t"),
        {},
        "source.missing_column",
        ["only one column", "separated by tabs", "Choose that delimiter"],
    ),
    "a workbook named .csv": (
        workbook(["CustomerNumber", "Name"], ["C1", "Anna"]),
        {},
        "source.kind",
        ["“customers.csv” is an Excel workbook", "whatever its name says", "Save it as CSV"],
    ),
    "a text file named .xlsx": (
        HEADER + GOOD,
        {"kind": "excel"},
        "source.kind",
        ["“customers.xlsx” is no Excel workbook", "read it as a delimited text file"],
    ),
    "an archive that unpacks to far too much": (
        archive(**{"xl/worksheets/sheet1.xml": b"0" * (230 << 20)}),
        {"kind": "excel"},
        "source.too_large",
        ["“customers.xlsx” unpacks to 230 MB", "Save it again in Excel"],
    ),
    "a damaged workbook": (
        workbook(["CustomerNumber", "Name"], ["C1", "Anna"])[:-200],
        {"kind": "excel"},
        "source.kind",
        ["“customers.xlsx” is no Excel workbook"],
    ),
    "a workbook with broken XML": (
        archive(**{"xl/workbook.xml": b"<not", "[Content_Types].xml": b"<Types/>"}),
        {"kind": "excel"},
        "source.workbook",
        ["“customers.xlsx” cannot be read", "damaged", "Save it again in Excel"],
    ),
}


@pytest.mark.parametrize(("content", "form", "code", "words"), WHOLE.values(), ids=WHOLE.keys())
def test_a_file_that_cannot_be_trusted_ends_the_run_with_nothing_sent(
    crm: Crm, content: bytes | str, form: dict[str, Any], code: str, words: list[str]
) -> None:
    run = ran(crm, content, **form)

    assert (run.status, run.error_code) == (RunStatus.FAILED, code), run.reason
    for word in words:
        assert word in run.reason, run.reason
    assert_told(run)
    assert crm.customers() == []


# ---- a fault behind many good rows: still nothing is sent ------------------------------------------------------------


def test_a_fault_at_the_end_of_a_long_file_is_found_before_anything_is_sent(crm: Crm) -> None:
    rows = "".join(f"C{n},Name {n}\n" for n in range(6_000))
    run = ran(crm, (HEADER + rows).encode() + b"C9,K\xf6hler\n")

    assert (run.status, run.error_code) == (RunStatus.FAILED, "source.encoding")
    assert "Line 6002 of" in run.reason
    assert_told(run)
    assert crm.customers() == []


# ---- nothing in it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "status"), [(NoData.SUCCESS, RunStatus.COMPLETED), (NoData.FAILURE, RunStatus.FAILED)]
)
@pytest.mark.parametrize(
    "content", [HEADER, HEADER + "\n" * 1_000_000], ids=["header only", "and a million blank lines"]
)
def test_a_header_alone_is_no_data(crm: Crm, content: str, rule: NoData, status: RunStatus) -> None:
    run = ran(crm, content, options=Options(no_data=rule))

    assert (run.status, run.source_rows) == (status, 0)
    assert "The source holds no row" in run.reason
    assert_told(run)


# ---- single lines are broken: they cost their document, and only that one --------------------------------------------


def test_ragged_lines_cost_their_documents_and_are_named_by_their_line(crm: Crm) -> None:
    run = ran(crm, HEADER + "C1,Anna\nC2\nC3,Cara,Extra\nC4,Dan\n")

    assert run.status == RunStatus.COMPLETED_WITH_ERRORS
    assert (run.documents_created, run.documents_failed, run.source_rows) == (2, 2, 4)
    assert_told(run)
    assert crm.customers() == [("C1", "Anna"), ("C4", "Dan")]
    outcomes = DocumentOutcome.objects.filter(run=run).order_by("document")
    assert [(outcome.key, outcome.sentence) for outcome in outcomes] == [
        ("C2", "Line 3 has 1 value, too few: the header names 2 columns."),
        ("C3", "Line 4 has 3 values, too many: the header names 2 columns."),
    ]


def test_a_quote_in_the_midst_of_a_line_costs_its_document(crm: Crm) -> None:
    run = ran(crm, HEADER + 'C1,Anna\nC2,"Ben" B\nC3,Cara\n')

    assert (run.documents_created, run.documents_failed) == (2, 1)
    assert_told(run)
    (outcome,) = DocumentOutcome.objects.filter(run=run)
    assert outcome.sentence.startswith("Line 3 cannot be read: text follows a closing quote.")
    assert crm.customers() == [("C1", "Anna"), ("C3", "Cara")]


def test_a_quote_that_swallows_lines_names_all_of_them(crm: Crm) -> None:
    run = ran(crm, HEADER + 'C1,Anna\nC2,"Ben\nC3,Cara\nC4,"Dan"\nC5,Eve\n')

    assert (run.documents_created, run.documents_failed) == (2, 1)
    (outcome,) = DocumentOutcome.objects.filter(run=run)
    assert outcome.sentence.startswith("Lines 3 to 5 cannot be read: text follows a closing quote.")
    assert crm.customers() == [("C1", "Anna"), ("C5", "Eve")]


# ---- unusual, and all right ------------------------------------------------------------------------------------------

FINE: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a UTF-8 mark": (("\ufeff" + HEADER + GOOD).encode(), {}),
    "UTF-16 with its mark": ((HEADER + GOOD).encode("utf-16"), {"encoding": "utf-16"}),
    "UTF-16, the other order": (("\ufeff" + HEADER + GOOD).encode("utf-16-be"), {"encoding": "utf-16"}),
    "UTF-16 without a mark": ((HEADER + GOOD).encode("utf-16-be"), {"encoding": "utf-16"}),
    "lines that end with CR": ((HEADER + GOOD).replace("\n", "\r").encode(), {}),
    "lines that end with CR LF": ((HEADER + GOOD).replace("\n", "\r\n").encode(), {}),
    "no final line end": ((HEADER + GOOD).rstrip("\n").encode(), {}),
    "a million blank lines between": ((HEADER + "C1,Anna\n" + "\n" * 1_000_000 + "C2,Ben\n").encode(), {}),
}


@pytest.mark.parametrize(("content", "form"), FINE.values(), ids=FINE.keys())
def test_what_is_merely_unusual_is_read_whole(crm: Crm, content: bytes, form: dict[str, Any]) -> None:
    run = ran(crm, content, **form)

    assert (run.status, run.reason, run.source_rows) == (RunStatus.COMPLETED, "", 2)
    assert run.is_balanced
    assert crm.customers() == [("C1", "Anna"), ("C2", "Ben")]


# ---- a folder as the source ------------------------------------------------------------------------------------------


def from_folder(crm: Crm, folder: Path, pattern: str = "customers.csv") -> Run:
    """A run that fetches its file from a server folder."""
    company = crm.connection.company
    drop = factories.make_connection(company, "Drop", "folder", path=str(folder))
    source = SourceSpec(kind="delimited", connection=str(drop.public_id), options={"pattern": pattern}, columns=COLUMNS)
    run = request_run(process_into(crm, source=source), by=None)
    assert perform_next()
    return fresh(run)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of these tests do not grow by themselves: two looks may follow at once."""
    monkeypatch.setattr("integrations.runs.pin.PAUSE_SECONDS", 0.01)


def test_the_only_file_of_a_folder_is_read_and_pinned(crm: Crm, drop: Path) -> None:
    (drop / "customers.csv").write_text(HEADER + GOOD)
    run = from_folder(crm, drop, "*.csv")

    assert (run.status, run.reason) == (RunStatus.COMPLETED, "")
    assert run.source_file is not None and run.source_file.name == "customers.csv"
    assert crm.customers() == [("C1", "Anna"), ("C2", "Ben")]


def test_a_folder_where_a_file_is_expected_is_said_to_be_one(crm: Crm, drop: Path) -> None:
    (drop / "customers.csv").mkdir()
    run = from_folder(crm, drop)

    assert run.status == RunStatus.FAILED
    assert "“customers.csv” at Drop is a folder, and a run reads a file." in run.reason
    assert_told(run)


def test_several_matches_are_listed_and_none_is_read(crm: Crm, drop: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (drop / name).write_text(HEADER + GOOD)
    run = from_folder(crm, drop, "*.csv")

    assert (run.status, run.error_code) == (RunStatus.FAILED, "source.many_files")
    assert "2 files match *.csv at Drop (a.csv, b.csv)" in run.reason
    assert_told(run)
    assert crm.customers() == []


def test_a_file_that_grows_is_not_read(crm: Crm, drop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = drop / "customers.csv"
    file.write_text(HEADER)

    def more(seconds: float) -> bool:
        with file.open("a") as growing:
            growing.write("C1,Anna\n")
        return False

    monkeypatch.setattr("integrations.runs.pin.wait_for_drain", more)
    run = from_folder(crm, drop)

    assert (run.status, run.error_code) == (RunStatus.FAILED, "source.growing")
    assert "“customers.csv” at Drop is still being written. Run again when it is complete." in run.reason
    assert crm.customers() == []


def test_a_link_that_leads_out_of_the_folders_is_not_read(crm: Crm, drop: Path, tmp_path_factory: Any) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.csv"
    secret.write_text(HEADER + GOOD)
    (drop / "customers.csv").symlink_to(secret)
    run = from_folder(crm, drop)

    assert (run.status, run.error_code) == (RunStatus.FAILED, "source.no_file")
    assert crm.customers() == []


def test_a_folder_outside_of_the_roots_is_refused(crm: Crm) -> None:
    run = from_folder(crm, Path("/etc"), "passwd")

    assert run.status == RunStatus.FAILED
    assert "outside of the folders" in run.reason and "WAYBILL_FOLDERS" in run.reason
    assert_told(run)


def test_a_pipe_in_the_folder_is_no_file(crm: Crm, drop: Path) -> None:
    os.mkfifo(drop / "customers.csv")
    run = from_folder(crm, drop)

    assert (run.status, run.error_code) == (RunStatus.FAILED, "source.no_file")
