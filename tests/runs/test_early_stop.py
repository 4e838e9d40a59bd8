"""A run that is cancelled, or whose worker must stop, while its source is still being fetched, asked or parsed."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope
from openpyxl import Workbook

from accounts.models import Company, User
from integrations.connectors import excel
from integrations.engine.plan import Column, SourceSpec
from integrations.models import Process, Run, RunStatus, StoredFile
from integrations.runs import perform as performing
from integrations.runs import pin
from integrations.runs.drain import _draining
from integrations.runs.files import store
from integrations.runs.perform import perform_next
from integrations.runs.request import request_cancel, request_run
from tests import factories
from tests.runs.performing import HEADER, Crm, fresh, process_into

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = (Column(name="CustomerNumber"), Column(name="Name"))
ENDLESS = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT i AS CustomerNumber, max(i) AS Name FROM n"""


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        yield
    _draining.clear()


def asking(crm: Crm, query: str) -> Process:
    source = SourceSpec(
        kind="sql_query", connection=str(crm.connection.public_id), options={"query": query}, columns=COLUMNS
    )
    return process_into(crm, source=source, batch_documents=2_000)


def when_opening(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Let something happen once the run is claimed and before its source is opened."""
    open_pinned = performing.open_pinned

    def opened(*args: Any) -> Any:
        happens()
        return open_pinned(*args)

    monkeypatch.setattr(performing, "open_pinned", opened)


def handed_back(run: Run) -> bool:
    return (run.status, run.lease_owner, run.deaths) == (RunStatus.IN_PROGRESS, "", 0)


def test_a_cancel_ends_a_query_that_gives_no_row(crm: Crm, omar: User, monkeypatch: pytest.MonkeyPatch) -> None:
    run = request_run(asking(crm, ENDLESS), by=omar)
    when_opening(monkeypatch, lambda: request_cancel(run, by=omar))
    perform_next()

    run = fresh(run)
    assert (run.status, run.error_code, run.source_file) == (RunStatus.CANCELLED, "cancelled", None)
    assert not [thread for thread in threading.enumerate() if thread.name == "engine-ahead"]


def test_a_worker_that_must_stop_hands_back_a_run_that_waits_for_its_query(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = request_run(asking(crm, ENDLESS), by=None)
    threading.Timer(1, _draining.set).start()
    perform_next()

    assert handed_back(fresh(run))


def test_a_query_is_spooled_whole_where_nobody_asks_to_stop(crm: Crm) -> None:
    query = ENDLESS.replace("FROM n)", "FROM n WHERE i < 5000)").replace("max(i)", "i")
    run = request_run(asking(crm, query), by=None)
    perform_next()

    run = fresh(run)
    assert (run.status, run.source_rows, run.documents_created) == (RunStatus.COMPLETED, 5000, 5000)


def test_a_cancel_ends_the_parsing_of_a_workbook(
    crm: Crm, omar: User, company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(excel, "CHILD", slow)
    book = Workbook()
    book.active.append(["CustomerNumber", "Name"])
    book.save(tmp_path / "customers.xlsx")
    with (tmp_path / "customers.xlsx").open("rb") as file:
        kept = store(company, file, name="customers.xlsx", by=None)
    run = request_run(process_into(crm, source=SourceSpec(kind="excel", columns=COLUMNS)), by=omar, file=kept)
    when_opening(monkeypatch, lambda: request_cancel(run, by=omar))
    began = time.monotonic()
    perform_next()

    assert fresh(run).status == RunStatus.CANCELLED
    assert time.monotonic() - began < 120


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


def from_folder(crm: Crm, folder: Path) -> Run:
    door = factories.make_connection(crm.connection.company, "Drop", "folder", path=str(folder))
    source = SourceSpec(kind="delimited", connection=str(door.public_id), options={"pattern": "*.csv"}, columns=COLUMNS)
    return request_run(process_into(crm, source=source), by=None)


def test_a_file_that_is_still_being_written_is_not_taken_by_a_worker_that_must_stop(
    crm: Crm, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = drop / "customers.csv"
    file.write_text(HEADER + "C1,Anna\n")
    run = from_folder(crm, drop)
    when_opening(monkeypatch, _draining.set)
    perform_next()
    assert handed_back(fresh(run)) and fresh(run).source_file is None

    _draining.clear()
    monkeypatch.undo()
    monkeypatch.setattr(pin, "PAUSE_SECONDS", 0.01)
    with file.open("a") as growing:
        growing.write("C2,Ben\n")
    perform_next()
    run = fresh(run)
    assert (run.status, run.documents_created) == (RunStatus.COMPLETED, 2)


def test_a_cancel_ends_the_copying_of_a_file(crm: Crm, drop: Path, omar: User, monkeypatch: pytest.MonkeyPatch) -> None:
    (drop / "customers.csv").write_text(HEADER + "C1,Anna\n")
    monkeypatch.setattr(pin, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(performing, "LOOK_UP_SECONDS", 0)
    run = from_folder(crm, drop)
    keep = pin.store

    def cancelled_meanwhile(*args: Any, **kwargs: Any) -> StoredFile:
        request_cancel(run, by=omar)
        return keep(*args, **kwargs)

    monkeypatch.setattr(pin, "store", cancelled_meanwhile)
    perform_next()

    assert fresh(run).status == RunStatus.CANCELLED
    assert not StoredFile.objects.exists()
