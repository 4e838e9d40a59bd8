"""Runs performed for real, in this process: a CSV text into a SQLite file, through every stage."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from django_scopes import scope

from accounts.models import Company, User
from integrations.connectors.registry import connector
from integrations.engine.plan import DestinationSpec, FieldMap, Line, Options, Plan, WriteMode
from integrations.models import Connection, Process, Run, StoredFile
from integrations.runs.connections import opened
from integrations.runs.files import store
from integrations.runs.perform import perform_next
from integrations.runs.request import request_run
from tests import factories

HEADER = "CustomerNumber,Name\n"


class Crm:
    """A SQLite system with a table `customers` that refuses a customer without a name."""

    def __init__(self, company: Company, folder: Path, *, name: str = "CRM") -> None:
        self.path = folder / "crm.db"
        self._do("CREATE TABLE customers (customer_number TEXT PRIMARY KEY, name TEXT NOT NULL)")
        self.connection: Connection = factories.make_connection(company, name, system="sqlite", path=str(self.path))
        self.make_marker()

    def make_marker(self) -> None:
        connector("sql").offers["delivery_marker"](opened(self.connection))

    def drop_marker(self) -> None:
        self._do("DROP TABLE waybill_delivery")

    def customers(self) -> list[tuple[str, str]]:
        return self._do("SELECT customer_number, name FROM customers ORDER BY customer_number")

    def _do(self, statement: str) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as database, database:
            return database.execute(statement).fetchall()


def process_into(
    crm: Crm,
    *,
    batch_documents: int = 2,
    options: Options | None = None,
    mode: WriteMode = WriteMode.UPSERT,
    **changes: Any,
) -> Process:
    """CUSTOMERS_TO_CRM into `crm`, a few documents a segment."""
    connection = crm.connection
    spec = DestinationSpec(
        kind="sql", connection=str(connection.public_id), options={"batch_documents": batch_documents}
    )
    line = Line(
        name="Customer",
        target="customers",
        mode=mode,
        keys=("customer_number",),
        fields=(
            FieldMap(target="customer_number", value="CustomerNumber", required=True),
            FieldMap(target="name", value="Name", required=True),
        ),
    )
    parts = {"destination": spec, "options": options or Options(), "lines": (line,), **changes}
    plan: Plan = factories.make_plan(connection, **parts)
    return factories.make_process(connection.company, plan)


def file_of(company: Company, rows: str) -> StoredFile:
    with scope(company=company):
        return store(company, io.BytesIO((HEADER + rows).encode()), name="customers.csv", by=None)


def requested(process: Process, rows: str, *, by: User | None = None) -> Run:
    with scope(company=process.company):
        return request_run(process, by=by, file=file_of(process.company, rows))


def performed(process: Process, rows: str, *, by: User | None = None) -> Run:
    """Request a run of these rows, perform it, and give it as it ended."""
    run = requested(process, rows, by=by)
    assert perform_next(), "the run was there to be claimed"
    return fresh(run)


def fresh(run: Run) -> Run:
    with scope(company=run.company):
        return Run.objects.select_related("company", "process", "version").get(pk=run.pk)
