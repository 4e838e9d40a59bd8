"""A designer defines a small process by clicking: a CSV file into a SQLite table, saved as a version."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django_scopes import scope
from playwright.sync_api import Page, expect

from accounts.models import Company, User
from integrations.engine.plan import ColumnType, ValueType
from integrations.models import Process
from tests.web.defining import CSV, make_database, save, sql_connection, upload_sample

CLIPBOARD = """([move, text]) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  document.activeElement.dispatchEvent(new ClipboardEvent(move, { clipboardData, bubbles: true, cancelable: true }));
  return clipboardData.getData("text/plain");
}"""
"""Copy or paste where one is; what the clipboard holds then."""


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
    page.get_by_role("button", name="Save to the draft").click()
    expect(page.get_by_text("documents by Customer Number")).to_be_visible()

    page.get_by_role("link", name="Target", exact=True).click()
    page.get_by_role("button", name="Add line").click()
    page.get_by_label("Target", exact=True).select_option("customers")
    page.get_by_label("Line name").fill("Customer")
    page.get_by_role("button", name="Save to the draft").click()
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
    page.keyboard.type("Nmae")
    page.keyboard.press("Enter")
    sample = page.get_by_role("row", name="name").locator(".sample")
    expect(sample).to_have_text("name: Nmae is no column of the source. Nearest name: Name.")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")

    expect(first).to_be_focused()


@pytest.mark.django_db(transaction=True)
def test_the_grid_copies_pastes_fills_and_undoes_as_a_spreadsheet_does(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any, client: Client
) -> None:
    page, process = signed_in, _mapped_process(client, company, tmp_path, settings)
    page.goto(f"{live_server.url}/processes/{process.public_id}/integration/1/mapping/")
    first, name, note = (
        page.get_by_label(f"Column type of {target}") for target in ("customer_number", "name", "note")
    )
    said = page.locator("[data-grid-says]")

    # Copied as Excel takes it: the row's type and value beside each other, the next row below.
    first.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    copied = page.evaluate(CLIPBOARD, ["copy", ""])
    assert copied == "Source Column\tCustomer Number\nSource Column\tName"

    # Pasted from Excel: a type shows its own cell, which takes the next text; what fits nowhere is named.
    name.focus()
    page.evaluate(CLIPBOARD, ["paste", 'Constant\t"say ""hi"""\r\nSource Column\tNowhere\r\n'])
    expect(page.get_by_label("Constant of name")).to_have_value('say "hi"')
    expect(said).to_have_text("2 pasted. 1 did not fit: Nowhere.")
    expect(page.get_by_role("row", name="name").locator(".sample")).to_have_text('say "hi"')

    # One step back for the whole paste, and forth again.
    page.keyboard.press("Control+z")
    expect(name).to_have_value("source_column")
    page.keyboard.press("Control+y")
    expect(name).to_have_value("constant")

    # Filled down over what is selected, by keys and by the handle.
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Control+d")
    expect(note).to_have_value("constant")
    expect(page.get_by_label("Constant of note")).to_have_value('say "hi"')
    page.keyboard.press("Control+z")
    expect(note).to_have_value("")
    name.focus()
    page.locator(".fill-handle").hover()
    page.mouse.down()
    note.hover(force=True)
    page.mouse.up()
    expect(note).to_have_value("constant")

    # F2 edits, Escape takes it back, Delete clears, Ctrl S saves.
    page.get_by_label("Constant of name").focus()
    page.keyboard.press("F2")
    page.keyboard.type("!")
    expect(page.get_by_label("Constant of name")).to_have_value('say "hi"!')
    page.keyboard.press("Escape")
    expect(page.get_by_label("Constant of name")).to_have_value('say "hi"')
    note.focus()
    page.keyboard.press("Delete")
    expect(note).to_have_value("")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Saved to the draft.")).to_be_visible()
    with scope(company=company):
        (line,) = Process.objects.get(pk=process.pk).drafted.lines
    assert {item.target: item.value for item in line.fields} == {
        "customer_number": "Customer Number",
        "name": 'say "hi"',
        "amount": "",
    }


