"""A destination that is away is waited for, whenever that happens; what it never took is not lost."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.connectors.sql import systems
from integrations.engine.plan import DestinationSpec
from integrations.models import LogEntry, Run, RunStatus
from tests import factories
from tests.runs.performing import Crm, performed, process_into
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)

TWO = "C1,Anna\nC2,Ben\n"


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    settings.ALLOW_NETS = ["127.0.0.0/8"]
    monkeypatch.setattr("integrations.runs.perform.FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("integrations.engine.execute.FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(systems, "BUSY_SECONDS", 0.1)
    with scope(company=company):
        yield


def attempts(run: Run) -> list[str]:
    return [line.message for line in LogEntry.objects.filter(run=run, message__startswith="Attempt").order_by("pk")]


def test_a_server_that_stays_away_is_asked_five_times_and_nothing_is_lost(crm: Crm, company: Company) -> None:
    away = factories.make_connection(
        company, "Away", system="postgresql", host="127.0.0.1", port=free_port(), database="x", user="x"
    )
    process = process_into(crm, destination=DestinationSpec(kind="sql", connection=str(away.public_id)))
    run = performed(process, TWO)

    assert run.status == RunStatus.FAILED and run.is_balanced
    assert "The PostgreSQL server of Away at 127.0.0.1 does not answer" in run.reason
    assert [line[:14] for line in attempts(run)] == [f"Attempt {n} of 5"[:14] for n in (1, 2, 3, 4)]
    assert run.error_code != "internal"


def test_a_database_that_comes_back_is_delivered_to(crm: Crm) -> None:
    with closing(sqlite3.connect(crm.path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.6, lambda: other.execute("ROLLBACK"))
        release.start()
        run = performed(process_into(crm), TWO)
        release.join()

    assert (run.status, run.documents_created) == (RunStatus.COMPLETED, 2), run.reason
    assert run.is_balanced and attempts(run)
    assert crm.customers() == [("C1", "Anna"), ("C2", "Ben")]


def test_a_database_that_another_program_keeps_for_itself_holds_the_run_s_documents(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be opened and read, and nothing can be written: what was read is held."""
    with closing(sqlite3.connect(crm.path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        run = performed(process_into(crm), TWO)
        other.execute("ROLLBACK")

    assert (run.status, run.documents_held, run.source_documents) == (RunStatus.FAILED, 2, 2)
    assert run.is_balanced
    assert "It was tried 5 times. Run again when the destination is back." in run.reason
    assert len(attempts(run)) == 4
    assert crm.customers() == []
