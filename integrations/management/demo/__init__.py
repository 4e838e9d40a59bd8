"""The Demo company: a connection, two processes and their files, ready to run in the first minute.

The files are as real exports are: a thousand customers with a dozen honest defects, and three thousand order lines
of which some stand far from the rest of their order.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django_scopes import scope

from accounts.audit import record
from accounts.keys import new_data_key
from accounts.models import Company, Membership, Role, User
from integrations.connectors.registry import connector
from integrations.engine.plan import Plan
from integrations.management.demo.plans import customers_plan, orders_plan
from integrations.models import Connection, Process, ProcessVersion
from integrations.runs.connections import opened
from integrations.runs.files import store

COMPANY = "Demo"
FILES = Path(__file__).parent


def create_demo(owner: User) -> Company:
    """Make the Demo company for its owner and give it; one that exists already is given as it is.

    The owner becomes its Administrator. Nothing of another company is touched.
    """
    if existing := Company.objects.filter(name=COMPANY).first():
        return existing
    _make_crm(settings.DEMO_CRM)
    with transaction.atomic():
        company = Company.objects.create(name=COMPANY, data_key=new_data_key(), time_zone=owner.time_zone or "UTC")
        Membership.objects.create(user=owner, company=company, role=Role.ADMINISTRATOR)
        with scope(company=company):
            _fill(company, owner)
        record("company.created", COMPANY, user=owner, company=company, after={"demo": True})
    return company


def _make_crm(path: Path) -> None:
    """Make the SQLite file with its tables. What an earlier start made is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as crm:
        crm.executescript((FILES / "demo_crm.sql").read_text())


def _fill(company: Company, owner: User) -> None:
    crm = Connection.objects.create(
        company=company, name="Demo CRM", connector="sql", settings={"system": "sqlite", "path": str(settings.DEMO_CRM)}
    )
    connector("sql").offers["delivery_marker"](opened(crm))
    _add_process(
        company, owner, customers_plan(crm), "customers.csv", "Customers of the web shop, kept up to date in the CRM."
    )
    _add_process(
        company, owner, orders_plan(crm), "orders.csv", "Orders with their items: one header line, many item lines."
    )


def _add_process(company: Company, owner: User, plan: Plan, file_name: str, description: str) -> None:
    with (FILES / file_name).open("rb") as file:
        default_file = store(company, file, name=file_name, by=owner)
    process = Process.objects.create(
        company=company,
        name=plan.process,
        description=description,
        draft=plan.to_json(),
        created_by=owner,
        default_file=default_file,
    )
    ProcessVersion.objects.create(
        company=company, process=process, number=1, plan_json=plan.to_json(), created_by=owner
    )
