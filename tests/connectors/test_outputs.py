"""Files as a destination: what they hold, that they show whole or not at all, and who can read an encrypted one."""

import csv
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from pysequoia import Cert, Tsk, decrypt

from integrations.connectors.folder import find
from integrations.connectors.outputs import FileDestination, openpgp
from integrations.connectors.outputs.formats import is_formula
from integrations.connectors.outputs.options import complaints
from integrations.connectors.outputs.placing import locked, numbered, rename, taken_back
from integrations.connectors.registry import destination_kind
from integrations.connectors.spec import DestinationContext, Opened, Output
from integrations.engine.batch import Bucket
from integrations.engine.errors import DefinitionError, TransientError, WaybillError
from integrations.engine.file_name import complaint, named, pattern_complaint
from integrations.engine.plan import DestinationSpec, FieldMap, Line, ValueType, WriteMode
from integrations.engine.ports import Completing
from tests.connectors.contract import LINE, Contract, batch_of, deliver, ticket

LINES = (replace(LINE, target="customers.csv", keys=()),)
MOMENT = datetime(2026, 11, 24, 9, 5, 7)


class Shelf:
    """The workspace of one run in memory. Every piece counts as accounted for, unless `accounted` says which do."""

    def __init__(self, root: Path, *, epoch: int = 1) -> None:
        self.folder, self.locks = root / "work", root / "locks"
        self.kept = root / "kept"
        self.token, self.epoch = "run1", epoch
        self.noted: dict[int, Output] = {}
        self.accounted: list[tuple[int, int]] | None = None

    def named(self, pattern: str) -> str:
        return named(pattern, {"GBL_REGION": "North", "GBL_BAD": "../x", "run.number": "41"}, MOMENT)

    def outputs(self) -> Mapping[int, Output]:
        return dict(self.noted)

    def note(self, number: int, output: Output) -> None:
        self.noted[number] = output

    def keep(self, number: int, output: Output, path: Path) -> None:
        self.kept.mkdir(exist_ok=True)
        shutil.copy(path, self.kept / output.name)
        self.noted[number] = replace(output, is_kept=True)

    def delivered(self) -> Sequence[tuple[int, int]]:
        if self.accounted is not None:
            return self.accounted
        pieces = {path.name.split("-", 1)[1] for path in self.folder.glob("1-*") if path.suffix == ""}
        return sorted((int(segment), int(epoch)) for segment, epoch in (piece.split("-") for piece in pieces))


class Place:
    """A server folder, and runs that write to it."""

    kind = "folder_file"

    def __init__(self, root: Path, lines: tuple[Line, ...] = LINES, **options: Any) -> None:
        self.root, self.lines, self.options = root, lines, options
        self.folder = root / "out"
        self.folder.mkdir()
        self.shelf = Shelf(root)

    def opened(self) -> Opened:
        return Opened(public_id="c", name="Exchange", settings={"path": str(self.folder)}, folders=[self.root])

    def destination(self, kind: str = "folder_file") -> Any:
        spec = DestinationSpec(kind=kind, connection="c", options=self.options)
        return destination_kind(kind).open(
            DestinationContext(spec=spec, lines=self.lines, opened=self.opened(), workspace=self.shelf)
        )

    def run(self, *segments: Sequence[Any], kind: str = "folder_file", whole: bool = True) -> list[str]:
        """Deliver these segments as one run, and complete it."""
        destination = self.destination(kind)
        destination.enter(ticket())
        for number, records in enumerate(segments, start=1):
            destination.deliver(batch_of(*records), ticket(number))
        said = list(destination.complete(whole=whole))
        destination.close()
        return said

    def another_run(self) -> None:
        shutil.rmtree(self.root / "work", ignore_errors=True)
        self.shelf.noted.clear()
        self.shelf.token += "x"

    def text(self, name: str = "customers.csv") -> str:
        return (self.folder / name).read_bytes().decode()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def numbers(self) -> list[str]:
        """What the file holds, once the run is completed."""
        self.destination().complete(whole=True)
        with (self.folder / "customers.csv").open(newline="") as file:
            return [row["number"] for row in csv.DictReader(file)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class TestFolder(Contract):
    """Files keep what every destination promises."""

    refused = ("2", "\ud800")

    @pytest.fixture
    def world(self, tmp_path: Path) -> Any:
        return Place(tmp_path)


# ---- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("orders_[DATE].csv", "orders_2026-11-24.csv"),
        ("[YYYYMMDD-hhmm] [run.number].csv", "20261124-0905 41.csv"),
        ("[DD.MM.YY]_[TIME]_[GBL_REGION].csv", "24.11.26_090507_North.csv"),
        ("orders[1].csv", "orders[1].csv"),
    ],
)
def test_a_pattern_is_filled_in(pattern: str, name: str) -> None:
    assert named(pattern, {"GBL_REGION": "North", "run.number": 41}, MOMENT) == name
    assert complaint(name) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is empty"),
        ("../x.csv", "another folder"),
        ("a\\b.csv", "another folder"),
        (".hidden", "hides"),
        ("a\nb.csv", "cannot be seen"),
        (" a.csv", "blank"),
        ("a" * 300, "longer"),
        ("[RUN_NUMBER].csv", "nothing is known"),
    ],
)
def test_what_is_no_name_of_a_file_is_told(name: str, said: str) -> None:
    assert said in complaint(name)


