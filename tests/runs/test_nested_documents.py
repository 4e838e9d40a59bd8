"""Nested files in real runs: a header and its lines go to two tables, and a child reads the rows of its parent alone."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine.plan import (
    DOCUMENT,
    ROWS_OF,
    Column,
    DestinationSpec,
    FieldMap,
    Line,
    ParentData,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    WriteMode,
)
from integrations.models import Process, Run, RunStatus
from integrations.runs.files import store
from integrations.runs.perform import perform_next
from integrations.runs.request import Refused, request_run
from tests import factories
from tests.runs.performing import Crm, fresh, process_into, requested

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = """<orders>
 <order id="1"><customer>Anna</customer><line><sku>A</sku></line><line><sku>B</sku></line><payment><sum>9</sum></payment></order>
 <order id="2"><customer>Ben</customer></order>
 <order id="3"><customer>Cara</customer><line><sku>C</sku></line></order>
</orders>"""
COLUMNS = tuple(Column(name=name) for name in (DOCUMENT, ROWS_OF, "@id", "customer", "line.sku", "payment.sum"))


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        yield


@pytest.fixture
def crm(in_company: None, company: Company, tmp_path: Path) -> Crm:
    return Crm(company, tmp_path)


def ask(crm: Crm, statement: str) -> list[Any]:
    with closing(sqlite3.connect(crm.path)) as database, database:
        return database.execute(statement).fetchall()


def test_each_line_takes_the_rows_of_its_own_list(crm: Crm, company: Company) -> None:
    ask(crm, "CREATE TABLE heads (id TEXT, customer TEXT NOT NULL)")
    ask(crm, "CREATE TABLE items (id TEXT, sku TEXT NOT NULL)")
    identified = FieldMap(target="id", value="@id")
    lines = (
        Line(
            name="Head",
            target="heads",
            mode=WriteMode.INSERT,
            fields=(identified, FieldMap(target="customer", value="customer")),
        ),
        Line(
            name="Item",
            target="items",
            mode=WriteMode.INSERT,
            grouped=False,
            rows="line",
            fields=(identified, FieldMap(target="sku", value="line.sku")),
        ),
    )
    options = {"path": "orders/order", "lists": "line, payment", "shape": "documents"}
    plan = factories.make_plan(
        crm.connection,
        source=SourceSpec(kind="xml", options=options, columns=COLUMNS),
        destination=DestinationSpec(kind="sql", connection=str(crm.connection.public_id)),
        key_fields=(DOCUMENT,),
        lines=lines,
    )
    process = factories.make_process(company, plan)
    file = store(company, io.BytesIO(ORDERS.encode()), name="orders.xml", by=None)

    run = request_run(process, by=None, file=file)
    perform_next()

    run = fresh(run)
    assert (run.status, run.source_rows, run.documents_created) == (RunStatus.COMPLETED, 5, 3)
    assert ask(crm, "SELECT * FROM heads") == [("1", "Anna"), ("2", "Ben"), ("3", "Cara")]
    assert ask(crm, "SELECT * FROM items") == [("1", "A"), ("1", "B"), ("3", "C")]


# ---- rows of a parent -----------------------------------------------------------------------------------------------


@pytest.fixture
def child(crm: Crm) -> Process:
    columns = (Column(name="CustomerNumber"), Column(name="Name"))
    options = {"columns": "CustomerNumber\nName"}
    return process_into(crm, process="CHILD", source=SourceSpec(kind="parent_rows", options=options, columns=columns))


def test_a_process_that_reads_its_parent_is_not_run_alone(
    child: Process, client: Client, omar: User, company: Company
) -> None:
    with pytest.raises(Refused, match="cannot be run alone: run a process with a task that runs it"):
        request_run(child, by=None)
    client.force_login(omar)
    page = client.get(reverse("run-panel-process", args=[child.public_id])).content.decode()

    assert "cannot be run alone" in page and "data-run>" not in page
    assert not Run.objects.exists()


def test_its_parent_runs_it_with_its_rows(crm: Crm, child: Process) -> None:
    task = Task(
        name="GIVE_ON",
        type=TaskType.RUN_INTEGRATION,
        stage=Stage.INTEGRATION_POST_ALWAYS,
        integration=str(child.public_id),
        parent_data=ParentData.SUCCEEDED,
    )
    run = requested(process_into(crm, process="PARENT", tasks=(task,)), "1,Anna\n2,\n")
    perform_next()

    mine = Run.objects.get(parent=run)
    assert (mine.status, mine.source_rows, mine.documents_unchanged) == (RunStatus.COMPLETED, 1, 1)