@pytest.mark.django_db(transaction=True)
def test_a_list_that_people_add_to_takes_as_many_rows_as_are_pasted(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any, client: Client
) -> None:
    page, process = signed_in, _mapped_process(client, company, tmp_path, settings)
    with scope(company=company):
        Process.objects.update(target_profile={})
    page.goto(f"{live_server.url}/processes/{process.public_id}/integration/1/mapping/")
    said = page.locator("[data-grid-says]")

    # "Not mapped" is copied and pasted like any other column type.
    amount = page.get_by_label("Column type of amount")
    amount.focus()
    page.evaluate(CLIPBOARD, ["paste", "Not mapped"])
    expect(amount).to_have_value("")
    assert page.evaluate(CLIPBOARD, ["copy", ""]) == "Not mapped"

    rows = [f"field_{number}\tWhole number\tConstant\t{number}" for number in range(8)]
    page.get_by_label("Name of the added field").first.focus()
    page.evaluate(CLIPBOARD, ["paste", "\n".join(rows)])
    expect(said).to_have_text("32 pasted.")
    expect(page.locator("#sample-10")).to_have_text("7")
    page.get_by_role("button", name="Save to the draft").click()
    expect(page.get_by_text("Saved to the draft.")).to_be_visible()

    # So does the list of the source's columns.
    page.goto(f"{live_server.url}/processes/{process.public_id}/source/")
    page.get_by_label("Name of the added column").first.focus()
    page.evaluate(CLIPBOARD, ["paste", "\n".join(f"Extra {number}\tDecimal" for number in range(5))])
    expect(said).to_have_text("10 pasted.")
    page.get_by_role("button", name="Save to the draft").click()
    expect(page.get_by_text("8 known")).to_be_visible()

    with scope(company=company):
        plan = Process.objects.get(pk=process.pk).drafted
    (line,) = plan.lines
    assert {item.target: (item.type, item.value) for item in line.fields if item.target.startswith("field_")} == {
        f"field_{number}": (ValueType.INTEGER, str(number)) for number in range(8)
    }
    assert [(column.name, column.type) for column in plan.source.columns[3:]] == [
        (f"Extra {number}", ValueType.DECIMAL) for number in range(5)
    ]


@pytest.mark.django_db(transaction=True)
def test_a_calculation_of_the_grid_is_a_code_box_while_it_is_edited(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any, client: Client
) -> None:
    page, process = signed_in, _mapped_process(client, company, tmp_path, settings)
    page.goto(f"{live_server.url}/processes/{process.public_id}/integration/1/mapping/")
    page.get_by_label("Column type of note").select_option("calculation")
    page.get_by_label("Calculation of note").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".cm-content")).to_be_focused()
    page.keyboard.type("return this._Nam;")
    expect(page.get_by_text("Nearest name: this._Name.")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.type("e")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")

    expect(page.locator(".cm-content")).to_have_count(0)
    expect(page.get_by_label("Calculation of note")).to_be_focused()
    expect(page.get_by_label("Calculation of note")).to_have_value("return this._Name;")
    expect(page.get_by_role("row", name="note").locator(".sample")).to_have_text("Köhler & Söhne")


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
def test_what_was_refused_of_a_text_goes_when_the_text_is_changed_and_enter_saves_the_draft(
    signed_in: Page, live_server: Any, company: Company, tmp_path: Path, settings: Any, client: Client
) -> None:
    page, process = signed_in, _mapped_process(client, company, tmp_path, settings)
    page.goto(f"{live_server.url}/processes/{process.public_id}/integration/1/mapping/")
    for target in ("name", "amount"):
        page.get_by_label(f"Source column of {target}").fill("Nowhere")
    page.get_by_role("button", name="Save to the draft").click()
    refused, bad = page.get_by_role("alert"), page.locator("tr.is-bad")
    expect(bad).to_have_count(2)
    expect(refused.get_by_role("listitem")).to_have_count(2)

    page.get_by_label("Source column of name").press_sequentially("N")
    expect(bad).to_have_count(1)
    expect(bad).to_contain_text("amount")
    expect(refused.get_by_role("listitem")).to_have_count(1)
    page.get_by_label("Column type of amount").select_option("constant")
    expect(bad).to_have_count(0)
    expect(refused).to_have_count(0)

    page.goto(f"{live_server.url}/processes/{process.public_id}/")
    page.get_by_label("Name", exact=True).fill("")
    page.get_by_role("button", name="Save the details").evaluate(
        "button => { button.form.noValidate = true; button.click(); }"
    )
    expect(page.locator("#id_name-error")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("ORDERS")
    expect(page.locator("#id_name-error")).to_have_count(0)
    expect(page.get_by_label("Name", exact=True)).not_to_have_class(re.compile("is-invalid"))

    page.goto(f"{live_server.url}/processes/{process.public_id}/target/")
    page.get_by_label("Line name").fill("Renamed")
    page.get_by_label("Line name").press("Enter")
    expect(page.get_by_text("Saved to the draft.")).to_be_visible()
    with scope(company=company):
        saved = Process.objects.get(pk=process.pk)
        assert saved.drafted.lines[0].name == "Renamed" and saved.newest_version is None


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

    # What is typed is tested, and stays where it is.
    page.get_by_label("System").select_option("sqlite")
    page.get_by_role("textbox", name="File").fill(str(tmp_path / "gone.db"))
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#tested")).to_contain_text("gone.db")
    expect(page.get_by_role("textbox", name="File")).to_have_value(str(tmp_path / "gone.db"))
    page.get_by_role("textbox", name="File").fill(crm.settings["path"])
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("The database answers")).not_to_have_count(0)
    expect(page.get_by_role("button", name="Create the delivery marker table")).to_be_in_viewport()