def test_a_pattern_is_judged_before_its_variables_are_known() -> None:
    assert pattern_complaint("[GBL_REGION]_[run.number].csv") == ""
    assert "[run.failed]" in pattern_complaint("[run.failed].csv")


def test_a_variable_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    place = Place(tmp_path, (replace(LINES[0], target="[GBL_BAD].csv"),))

    with pytest.raises(DefinitionError, match="another folder"):
        place.run([("1", "a")])
    assert place.names() == []


def test_two_lines_are_two_files_and_never_one(tmp_path: Path) -> None:
    place = Place(tmp_path, (LINES[0], replace(LINES[0], name="Again")))

    with pytest.raises(DefinitionError, match="Customer and Again both write"):
        place.destination().enter(ticket())


# ---- what is in the file -----------------------------------------------------------------------------------------

TYPED = Line(
    name="Order",
    target="orders.csv",
    mode=WriteMode.INSERT,
    fields=tuple(
        FieldMap(target=name, type=kind)
        for name, kind in [
            ("number", ValueType.TEXT),
            ("count", ValueType.INTEGER),
            ("total", ValueType.DECIMAL),
            ("paid", ValueType.BOOLEAN),
            ("due", ValueType.DATE),
            ("at", ValueType.DATETIME),
        ]
    ),
)
RECORD = ("00123", 7, Decimal("1234.50"), True, date(2026, 11, 24), MOMENT)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "number,count,total,paid,due,at\r\n00123,7,1234.50,true,2026-11-24,2026-11-24 09:05:07\r\n"),
        (
            {"delimiter": ";", "decimal_mark": ",", "date_format": "DD.MM.YYYY", "header": False, "line_end": "lf"},
            "00123;7;1234,50;true;24.11.2026;2026-11-24 09:05:07\n",
        ),
        (
            {"quoting": "all", "header": False, "delimiter": "tab"},
            '"00123"\t"7"\t"1234.50"\t"true"\t"2026-11-24"\t"2026-11-24 09:05:07"\r\n',
        ),
    ],
)
def test_values_are_written_as_the_options_say(tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    place = Place(tmp_path, (TYPED,), **options)

    place.run([RECORD])

    assert place.text("orders.csv") == expected


@pytest.mark.parametrize(
    ("encoding", "start"), [("utf-8", b"number"), ("utf-8-sig", b"\xef\xbb\xbfnumber"), ("utf-16", b"\xff\xfen\0")]
)
def test_an_encoding_is_marked_once_however_many_segments(tmp_path: Path, encoding: str, start: bytes) -> None:
    place = Place(tmp_path, encoding=encoding)

    place.run([("1", "Zoë")], [("2", "€")])

    written = (place.folder / "customers.csv").read_bytes()
    assert written.startswith(start)
    assert written.decode(encoding) == "number,name\r\n1,Zoë\r\n2,€\r\n"


@pytest.mark.parametrize("line_end", ["lf", "crlf"])
def test_a_lone_carriage_return_stays_inside_its_field(tmp_path: Path, line_end: str) -> None:
    place = Place(tmp_path, line_end=line_end)

    place.run([("1", "a\rb"), ("2", "c")])

    with (place.folder / "customers.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["number", "name"], ["1", "a\rb"], ["2", "c"]]


def test_a_letter_that_the_encoding_lacks_fails_its_document_alone(tmp_path: Path) -> None:
    place = Place(tmp_path, encoding="latin-1")
    destination = place.destination()
    destination.enter(ticket())

    delivery = deliver(destination, ("1", "a"), ("2", "5 €"), ("3", "c"))
    destination.complete(whole=True)

    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED, Bucket.CREATED]
    assert delivery.problems[1].sentence == "name of the line Customer cannot be written: LATIN-1 has no “€”."
    assert place.text() == "number,name\r\n1,a\r\n3,c\r\n"


@pytest.mark.parametrize(
    ("text", "guarded"),
    [("=1+1", True), ("@SUM(A1)", True), ("+cmd|x", True), ("-1+A1", True), ("-12.50", False), ("+49 170-12", False)],
)
def test_a_text_that_would_be_calculated_is_known(text: str, guarded: bool) -> None:
    assert is_formula(text) is guarded


@pytest.mark.parametrize(("guard", "written"), [(True, "'=1+1"), (False, "=1+1")])
def test_the_guard_is_an_option(tmp_path: Path, guard: bool, written: str) -> None:
    place = Place(tmp_path, guard=guard)

    place.run([("1", "=1+1")])

    assert place.text().endswith(f"1,{written}\r\n")


def test_a_workbook_keeps_the_kinds_of_values(tmp_path: Path) -> None:
    place = Place(tmp_path, (replace(TYPED, target="orders.xlsx"),), format="xlsx", sheet="Orders")

    place.run([RECORD], [("=1+1", None, None, False, None, None)])

    page = load_workbook(place.folder / "orders.xlsx")["Orders"]
    rows = [[cell.value for cell in row] for row in page.iter_rows()]
    assert rows[1] == ["00123", 7, 1234.5, True, datetime(2026, 11, 24), MOMENT]
    assert rows[2][:4] == ["=1+1", None, None, False]
    assert page["A3"].data_type == "s"


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (0, "a\x01", "U\\+0001"),
        (0, "x" * 40_000, "32,767 characters"),
        (2, Decimal("12345678901234.567"), "15 digits"),
        (4, date(1899, 1, 1), "no day before"),
    ],
)
def test_what_a_cell_would_change_fails_its_document(tmp_path: Path, at: int, value: Any, said: str) -> None:
    place = Place(tmp_path, (replace(TYPED, target="orders.xlsx"),), format="xlsx")
    destination = place.destination()
    destination.enter(ticket())
    bad = (*RECORD[:at], value, *RECORD[at + 1 :])

    delivery = destination.deliver(batch_of(RECORD, bad), ticket())

    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED]
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(delivery.problems[1].sentence)


