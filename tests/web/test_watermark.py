"""The Source tab of a process that reads changes only, what its runs say of it, and how a person sets the watermark."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.engine.plan import Column, SourceMode, SourceSpec, ValueType
from integrations.models import Process, Run, Watermark
from integrations.runs.perform import perform_next
from integrations.runs.request import request_run
from tests.runs.performing import Crm, fresh, process_into
from tests.web.defining import said, save
from tests.web.test_run_panel import words

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        yield


@pytest.fixture
def crm(in_company: None, company: Company, tmp_path: Path) -> Crm:
    crm = Crm(company, tmp_path)
    do(crm, "CREATE TABLE leads (number TEXT, name TEXT, changed INTEGER)")
    do(crm, "INSERT INTO leads VALUES ('1', 'Anna', 9), ('2', NULL, 10)")
    return crm


@pytest.fixture
def process(crm: Crm) -> Process:
    source = SourceSpec(
        kind="sql_query",
        connection=str(crm.connection.public_id),
        options={"query": "SELECT number AS CustomerNumber, name AS Name, changed FROM leads"},
        columns=(Column(name="CustomerNumber"), Column(name="Name"), Column(name="changed", type=ValueType.INTEGER)),
    )
    return process_into(crm, source=source)


@pytest.fixture
def doras(client: Client, dora: User) -> Client:
    client.force_login(dora)
    return client


@pytest.fixture
def changing(doras: Client, process: Process) -> Process:
    """The same, saved by clicking as one that reads changes only."""
    save(doras, process, "source", mode="changes", watermark="changed", then="version")
    process.refresh_from_db()
    return process


def do(crm: Crm, statement: str) -> None:
    with closing(sqlite3.connect(crm.path)) as database, database:
        database.execute(statement)


def ran(process: Process) -> Run:
    run = request_run(process, by=None)
    assert perform_next()
    return fresh(run)


def tab(client: Client, process: Process) -> str:
    return words(client.get(reverse("process-source", args=[process.public_id])))


def summary(client: Client, run: Run) -> str:
    return words(client.get(reverse("run-summary", args=[run.number])))


def test_changes_only_is_chosen_on_the_source_tab(changing: Process) -> None:
    assert changing.newest_version is not None
    source = changing.newest_version.plan.source

    assert (source.mode, source.watermark) == (SourceMode.CHANGES, "changed")


def test_a_kind_that_cannot_is_not_asked(doras: Client, process: Process) -> None:
    asked = reverse("process-source", args=[process.public_id])

    assert [field.name for field in doras.get(asked).context["form"].change_fields] == [
        "mode",
        "watermark",
        "first_value",
    ]
    assert doras.get(f"{asked}?kind=delimited").context["form"].change_fields == []


def test_the_tab_says_where_the_watermark_is_and_what_is_carried(doras: Client, changing: Process) -> None:
    assert "There is none yet: the next run reads everything." in tab(doras, changing)

    run = ran(changing)

    shown = tab(doras, changing)
    assert "10 in changed. A run reads what lies behind it." in shown and f"Moved by run {run.number}" in shown
    assert f"1 document did not arrive and is carried to the next run: errors of run {run.number}" in shown


def test_the_summary_says_since_when_what_came_and_whether_it_moved(crm: Crm, doras: Client, changing: Process) -> None:
    first = ran(changing)
    do(crm, "INSERT INTO leads VALUES ('3', 'Cara', 11), ('4', 'Dan', 12)")
    second, third = ran(changing), ran(changing)
    save(doras, changing, "options", stop_after="1", then="version")
    do(crm, "INSERT INTO leads VALUES ('5', 'Eve', 13), ('6', 'Fay', 14), ('7', 'Gus', 15)")
    failed = ran(changing)

    assert "Everything, for there was no watermark yet; 2 new rows; watermark moved to 10." in summary(doras, first)
    carried = f"Changes since 10; 2 new rows and 1 carried from run {first.number}; watermark moved to 12."
    assert carried in summary(doras, second)
    stays = f"Changes since 12; 0 new rows and 1 carried from run {second.number}; the watermark stays where it was."
    assert stays in summary(doras, third)
    assert "3 new rows and 1 carried" in summary(doras, failed)
    assert "the watermark stays, for the run did not end well." in summary(doras, failed)
    assert "again with the changes since the watermark as it is now?" in summary(doras, failed)


def test_a_reset_asks_first_and_reads_everything_again(doras: Client, dora: User, changing: Process) -> None:
    ran(changing)
    assert "Reset the watermark? The next run reads everything again, and nothing is carried to it. Yes No" in tab(
        doras, changing
    )
    response = doras.post(reverse("process-watermark-reset", args=[changing.public_id]), follow=True)

    found = Watermark.objects.get()
    assert said(response) == "The watermark is reset. The next run reads from the beginning."
    assert (found.value, found.carried, found.set_by) == ("", None, dora)
    assert AuditEntry.objects.get(action="process.watermark_reset").user == dora
    assert "There is none now: the next run reads everything. Set by" in tab(doras, changing)
    assert ran(changing).source_rows == 2


def test_a_value_is_set_in_the_type_of_its_column(doras: Client, changing: Process) -> None:
    address = reverse("process-watermark-set", args=[changing.public_id])
    refused = doras.post(address, {"value": "soon"})
    assert refused.status_code == 422 and "“soon” is no whole number" in words(refused)
    assert not Watermark.objects.exists()

    doras.post(address, {"value": "9"})

    assert ran(changing).changes["since"] == "9"
    assert AuditEntry.objects.filter(action="process.watermark_set").count() == 1


def test_what_reads_everything_has_no_watermark_to_set(doras: Client, process: Process) -> None:
    response = doras.post(reverse("process-watermark-set", args=[process.public_id]), {"value": "9"})

    assert response.status_code == 404 and not Watermark.objects.exists()


def test_an_operator_sees_the_watermark_and_changes_nothing(client: Client, omar: User, changing: Process) -> None:
    ran(changing)
    client.force_login(omar)

    shown = tab(client, changing)

    assert "10 in changed." in shown and "Reset" not in shown
