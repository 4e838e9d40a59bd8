"""What the browser tests share: the Demo company with its people, a browser that is signed in, and a worker."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django_scopes import scope
from playwright.sync_api import Page

from accounts.models import Company, Membership, Role, User
from integrations.management.demo import create_demo
from integrations.models import Process, Run
from integrations.runs.perform import perform
from integrations.runs.request import request_run
from tests import factories

NO_FAULT = re.compile(
    r"the server responded with a status of 4\d\d|Status Error Code 4\d\d|^htmx:(sendAbort|afterRequest)$"
)
"""What a console says of answers that refuse something, and of requests that a newer one replaced."""


@pytest.fixture
def demo(transactional_db: None, settings: Any, tmp_path: Path) -> Company:
    """The Demo company as the first start makes it, with a CRM of this test's own. Olga owns it."""
    settings.DEMO_CRM = tmp_path / "demo_crm.db"
    settings.FOLDERS = [tmp_path]
    return create_demo(factories.make_user("olga@harwood.test", is_owner=True))


@pytest.fixture
def olga(demo: Company) -> User:
    """The Owner of the installation, and Administrator of the Demo company."""
    return User.objects.get(email="olga@harwood.test")


@pytest.fixture
def omar(demo: Company) -> User:
    """An operator of the Demo company."""
    omar = factories.make_user("omar@harwood.test")
    Membership.objects.create(user=omar, company=demo, role=Role.OPERATOR)
    return omar


@pytest.fixture
def customers(demo: Company) -> Process:
    with scope(company=demo):
        return Process.objects.select_related("company", "default_file").get(name="CUSTOMERS_TO_CRM")


@pytest.fixture
def enter(page: Page, live_server: Any, client: Client, settings: Any) -> Iterator[Callable[[User, str], Page]]:
    """Open an address as someone who is signed in already, and give the page. Nothing may be amiss in its console."""
    said: list[str] = []
    page.on("console", lambda word: said.append(word.text) if word.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))

    def open_as(user: User, address: str) -> Page:
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        cookie = {"name": name, "value": client.cookies[name].value, "url": live_server.url}
        page.context.add_cookies([cookie])  # type: ignore[list-item]
        page.goto(live_server.url + address)
        return page

    yield open_as
    assert [words for words in said if not NO_FAULT.search(words)] == []


def ended_run(process: Process, by: User) -> Run:
    """A run of `process` over its default file, requested and performed to its end."""
    with scope(company=process.company):
        run = request_run(process, by=by)
    perform()
    return fresh(run)


def fresh(run: Run) -> Run:
    with scope(company=run.company):
        return Run.objects.select_related("company", "process", "version").get(pk=run.pk)


def in_crm(settings: Any, question: str) -> list[Any]:
    """Ask the Demo CRM itself what it holds."""
    with closing(sqlite3.connect(settings.DEMO_CRM)) as crm:
        return crm.execute(question).fetchall()