# ---- whole or not at all, and once -------------------------------------------------------------------------------


def test_nothing_shows_before_the_end(place: Place) -> None:
    destination = place.destination()
    destination.enter(ticket())
    deliver(destination, ("1", "a"))

    before = place.names()
    destination.complete(whole=True)

    assert before == [] and place.names() == ["customers.csv"]


def test_a_run_that_ended_before_keeps_what_it_delivered_and_places_nothing(place: Place) -> None:
    said = place.run([("1", "a")], whole=False)

    assert place.names() == []
    assert (place.shelf.kept / "customers.csv").read_text() == "number,name\n1,a\n"
    assert "was not placed" in said[0]


def test_a_run_without_a_record_makes_no_file(place: Place) -> None:
    assert place.run() == [] and place.names() == []


def test_only_what_the_ledger_knows_is_in_the_file(place: Place) -> None:
    """A worker that was believed dead has made its piece of a segment that another one sent and accounted for."""
    destination = place.destination()
    destination.enter(ticket())
    destination.deliver(batch_of(("1", "a")), ticket(1, epoch=1))
    destination.deliver(batch_of(("2", "dead")), ticket(2, epoch=1))
    destination.deliver(batch_of(("2", "alive")), ticket(2, epoch=2))
    place.shelf.accounted = [(1, 1), (2, 2)]

    destination.complete(whole=True)

    assert place.text() == "number,name\r\n1,a\r\n2,alive\r\n"


