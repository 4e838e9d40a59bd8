"""What tests of the designer's screens share: a small SQLite system, a file, a process, and ways to post a form as it
stands."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import BaseFormSet, Form
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine.plan import Plan
from integrations.models import Connection, Process

CSV = "Customer Number,Name,Amount\n00123,Köhler & Söhne,10\n00124,,20\n00123,Köhler & Söhne,5\n".encode()
TABLES = """
    CREATE TABLE customers (customer_number TEXT PRIMARY KEY, name TEXT NOT NULL, amount NUMERIC, note TEXT);
    CREATE TABLE items (item_number INTEGER PRIMARY KEY, customer_number TEXT NOT NULL);
"""


def make_database(folder: Path) -> Path:
    """A SQLite file with the tables that a process may write to."""
    path = folder / "crm.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(TABLES)
    return path


def sql_connection(company: Company, path: Path, name: str = "CRM") -> Connection:
    with scope(company=company):
        return Connection.objects.create(
            company=company, name=name, connector="sql", settings={"system": "sqlite", "path": str(path)}
        )


def only_process(company: Company) -> Process:
    with scope(company=company):
        return Process.objects.get()


def answers_of(forms: Iterable[Form | BaseFormSet]) -> dict[str, Any]:
    """What a browser would send of these forms if nothing were changed."""
    answers: dict[str, Any] = {}
    for form in forms:
        if isinstance(form, BaseFormSet):
            answers |= answers_of([form.management_form, *form.forms])
            continue
        for field in form:
            value = field.value()
            if field.field.__class__.__name__ == "FileField" or value is None or value is False:
                continue
            answers[field.html_name] = "on" if value is True else value
    return answers


def upload_sample(
    client: Client, process: Process, content: bytes = CSV, name: str = "customers.csv", **changes: Any
) -> Any:
    """Post the Source tab as it stands on the screen with a sample file, some answers changed."""
    file = SimpleUploadedFile(name, content)
    answers = shown_answers(client, process, "source") | {"file": file} | changes
    response = client.post(reverse("process-sample", args=[process.public_id]), answers, follow=True)
    process.refresh_from_db()
    return response


def shown_answers(client: Client, process: Process, tab: str, *, line: int | None = None) -> dict[str, Any]:
    """What a browser would send of a tab as it stands on the screen."""
    page = "process" if tab == "details" else f"process-{tab}"
    shown = client.get(reverse(page, args=_args(process, line))).context
    forms = [shown[name] for name in ("form", "columns", "lines", "grid") if name in shown and shown[name] is not None]
    return answers_of(forms) | ({"kind": shown["kind"].key} if tab == "source" else {})


def save(client: Client, process: Process, tab: str, *, line: int | None = None, **changes: Any) -> Any:
    """Post a tab as it stands on the screen, with some answers changed."""
    answers = shown_answers(client, process, tab, line=line) | changes
    answers = {name: value for name, value in answers.items() if value is not None}
    response = client.post(reverse(f"process-{tab}-save", args=_args(process, line)), answers, follow=True)
    process.refresh_from_db()
    return response


def _args(process: Process, line: int | None) -> list[Any]:
    return [process.public_id] + ([line] if line else [])


def said(response: Any) -> str:
    """The messages that the page shows, in one text."""
    return " ".join(str(message) for message in response.context["messages"])


@pytest.fixture
def crm(company: Company, tmp_path: Path, settings: Any) -> Connection:
    settings.FOLDERS = [tmp_path]
    return sql_connection(company, make_database(tmp_path))


@pytest.fixture
def process(client: Client, dora: User, company: Company, crm: Connection) -> Process:
    """A process that was just made, signed in as its designer."""
    client.force_login(dora)
    client.post(
        reverse("process-new"),
        {"name": "CUSTOMERS", "kind": "delimited", "destination": f"sql@{crm.public_id}"},
    )
    return only_process(company)


@pytest.fixture
def with_line(client: Client, company: Company, process: Process) -> Process:
    """A process with columns, a key field and one line into `customers`."""
    upload_sample(client, process)
    save(client, process, "source", **{"columns-0-key": "on"})
    save(client, process, "target", do="add")
    save(client, process, "target", **{"lines-0-target": "customers", "lines-0-name": ""})
    process.refresh_from_db()
    return process


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Any:
    """Rows are read back in the company of the test."""
    with scope(company=company):
        yield


def draft(process: Process) -> Plan:
    process.refresh_from_db()
    return process.drafted
