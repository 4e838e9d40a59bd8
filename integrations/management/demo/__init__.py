"""The Demo company: a connection, its processes and their files, ready to run in the first minute.

The files are as real exports are: a thousand customers with a dozen honest defects, and three thousand order lines
of which some stand far from the rest of their order. The web shop's three customers show tasks, a global variable and
a child run: one of the three is refused, and the other two are noted as done where they came from.
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
from integrations.management.demo.plans import (
    FAILED_CUSTOMERS,
    customers_plan,
    mark_web_shop_plan,
    orders_plan,
    web_shop_plan,
)
from integrations.models import Connection, GlobalVariable, Process, ProcessVersion
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
    make_crm(settings.DEMO_CRM)
    with transaction.atomic():
        company = Company.objects.create(name=COMPANY, data_key=new_data_key(), time_zone=owner.time_zone or "UTC")
        Membership.objects.create(user=owner, company=company, role=Role.ADMINISTRATOR)
        with scope(company=company):
            _fill(company, owner)
        record("company.created", COMPANY, user=owner, company=company, after={"demo": True})
    return company


def make_crm(path: Path) -> None:
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
    GlobalVariable.objects.create(
        company=company,
        name=FAILED_CUSTOMERS,
        description="Names of the web shop's customers that the CRM refused in a run, each with a | behind it.",
        updated_by=owner,
    )
    mark = _add_process(
        company, owner, mark_web_shop_plan(crm), "", "Run by WEB_SHOP_TO_CRM: notes in the web shop who is in the CRM."
    )
    _add_process(
        company,
        owner,
        web_shop_plan(crm, mark),
        "",
        "New customers of the web shop into the CRM; those that arrived are then marked in the web shop.",
    )


def _add_process(company: Company, owner: User, plan: Plan, file_name: str, description: str) -> Process:
    """Make a process with one version; a `file_name` is the file it reads when it is given none."""
    default_file = None
    if file_name:
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
    return process