def test_a_piece_that_is_gone_is_told_and_nothing_is_placed(place: Place) -> None:
    destination = place.destination()
    destination.enter(ticket())
    deliver(destination, ("1", "a"))
    place.shelf.accounted = [(1, 1), (2, 1)]

    with pytest.raises(WaybillError, match="1 of 2 pieces"):
        destination.complete(whole=True)
    assert place.names() == []


@pytest.mark.parametrize("existing", ["fail", "number", "append", "replace"])
@pytest.mark.parametrize("point", ["outputs.before_rename", "outputs.renamed"])
def test_a_crash_around_the_rename_leaves_one_file(
    tmp_path: Path, existing: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, existing=existing)
    destination = place.destination()
    destination.enter(ticket())
    deliver(destination, ("1", "a"))

    class Killed(BaseException):
        pass

    def die(name: str) -> None:
        if name == point:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("integrations.connectors.outputs.destination.failpoint", die)
        with pytest.raises(Killed):
            destination.complete(whole=True)
    place.shelf.epoch = 2
    place.shelf.accounted = [(1, 1)]
    place.destination().complete(whole=True)
    place.destination().complete(whole=True)

    assert place.text() == "number,name\r\n1,a\r\n"
    assert [name for name in place.names() if not name.startswith(".")] == ["customers.csv"]


def test_a_file_that_was_placed_and_taken_away_is_not_placed_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run([("1", "a")])
    done = place.shelf.noted[1]
    place.shelf.noted[1] = replace(done, is_placed=False, temporary=str(place.folder / ".waybill-run1-1-1.part"))
    (place.folder / "customers.csv").unlink()

    said = place.destination().complete(whole=True)

    assert place.names() == [] and "had been placed" in said[0]


def test_only_one_of_two_can_have_the_hidden_file(tmp_path: Path) -> None:
    hidden = tmp_path / ".waybill-1.part"
    hidden.write_text("x")

    assert taken_back(hidden)
    assert taken_back(hidden), "it stays taken, also for whoever asks after another crash"
    with pytest.raises(FileNotFoundError):
        rename(hidden, tmp_path / "a.csv", replace=False)


# ---- when the file is there --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("existing", "names", "text"),
    [
        ("number", ["customers-2.csv", "customers.csv"], "number,name\r\n1,a\r\n"),
        ("append", ["customers.csv"], "number,name\r\n1,a\r\n2,b\r\n"),
        ("replace", ["customers.csv"], "number,name\r\n2,b\r\n"),
    ],
)
def test_a_file_that_is_there(tmp_path: Path, existing: str, names: list[str], text: str) -> None:
    place = Place(tmp_path, existing=existing)
    place.run([("1", "a")])
    place.another_run()

    place.run([("2", "b")])

    assert place.names() == names and place.text() == text


