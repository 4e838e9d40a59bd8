"""Files are kept by the hash of their bytes."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.models import StoredFile
from integrations.runs.files import clean_name, path_of, store, sweep

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def files(settings, tmp_path: Path) -> Path:
    settings.FILES_DIR = tmp_path / "files"
    return settings.FILES_DIR


def kept(company: Company, content: bytes, name: str = "customers.csv") -> StoredFile:
    with scope(company=company):
        return store(company, io.BytesIO(content), name=name, by=None)


def test_two_files_of_one_name_never_mix(company: Company) -> None:
    first, second = kept(company, b"a"), kept(company, b"b")

    assert first.name == second.name
    assert (path_of(first).read_bytes(), path_of(second).read_bytes()) == (b"a", b"b")


def test_the_same_bytes_lie_on_the_disk_once(company: Company, files: Path) -> None:
    first, second = kept(company, b"same"), kept(company, b"same", "again.csv")

    assert path_of(first) == path_of(second)
    assert sum(path.is_file() for path in files.rglob("*")) == 1
    assert (first.size_bytes, first.sha256) == (4, second.sha256)


def test_a_reading_that_breaks_leaves_nothing_behind(company: Company, files: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("The connection was reset.")

    with scope(company=company), pytest.raises(OSError, match="reset"):
        store(company, Broken(), name="customers.csv", by=None)

    assert not [path for path in files.rglob("*") if path.is_file()]
    with scope(company=company):
        assert not StoredFile.objects.exists()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\omar\\customers.csv", "customers.csv"),
        ("a\r\nSet-Cookie: b.csv", "aSet-Cookie: b.csv"),
        ("", "file"),
        ("..", ".."),
        ("x" * 300 + ".csv", "x" * 251 + ".csv"),
    ],
)
def test_a_name_is_shown_and_never_becomes_a_path(company: Company, given: str, shown: str, files: Path) -> None:
    assert clean_name(given) == shown
    assert path_of(kept(company, b"x", given)).parent.parent == files


def test_what_a_kill_left_half_written_is_swept_after_a_day(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR, settings.FILES_DIR = tmp_path, tmp_path / "files"
    incoming = settings.FILES_DIR / "incoming"
    incoming.mkdir(parents=True)
    (tmp_path / "spool-old").mkdir()
    left = [tmp_path / "spool-old" / "rows", tmp_path / "a.upload.csv", incoming / "tmpold", incoming / "tmpnew"]
    kept = tmp_path / "waybill.sqlite3"
    for path in [*left, kept]:
        path.write_text("half")
    for path in [tmp_path / "spool-old", *left[:3], kept]:
        os.utime(path, (0, 0))

    assert sweep() == 3
    assert [path.exists() for path in [*left, kept]] == [False, False, False, True, True]
    assert sweep() == 0
