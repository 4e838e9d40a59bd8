"""What every test may ask for: people, a company, real servers, a browser.

Viewer Vera, operator Omar, designer Dora, administrator Ada; Mallory is elsewhere.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from playwright.sync_api import Browser, Page, sync_playwright

from accounts.models import Company, Role, User
from tests import factories
from tests.browser.chromium import find_chromium
from tests.servers import Postgres, Valkey

# Playwright keeps an event loop in this thread; what Django does beside it is meant.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

OVER_REAL_CONNECTIONS = tuple(
    f"tests/{room}/"
    for room in ("browser", "connectors", "egress", "faults", "management", "production", "runs", "scheduling", "start")
)
"""Where real servers and processes race a deadline on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a test over real connections a second time; the report names each that needed it, to be mended."""
    for item in items:
        if item.nodeid.startswith(OVER_REAL_CONNECTIONS):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session", autouse=True)
def static_files() -> None:
    """Pages name their static files by content, so those are gathered once."""
    call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture(scope="session", autouse=True)
def served_as_in_production() -> None:
    """Let the live server leave static files to WhiteNoise, under the names that pages use."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler

    StaticFilesHandler._should_handle = lambda self, path: False


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Keep the rows in a file, as in service: threads that share one memory refuse each other instead of waiting.

    The file need not survive a power loss, so that nothing waits for the disk.
    """
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(settings.DATA_DIR / "tests.sqlite3")
        options = connection.settings_dict["OPTIONS"]
        options["init_command"] = options["init_command"].replace("synchronous=FULL", "synchronous=OFF")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Take the triggers of the audit log off: tests empty tables between them. Their own test puts them back."""
    from importlib import import_module

    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        import_module("accounts.migrations.0002_append_only").unguard(None, editor)


@pytest.fixture
def company(db: None) -> Company:
    return factories.make_company()


@pytest.fixture
def vera(company: Company) -> User:
    return factories.make_user("vera@harwood.test", company=company, role=Role.VIEWER)


@pytest.fixture
def omar(company: Company) -> User:
    return factories.make_user("omar@harwood.test", company=company, role=Role.OPERATOR)


@pytest.fixture
def dora(company: Company) -> User:
    return factories.make_user("dora@harwood.test", company=company, role=Role.DESIGNER)


@pytest.fixture
def ada(company: Company) -> User:
    return factories.make_user("ada@harwood.test", company=company, role=Role.ADMINISTRATOR)


@pytest.fixture
def mallory(db: None) -> User:
    """Administrator of another company: may do everything there and see nothing here."""
    return factories.make_user(
        "mallory@elsewhere.test", company=factories.make_company("Elsewhere Ltd"), role=Role.ADMINISTRATOR
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, as the other system of a connection."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A real Valkey of one test's own: it may be killed."""
    server = Valkey()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser that has never been here."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()