def test_a_file_that_is_there_fails_the_run_before_anything_is_sent(place: Place) -> None:
    (place.folder / "customers.csv").write_text("theirs")

    with pytest.raises(DefinitionError, match=r"There is already a file “customers\.csv” at Exchange"):
        place.destination().enter(ticket())
    assert place.text() == "theirs"


def test_a_file_that_came_meanwhile_is_not_touched_and_ours_is_kept(place: Place) -> None:
    destination = place.destination()
    destination.enter(ticket())
    deliver(destination, ("1", "a"))
    (place.folder / "customers.csv").write_text("theirs")

    with pytest.raises(WaybillError, match="kept with it, among its outputs"):
        destination.complete(whole=True)

    assert place.text() == "theirs" and place.names() == ["customers.csv"]
    assert (place.shelf.kept / "customers.csv").exists()


def test_other_columns_cannot_be_appended_to(tmp_path: Path) -> None:
    place = Place(tmp_path, existing="append")
    (place.folder / "customers.csv").write_text("number,city\n")

    with pytest.raises(DefinitionError, match="its columns are number, city, and this integration writes number, name"):
        place.destination().enter(ticket())


def test_a_last_line_without_an_end_gets_one_before_more_follows(tmp_path: Path) -> None:
    place = Place(tmp_path, existing="append")
    (place.folder / "customers.csv").write_bytes(b"number,name\r\n1,a")

    place.run([("2", "b")])

    assert place.text() == "number,name\r\n1,a\r\n2,b\r\n"


def test_two_runs_do_not_append_at_once(tmp_path: Path) -> None:
    with locked(tmp_path / "locks", tmp_path / "a.csv"):
        with (
            pytest.raises(TransientError, match="Another run"),
            locked(tmp_path / "locks", tmp_path / "a.csv", seconds=0.2),
        ):
            pass
        with locked(tmp_path / "locks", tmp_path / "b.csv", seconds=0.2):
            pass


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/etc/hostname")])
def test_a_name_that_is_no_plain_file_is_refused(tmp_path: Path, make: Any) -> None:
    place = Place(tmp_path, existing="replace")
    make(place.folder / "customers.csv")

    with pytest.raises(DefinitionError, match="a folder or a link"):
        place.destination().enter(ticket())


def test_a_folder_outside_of_what_is_opened_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.rmtree(place.folder)
    place.folder.symlink_to("/tmp")

    with pytest.raises(WaybillError, match="outside of the folders"):
        place.destination()


def test_sources_do_not_see_what_is_being_made(place: Place) -> None:
    (place.folder / ".waybill-run1-1-1.part").write_text("half")
    (place.folder / "whole.csv").write_text("whole")

    assert [file.name for file in find(place.opened(), "*")] == ["whole.csv"]


def test_numbers_stand_before_the_endings() -> None:
    names = numbered("a.csv.pgp")

    assert [next(names) for _ in range(3)] == ["a.csv.pgp", "a-2.csv.pgp", "a-3.csv.pgp"]


# ---- download ----------------------------------------------------------------------------------------------------


def test_a_download_is_kept_with_the_run(place: Place) -> None:
    place.run([("1", "a")], kind="download")

    assert place.names() == [] and (place.shelf.kept / "customers.csv").exists()


def test_a_placed_file_is_kept_as_well_where_that_is_asked(tmp_path: Path) -> None:
    place = Place(tmp_path, keep=True)

    place.run([("1", "a")])

    assert (place.shelf.kept / "customers.csv").read_bytes() == (place.folder / "customers.csv").read_bytes()
    assert place.shelf.noted[1].is_kept and place.shelf.noted[1].is_placed


# ---- encryption --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ann() -> Tsk:
    return Tsk.generate("Ann <ann@harwood.test>")


@pytest.fixture(scope="module")
def bob() -> Tsk:
    return Tsk.generate("Bob <bob@harwood.test>")


def public(*keys: Tsk) -> str:
    return "\n".join(str(key.extract_certificate()) for key in keys)


