"""Nothing that may take long happens while a transaction holds the database: no network, no script, no parsing.

And whatever is logged about a run says which run it is.
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from types import ModuleType
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import Company, User
from config.logs import configuration
from integrations.connectors.delimited import DelimitedSource
from integrations.connectors.excel import ExcelSource
from integrations.connectors.http_json import HttpJsonDestination
from integrations.connectors.spool import SpooledSource
from integrations.connectors.sql.destination import SqlDestination
from integrations.connectors.sql.query import QuerySource
from integrations.egress.http import HttpDoor
from integrations.engine.plan import (
    ChoicesFrom,
    ColumnType,
    DestinationSpec,
    FieldMap,
    Line,
    ParentData,
    Prompt,
    PromptType,
    Stage,
    Task,
    TaskType,
    Variable,
)
from integrations.exchange import bundle, importing
from integrations.exchange.bundle import zipped
from integrations.exchange.things import everything
from integrations.models import GlobalVariable, Process, Run, RunStatus
from integrations.scripting.sandbox import Sandbox
from tests import factories
from tests.runs.performing import Crm, performed, process_into
from tests.servers import free_port

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]

SLOW: tuple[tuple[type | ModuleType, str], ...] = (
    (bundle, "read"),
    (importing, "from_data"),
    (importing, "first_complaint"),
    (HttpDoor, "send_all"),
    (HttpDoor, "send_until"),
    (HttpJsonDestination, "deliver"),
    (SqlDestination, "deliver"),
    (Sandbox, "evaluate"),
    (DelimitedSource, "read"),
    (ExcelSource, "read"),
    (QuerySource, "read"),
    (SpooledSource, "read"),
)


@pytest.fixture
def slow_things(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Watches the real parts, and names those that were at work; each asserts that no transaction is open."""
    seen: set[str] = set()

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def outside(*args: Any, **kwargs: Any) -> Any:
            assert not connection.in_atomic_block, f"{name} is called inside a transaction"
            seen.add(name)
            given = work(*args, **kwargs)
            return stepwise(name, given) if isinstance(given, Iterator) else given

        return outside

    def stepwise(name: str, steps: Iterator[Any]) -> Iterator[Any]:
        for step in steps:
            assert not connection.in_atomic_block, f"{name} goes on inside a transaction"
            yield step

    for owner, name in SLOW:
        called = f"{owner.__name__.rpartition('.')[2]}.{name}"
        monkeypatch.setattr(owner, name, watched(called, getattr(owner, name)))
    return seen


def test_a_run_into_sql_with_a_script_holds_no_transaction_meanwhile(crm: Crm, slow_things: set[str]) -> None:
    number = FieldMap(target="customer_number", value="CustomerNumber")
    name = FieldMap(target="name", column_type=ColumnType.CALCULATION, value="return this._Name + '!';")
    line = Line(name="Customer", target="customers", keys=("customer_number",), fields=(number, name))

    assert performed(process_into(crm, lines=(line,)), "1,Ann\n2,Ben\n3,Cid\n").status == RunStatus.COMPLETED
    assert crm.customers()[0] == ("1", "Ann!")
    assert slow_things == {"SqlDestination.deliver", "Sandbox.evaluate", "DelimitedSource.read"}


def test_a_run_over_http_holds_no_transaction_meanwhile(company: Company, slow_things: set[str]) -> None:
    nowhere = factories.make_connection(company, "Nowhere", "http", url=f"http://127.0.0.1:{free_port()}/")
    spec = DestinationSpec(kind="http_json", connection=str(nowhere.public_id))
    process = factories.make_process(company, factories.make_plan(nowhere, destination=spec))

    assert performed(process, "1,Ann\n").status == RunStatus.FAILED
    assert slow_things >= {"HttpJsonDestination.deliver", "DelimitedSource.read"}
    assert slow_things & {"HttpDoor.send_all", "HttpDoor.send_until"}


def test_a_list_from_a_query_is_asked_outside_of_transactions_for_a_child_too(
    crm: Crm, company: Company, slow_things: set[str]
) -> None:
    GlobalVariable.objects.create(company=company, name="GBL_A")
    asked = Prompt(
        type=PromptType.CHOICE,
        choices_from=ChoicesFrom.QUERY,
        connection=str(crm.connection.public_id),
        query="SELECT 'one'",
        default="one",
    )
    variables = (Variable(name="GBL_A", prompt=asked),)
    child = process_into(crm, process="CHILD", variables=variables)
    follow = Task(
        name="FOLLOW",
        type=TaskType.RUN_INTEGRATION,
        stage=Stage.INTEGRATION_POST_SUCCESS,
        integration=str(child.public_id),
        parent_data=ParentData.ALL,
    )

    run = performed(process_into(crm, process="PARENT", variables=variables, tasks=(follow,)), "1,Ann\n")

    assert run.status == RunStatus.COMPLETED, run.reason
    assert [item.given for item in Run.objects.order_by("number")] == [{"GBL_A": "one"}] * 2
    assert "QuerySource.read" in slow_things


def test_an_import_holds_no_transaction_while_it_reads(
    client: Client, company: Company, dora: User, slow_things: set[str]
) -> None:
    plan = factories.make_plan(factories.make_connection(company))
    factories.make_process(company, replace(plan, lines=(replace(plan.lines[0], restriction="return true;"),)))
    upload = SimpleUploadedFile("x.zip", zipped(everything()))
    Process.objects.update(name="OTHER")
    client.force_login(dora)

    looked = client.post(reverse("definitions-look"), {"file": upload})
    answers = {"kept": str(looked.context["file"].public_id), "seen": looked.context["seen"], "take": ["0", "1"]}
    client.post(reverse("definitions-take"), answers)

    assert Process.objects.count() == 2
    assert slow_things == {"bundle.read", "importing.from_data", "importing.first_complaint"}


def test_every_line_of_the_log_names_the_run_and_its_company(crm: Crm, company: Company) -> None:
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    collector = Collector()
    formatter = configuration("INFO", as_json=True)["formatters"]["lines"]
    collector.setFormatter(formatter.pop("()")(**formatter))
    log = logging.getLogger("integrations.runs")
    log.addHandler(collector)
    try:
        run = performed(process_into(crm), "1,Ann\n")
    finally:
        log.removeHandler(collector)

    about = [said for said in map(json.loads, lines) if "completed" in said["event"]]
    assert about and all((said["run"], said["company"]) == (run.number, company.name) for said in about)
