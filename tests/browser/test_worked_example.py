"""The worked example of the source document, from an empty company, by clicking: its five steps and its figures.

Customers of a source system are created in a CRM, which refuses one. What failed is collected in a global variable, and a
second process marks the others in the source system. Then the same with no script at all.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from accounts.models import Company, User
from integrations.runs.perform import perform

FAILED = "GBL_FAILED_CUSTOMERS"
SOURCE = "customerNumber,companyName\n00001,Alder & Sons\n00002,Bluebird Cycles\n00003,Copper Kettle\n"
COLUMNS = (("customer_number", "customerNumber"), ("company_name", "companyName"))

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def systems(tmp_path: Path, settings: Any) -> Path:
    """The file of two systems in one: a CRM that takes no bluebirds, and where its customers come from."""
    settings.FOLDERS = [tmp_path]
    path = tmp_path / "systems.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            """CREATE TABLE crm_customers (customer_number TEXT PRIMARY KEY, company_name TEXT NOT NULL,
                   CONSTRAINT no_bluebirds CHECK (company_name NOT LIKE 'Bluebird%'));
               CREATE TABLE source_customers (customer_number TEXT PRIMARY KEY, company_name TEXT, integrated TEXT);
               INSERT INTO source_customers VALUES ('00001', 'Alder & Sons', NULL), ('00002', 'Bluebird Cycles', NULL),
                   ('00003', 'Copper Kettle', NULL);"""
        )
    return path


@pytest.fixture
def desk(page: Page, live_server: Any, client: Client, dora: User, settings: Any, company: Company) -> Page:
    """Where Dora, designer of a company in which there is nothing yet, has just signed in."""
    client.force_login(dora)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
    page.goto(live_server.url)
    return page


def test_the_worked_example_with_its_scripts(desk: Page, systems: Path, tmp_path: Path) -> None:
    connect_the_systems(desk, systems)
    create_the_first_process(desk, tmp_path)

    create_the_global_variable(desk)
    catch_the_documents_with_errors(desk)
    create_the_process_that_updates_the_source(desk, tmp_path)
    restrict_the_records_with_errors(desk)
    run_it_behind_the_first_process(desk)

    run_the_integration(desk, tmp_path, read_by_child=3, restricted=1)
    assert marked(systems) == [("Alder & Sons", "yes"), ("Bluebird Cycles", None), ("Copper Kettle", "yes")]


def test_the_same_story_with_no_script(desk: Page, systems: Path, tmp_path: Path) -> None:
    connect_the_systems(desk, systems)
    create_the_first_process(desk, tmp_path)
    create_the_process_that_updates_the_source(desk, tmp_path)

    open_process(desk, "CUSTOMERS_TO_CRM")
    add_task(desk, "MARK_SUCCEEDED", "Integration Post Always Tasks", "Run Integration")
    desk.get_by_label("Use data from parent").select_option(label="Succeeded documents")
    desk.get_by_label("Integration to Run").select_option(label="MARK_IN_SOURCE")
    save_task(desk, "MARK_SUCCEEDED")
    save_version(desk, 2)

    run_the_integration(desk, tmp_path, read_by_child=2, restricted=0)
    assert marked(systems) == [("Alder & Sons", "yes"), ("Bluebird Cycles", None), ("Copper Kettle", "yes")]


# The steps -----------------------------------------------------------------------------------------------------------


def connect_the_systems(page: Page, systems: Path) -> None:
    go(page, "Connections")
    page.get_by_role("link", name=re.compile("SQL")).first.click()
    page.get_by_label("Name", exact=True).fill("Systems")
    page.get_by_label("System").select_option("sqlite")
    page.get_by_role("textbox", name="File").fill(str(systems))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Systems is saved")).to_be_visible()
    page.get_by_role("button", name="Test").click()
    page.get_by_role("button", name="Create the delivery marker table").click()


def create_the_first_process(page: Page, folder: Path) -> None:
    create_process(page, folder, "CUSTOMERS_TO_CRM", "crm_customers")
    save_version(page, 1)


def create_the_global_variable(page: Page) -> None:
    """Step 1."""
    go(page, "Global Variables")
    page.get_by_role("link", name="Create the first one").click()
    page.get_by_label("Name").fill(FAILED)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(f"{FAILED} is saved")).to_be_visible()


def catch_the_documents_with_errors(page: Page) -> None:
    """Step 2: one task empties the variable, another one appends the name of each document that failed."""
    open_process(page, "CUSTOMERS_TO_CRM")
    add_task(page, "RESET_FAILED_RECORDS", "Integration Pre Tasks", "Run Script")
    page.get_by_label("JavaScript Code").fill(f"this.{FAILED} = '';\nreturn true;")
    save_task(page, "RESET_FAILED_RECORDS")

    add_task(page, "UPDATE_FAILED_RECORDS", "Document Post Failure Tasks", "Run Script")
    page.get_by_label("JavaScript Code").fill(f"this.{FAILED} = this.{FAILED} + this._companyName + '|';\nreturn true;")
    save_task(page, "UPDATE_FAILED_RECORDS")
    save_version(page, 2)


def create_the_process_that_updates_the_source(page: Page, folder: Path) -> None:
    """Step 3: the same columns, into the system they came from."""
    create_process(page, folder, "MARK_IN_SOURCE", "source_customers", mode="Update only")
    page.get_by_label("Column type of integrated").select_option("constant")
    page.get_by_label("Constant of integrated").fill("yes")
    page.get_by_label("Constant of integrated").blur()
    save_version(page, 1)


def restrict_the_records_with_errors(page: Page) -> None:
    """Step 4. The printed script takes the text apart by hand; this is what it means."""
    page.get_by_role("link", name="Restriction").click()
    page.get_by_label("JavaScript Code").fill(f"return !this.{FAILED}.split('|').includes(this._companyName);")
    page.get_by_role("button", name="Save to the draft").click()
    save_version(page, 2)


def run_it_behind_the_first_process(page: Page) -> None:
    """Step 5: whether all documents went well or some failed."""
    open_process(page, "CUSTOMERS_TO_CRM")
    for end, stage in (("S", "Integration Post Success Tasks"), ("F", "Integration Post Failure Tasks")):
        add_task(page, f"NOTIFY_NS_OF_SUCCESS_{end}", stage, "Run Integration")
        page.get_by_label("Use data from parent").select_option(label="All documents")
        page.get_by_label("Integration to Run").select_option(label="MARK_IN_SOURCE")
        page.get_by_label("Use Parent Variables").check()
        save_task(page, f"NOTIFY_NS_OF_SUCCESS_{end}")
    save_version(page, 3)


def run_the_integration(page: Page, folder: Path, *, read_by_child: int, restricted: int) -> None:
    """Run the first process and see the figures of the example: 3 read, 1 error kept, 2 updated by the child."""
    leaves_out = {"Restricted": restricted} if restricted else {}
    source = folder / "new customers.csv"
    source.write_text(SOURCE)
    page.get_by_role("link", name="Run Integration", exact=True).click()
    page.get_by_label("Source file").set_input_files(source)
    page.get_by_role("button", name="Run Integration", exact=True).click()
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    perform()
    page.get_by_role("link", name="Run Summary").first.click()
    expect(page.get_by_text("Completed with Errors").first).to_be_visible()
    assert ledger(page) == {"Read": 3, "Delivered": 2, "Failed": 1}
    expect(page.get_by_role("region", name="Table of failed documents")).to_contain_text("Bluebird Cycles")
    page.get_by_role("link", name=re.compile("MARK_IN_SOURCE")).first.click()
    expect(page.get_by_role("heading", name=re.compile("MARK_IN_SOURCE"))).to_be_visible()
    expect(page.get_by_text("2 updated")).to_be_visible()
    assert ledger(page) == {"Read": read_by_child, "Delivered": 2, **leaves_out}


# The screens ---------------------------------------------------------------------------------------------------------


def go(page: Page, place: str) -> None:
    page.get_by_role("navigation", name="Main Menu").get_by_role("link", name=place, exact=True).click()


def create_process(page: Page, folder: Path, name: str, target: str, mode: str = "Insert or update") -> None:
    """Define a process over a CSV file of customers up to its mapping, which is left open."""
    sample = folder / "sample.csv"
    sample.write_text(SOURCE)
    go(page, "Processes")
    page.get_by_role("link", name="New process").first.click()
    page.get_by_label("Name", exact=False).first.fill(name)
    page.get_by_label("Destination").select_option(label="Systems")
    page.get_by_role("radio", name="CSV").check()
    page.get_by_role("button", name="Create process").click()
    page.get_by_label("Sample file").set_input_files(sample)
    page.get_by_role("button", name="Upload and read columns").click()
    page.get_by_label("companyName is a key field").check()
    page.get_by_role("button", name="Save to the draft").click()

    page.get_by_role("link", name="Target", exact=True).click()
    page.get_by_role("button", name="Add line").click()
    page.get_by_label("Target", exact=True).select_option(target)
    page.get_by_label("Line name").fill("Customer")
    page.get_by_label("Mode").select_option(label=mode)
    page.get_by_role("button", name="Save to the draft").click()

    page.get_by_role("link", name="Integration", exact=True).click()
    page.get_by_role("button", name="Auto-match by name").click()
    expect(page.get_by_text("2 matched by name")).to_be_visible()


def open_process(page: Page, name: str) -> None:
    go(page, "Processes")
    page.get_by_role("link", name=name, exact=True).click()


def add_task(page: Page, name: str, stage: str, kind: str) -> None:
    page.get_by_role("link", name="Tasks", exact=True).click()
    page.get_by_role("link", name="Add Task", exact=True).click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Type").select_option(label=kind)
    page.get_by_label("Stage").select_option(label=stage)


def save_task(page: Page, name: str) -> None:
    page.get_by_role("button", name="Save to the draft", exact=True).click()
    expect(page.get_by_text(f"Task {name} is saved to the draft.")).to_be_visible()


def save_version(page: Page, number: int) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(f"Version {number} is saved")).to_be_visible()


def ledger(page: Page) -> dict[str, int]:
    """The figures of the Run Summary as a person reads them, without those that are 0."""
    words = [part.inner_text().split("\n") for part in page.locator(".ledger > div").all()]
    figures = {label.strip(): int(figure) for label, figure, *_ in words}
    return {label: figure for label, figure in figures.items() if figure}


def marked(systems: Path) -> list[Any]:
    with closing(sqlite3.connect(systems)) as database:
        return database.execute("SELECT company_name, integrated FROM source_customers ORDER BY 1").fetchall()