def test_every_recipient_can_read_and_the_folder_holds_no_clear_text(tmp_path: Path, ann: Tsk, bob: Tsk) -> None:
    place = Place(tmp_path, recipients=public(ann, bob))

    place.run([("1", "Geheim")])

    assert place.names() == ["customers.csv.pgp"]
    sealed = (place.folder / "customers.csv.pgp").read_bytes()
    assert b"Geheim" not in sealed
    for key in (ann, bob):
        assert decrypt(sealed, key.decryptor()).bytes == b"number,name\r\n1,Geheim\r\n"
    assert not list(tmp_path.rglob("made-*[!p]")), "what was encrypted is gone at once"


def test_a_workbook_is_encrypted_too(tmp_path: Path, ann: Tsk) -> None:
    place = Place(tmp_path, (replace(LINES[0], target="c.xlsx"),), format="xlsx", recipients=public(ann))

    place.run([("1", "a")])

    clear = tmp_path / "clear.xlsx"
    clear.write_bytes(decrypt((place.folder / "c.xlsx.pgp").read_bytes(), ann.decryptor()).bytes or b"")
    assert load_workbook(clear).active is not None


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed: apt install gnupg")
def test_gpg_reads_what_was_encrypted(tmp_path: Path) -> None:
    home = tmp_path / "g"
    home.mkdir(mode=0o700)

    def gpg(*words: str) -> bytes:
        asked = ["gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback", "--passphrase", "", *words]
        return subprocess.run(asked, check=True, capture_output=True).stdout

    try:
        gpg("--quick-gen-key", "gina@harwood.test", "rsa2048", "encr", "never")
        place = Place(tmp_path, recipients=gpg("--armor", "--export", "gina@harwood.test").decode())

        place.run([("1", "a")])

        assert gpg("--decrypt", str(place.folder / "customers.csv.pgp")) == b"number,name\r\n1,a\r\n"
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


def test_a_key_says_whose_it_is_and_until_when(ann: Tsk) -> None:
    (said,) = openpgp.told(public(ann))

    assert said.startswith("Ann <ann@harwood.test> · ")
    assert said.replace(" ", "").casefold().count(ann.extract_certificate().fingerprint) == 1
    assert "valid" in said


def bad_keys() -> Iterator[Any]:
    key = Tsk.generate("Old <old@harwood.test>")
    cert: Cert = key.extract_certificate()
    # Sequoia dates its keys a minute back, so this one has ended already.
    yield pytest.param(public(Tsk.generate("Ed <ed@harwood.test>", validity_seconds=1)), "ended on", id="ended")
    yield pytest.param("hello", "no public key", id="no key")
    yield pytest.param(public(key)[:200], "no public key", id="cut off")
    yield pytest.param(str(key), "private key", id="private")
    revoked = Cert.from_bytes(str(cert).encode())
    signature = revoked.revoke(certifier=key.certifier())
    yield pytest.param(str(Cert.from_bytes(bytes(cert) + bytes(signature))), "revoked", id="revoked")


@pytest.mark.parametrize(("text", "said"), list(bad_keys()))
def test_what_nobody_should_encrypt_to_is_refused(text: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        openpgp.recipients(text)


# ---- what does not go together -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "target", "said"),
    [
        ({}, "a.csv", ""),
        ({"existing": "append", "format": "xlsx"}, "a.xlsx", "appended to a workbook"),
        ({"existing": "append", "recipients": "x"}, "a.csv", "appended to an encrypted file"),
        ({"format": "xlsx"}, "a.csv", "does not end in .xlsx"),
        ({}, "../a.csv", "another folder"),
        ({"date_format": "soon"}, "a.csv", "Dates: “soon” is no date format"),
    ],
)
def test_complaints(options: dict[str, Any], target: str, said: str) -> None:
    found = list(complaints(options, [replace(LINES[0], target=target)]))

    assert any(said in sentence for sentence in found) if said else not found


def test_the_engine_knows_that_files_show_at_the_end() -> None:
    assert issubclass(FileDestination, Completing)
