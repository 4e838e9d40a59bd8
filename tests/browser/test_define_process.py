"""A designer defines a small process by clicking: a CSV file into a SQLite table, saved as a version."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django_scopes import scope
from playwright.sync_api import Page, expect

from accounts.models import Company, User
from integrations.engine.plan import ColumnType
from integrations.models import Process
from tests.web.defining import CSV, make_database, save, sql_connection, upload_sample


@pytest.fixture
def signed_in(page: Page, live_server: Any, client: Client, dora: User, settings: Any) -> Page:
    """The page of a browser in which Dora is signed in."""
    client.force_login(dora)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
    return page


@pytest.mark.django_db(transaction=True)
def test_a_designer_builds_a_process_by_clicking_and_saves_a_version(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any
) -> None:
    settings.FOLDERS = [tmp_path]
    sql_connection(company, make_database(tmp_path))
    page = signed_in
    sample = tmp_path / "customers.csv"
    sample.write_bytes(CSV)

    page.goto(f"{live_server.url}/processes/")
    page.get_by_role("link", name="New process").click()
    page.get_by_label("Name", exact=False).first.fill("CUSTOMERS")
    page.get_by_label("Destination").select_option(label="CRM")
    page.get_by_role("radio", name="CSV").check()
    page.get_by_role("button", name="Create process").click()

    page.get_by_label("Sample file").set_input_files(sample)
    page.get_by_role("button", name="Upload and read columns").click()
    expect(page.get_by_text("3 columns are known")).to_be_visible()
    page.get_by_label("Customer Number is a key field").check()
    page.get_by_label("Type of Amount").select_option("decimal")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_text("documents by Customer Number")).to_be_visible()

    page.get_by_role("link", name="Target", exact=True).click()
    page.get_by_role("button", name="Add line").click()
    page.get_by_label("Target", exact=True).select_option("customers")
    page.get_by_label("Line name").fill("Customer")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_role("checkbox", name="customer_number")).to_be_checked()

    page.get_by_role("link", name="Integration", exact=True).click()
    page.get_by_role("button", name="Auto-match by name").click()
    expect(page.get_by_text("3 matched by name")).to_be_visible()
    expect(page.get_by_role("row", name="customer_number").locator(".sample")).to_have_text("00123")

    page.get_by_label("Column type of note").select_option("constant")
    page.get_by_label("Constant of note").fill("web shop")
    page.get_by_label("Constant of note").blur()
    expect(page.get_by_role("row", name="note").locator(".sample")).to_have_text("web shop")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("Version 1 is saved")).to_be_visible()
    with scope(company=company):
        version = Process.objects.get(name="CUSTOMERS").newest_version
        assert version is not None
        (line,) = version.plan.lines
    assert version.plan.key_fields == ("Customer Number",)
    assert (line.name, line.target, line.keys) == ("Customer", "customers", ("customer_number",))
    assert {item.target: (item.column_type, item.value) for item in line.fields} == {
        "customer_number": (ColumnType.SOURCE_COLUMN, "Customer Number"),
        "name": (ColumnType.SOURCE_COLUMN, "Name"),
        "amount": (ColumnType.SOURCE_COLUMN, "Amount"),
        "note": (ColumnType.CONSTANT, "web shop"),
    }


@pytest.mark.django_db(transaction=True)
def test_the_grid_is_filled_with_the_keyboard_alone(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any, client: Client
) -> None:
    page, process = signed_in, _mapped_process(client, company, tmp_path, settings)
    page.goto(f"{live_server.url}/processes/{process.public_id}/integration/1/mapping/")

    first = page.get_by_label("Column type of customer_number")
    first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Column type of name")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Source column of name")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")

    expect(first).to_be_focused()


@pytest.mark.django_db(transaction=True)
def test_the_grid_shows_what_is_looked_for_and_what_is_left_to_map(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any, client: Client
) -> None:
    page, process = signed_in, _mapped_process(client, company, tmp_path, settings)
    page.goto(f"{live_server.url}/processes/{process.public_id}/integration/1/mapping/")
    fields = page.locator("tr[data-field]:visible")
    expect(fields).to_have_count(4)

    page.get_by_label("Find a target or source column").fill("customer n")
    expect(fields).to_have_count(1)
    expect(fields.first).to_contain_text("customer_number")
    page.get_by_label("Find a target or source column").fill("")
    page.get_by_role("button", name="Unmapped 1").click()
    expect(fields).to_have_count(1)
    expect(fields.first).to_contain_text("note")


@pytest.mark.django_db(transaction=True)
def test_a_click_on_a_column_puts_it_into_the_code(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any, client: Client
) -> None:
    page, process = signed_in, _mapped_process(client, company, tmp_path, settings)
    page.goto(f"{live_server.url}/processes/{process.public_id}/integration/1/restriction/")

    page.get_by_label("JavaScript Code").fill("return ")
    page.get_by_role("button", name="_Name").click()

    expect(page.get_by_label("JavaScript Code")).to_have_value("return this._Name")


def _mapped_process(client: Client, company: Company, folder: Path, settings: Any) -> Process:
    """A process with a sample, one line and its fields matched by name, made through its pages."""
    settings.FOLDERS = [folder]
    crm = sql_connection(company, make_database(folder))
    client.post("/processes/new/", {"name": "CUSTOMERS", "kind": "delimited", "destination": f"sql@{crm.public_id}"})
    with scope(company=company):
        process = Process.objects.get()
        upload_sample(client, process)
        save(client, process, "source", **{"columns-0-key": "on"})
        save(client, process, "target", do="add")
        save(client, process, "target", **{"lines-0-target": "customers", "lines-0-name": "Customer"})
        save(client, process, "mapping", line=1, do="match")
    return process


@pytest.mark.django_db(transaction=True)
def test_a_connection_asks_for_what_its_system_needs_and_its_test_comes_into_view(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any
) -> None:
    settings.FOLDERS = [tmp_path]
    crm = sql_connection(company, make_database(tmp_path))
    page = signed_in
    page.set_viewport_size({"width": 1280, "height": 400})
    page.goto(f"{live_server.url}/connections/{crm.public_id}/")
    expect(page.get_by_label("Host")).to_be_hidden()
    expect(page.get_by_role("textbox", name="File")).to_be_visible()
    page.get_by_label("System").select_option("postgresql")
    expect(page.get_by_label("Host")).to_be_visible()
    expect(page.get_by_role("textbox", name="File")).to_be_hidden()

    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("The database answers")).not_to_have_count(0)
    expect(page.get_by_role("button", name="Create the delivery marker table")).to_be_in_viewport()
