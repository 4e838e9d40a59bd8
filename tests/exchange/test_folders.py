"""Exports as files: names that every file system takes, folders that follow the company, archives that lie."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from integrations.exchange import bundle
from integrations.exchange.bundle import read_folder, read_upload, write_folder, zipped
from integrations.exchange.plans import CONNECTION, PROCESS, VARIABLE
from integrations.exchange.text import NotTaken, written
from integrations.exchange.things import File, path_of


def variable(name: str, value: str = "1") -> File:
    text = written({"waybill": 1, "kind": VARIABLE, "name": name, "value": value})
    return File(VARIABLE, name, path_of(VARIABLE, name), text)


def archive(**entries: bytes) -> Any:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    packed.seek(0)
    return packed


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("CUSTOMERS_TO_CRM", "processes/CUSTOMERS_TO_CRM.yaml"),
        ("Köln – 株", "processes/Köln %E2%80%93 株.yaml"),
        ("../../etc/passwd", "processes/%2E.%2F..%2Fetc%2Fpasswd.yaml"),
        ("a\\b:c*?", "processes/a%5Cb%3Ac%2A%3F.yaml"),
        (" .hidden. ", "processes/%20.hidden.%20.yaml"),
    ],
)
def test_a_name_becomes_one_that_every_file_system_takes(name: str, path: str) -> None:
    assert path_of(PROCESS, name) == path


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    one, other = path_of(PROCESS, "株" * 119 + "a"), path_of(PROCESS, "株" * 119 + "b")

    assert one != other
    assert len(one.removeprefix("processes/").encode()) < 250


def test_an_export_goes_through_a_folder_and_through_an_archive(tmp_path: Path) -> None:
    files = [variable("GBL_A"), variable("GBL_B", "two\nlines")]

    write_folder(files, tmp_path)

    read = read_folder(tmp_path)
    assert [(thing.name, thing.data["value"]) for thing in read] == [("GBL_A", "1"), ("GBL_B", "two\nlines")]
    assert [thing.data for thing in read_upload(io.BytesIO(zipped(files)), "x.zip")] == [thing.data for thing in read]
    assert zipped(files) == zipped(files)


def test_a_folder_follows_the_company_and_keeps_what_is_not_of_it(tmp_path: Path) -> None:
    write_folder([variable("GBL_A"), variable("GBL_B")], tmp_path)
    (tmp_path / "README.md").write_text("ours")
    (tmp_path / "global-variables" / "note.yaml").write_text("ours: too\n")

    told = write_folder([variable("GBL_A", "2")], tmp_path)

    assert told == ["written: global-variables/GBL_A.yaml", "removed: global-variables/GBL_B.yaml"]
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["GBL_A.yaml", "README.md", "note.yaml"]
    assert write_folder([variable("GBL_A", "2")], tmp_path) == []


GOOD = variable("GBL_A").text.encode()


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (io.BytesIO(b"PK\x03\x04 and no more"), "There is no file of an export in it."),
        (io.BytesIO(b""), "There is no file of an export in it."),
        (archive(), "There is no file of an export in it."),
        (archive(**{"a.txt": GOOD}), "There is no file of an export in it."),
        (archive(**{"a.yaml": b"name: x\n"}), "a.yaml does not begin with “waybill: 1”."),
        (archive(**{"a.yaml": GOOD, "../b.yaml": GOOD}), "a.yaml and ../b.yaml are both the global variable GBL_A."),
        (io.BytesIO(b"waybill: 2\nkind: process\nname: x\n"), "x.yaml is of format 2; this Waybill reads format 1."),
        (io.BytesIO(b"waybill: 1\nkind: person\nname: x\n"), "x.yaml: there is no kind of thing “person”."),
        (io.BytesIO(b"waybill: 1\nkind: process\n"), "x.yaml does not say the name of its process."),
        (io.BytesIO(b"waybill: 1\nkind: process\nname: [x]\n"), "x.yaml, name: a text belongs there."),
        (io.BytesIO(b"waybill: 1\nname: \xff\n"), "x.yaml is not UTF-8 text. Save it as UTF-8."),
        (io.BytesIO(b"waybill: [\n"), "x.yaml cannot be read in line 2"),
    ],
)
def test_what_is_no_export_is_refused_in_a_sentence(file: Any, sentence: str) -> None:
    file.seek(0)
    with pytest.raises(NotTaken) as refused:
        read_upload(file, "x.yaml")

    assert sentence in refused.value.sentence


def test_an_archive_that_would_unpack_to_a_flood_is_left_after_its_first_bytes(monkeypatch: Any) -> None:
    monkeypatch.setattr(bundle, "MOST_BYTES", 200_000)
    flood = {f"{n}.yaml": b"0" * 90_000 for n in range(9)}
    packed = archive(**flood)
    assert len(packed.getvalue()) < 10_000

    with pytest.raises(NotTaken, match="Import them in several parts"):
        read_upload(packed, "x.zip")


def test_an_archive_with_a_damaged_entry_is_refused() -> None:
    packed = bytearray(archive(**{"a.yaml": GOOD * 3}).getvalue())
    packed[40:44] = b"\xff\xff\xff\xff"

    with pytest.raises(NotTaken, match="damaged archive"):
        read_upload(io.BytesIO(bytes(packed)), "x.zip")


def test_things_are_read_in_the_order_in_which_they_build_on_one_another() -> None:
    process = written({"waybill": 1, "kind": PROCESS, "name": "A", "draft": {}}).encode()
    connection = written({"waybill": 1, "kind": CONNECTION, "name": "Z", "connector": "sql"}).encode()

    read = read_upload(archive(**{"a.yaml": process, "z.yaml": connection}), "x.zip")

    assert [thing.name for thing in read] == ["Z", "A"]
