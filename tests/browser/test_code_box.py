"""The code box: a script is written with names completed and faults shown, and is sent exactly as it stands."""

import pytest
from django_scopes import scope
from playwright.sync_api import Page, expect

from accounts.models import Company, User
from integrations.models import GlobalVariable, Process
from tests.browser.test_every_screen import Enter

SCRIPT = "\t// “kept”, as it is \nif (this._CompanyName === 'x')  {\n  return false;\n}\n\nreturn true;  \n"

PASTE = """(code, text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  code.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def restriction(demo: Company, enter: Enter, olga: User, customers: Process) -> Page:
    """The restriction of the first line, open and empty."""
    with scope(company=demo):
        GlobalVariable.objects.create(company=demo, name="GBL_REGION_OF_SALES", value="north")
    page = enter(olga, f"/processes/{customers.public_id}/integration/1/restriction/")
    write(page, "")
    return page


def write(page: Page, text: str) -> None:
    """Put `text` in the place of what the code box holds, as a paste does."""
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.locator(".cm-content").evaluate(PASTE, text)


def stored(process: Process) -> str:
    with scope(company=process.company):
        return Process.objects.get(pk=process.pk).drafted.lines[0].restriction


def test_a_script_is_sent_exactly_as_it_stands_by_the_keyboard_alone(restriction: Page, customers: Process) -> None:
    code = restriction.get_by_role("textbox", name="JavaScript Code")
    code.focus()
    restriction.keyboard.press("Tab")
    expect(code).to_have_text("  ")
    write(restriction, SCRIPT)
    restriction.keyboard.press("Escape")
    restriction.keyboard.press("Tab")
    expect(restriction.get_by_label("with document")).to_be_focused()
    restriction.keyboard.press("Control+s")
    expect(restriction.get_by_text("Saved to the draft.")).to_be_visible()

    assert stored(customers) == SCRIPT


def test_names_are_completed_clicked_and_dragged_into_the_code(restriction: Page) -> None:
    code = restriction.get_by_role("textbox", name="JavaScript Code")
    code.press_sequentially("return this.GBL_REG")
    expect(restriction.get_by_role("option", name="this.GBL_REGION_OF_SALES")).to_be_visible()
    # A completion has to be seen a moment before Enter takes it.
    restriction.wait_for_timeout(100)
    restriction.keyboard.press("Enter")
    restriction.keyboard.type(" + ")
    restriction.get_by_role("button", name="_CompanyName").click()
    restriction.keyboard.type(";\n")
    restriction.get_by_role("button", name="GBL_REGION_OF_SALES").drag_to(restriction.locator(".cm-line").last)

    expect(restriction.locator(".cm-line").first).to_have_text("return this.GBL_REGION_OF_SALES + this._CompanyName;")
    expect(restriction.locator(".cm-line").last).to_have_text("this.GBL_REGION_OF_SALES")


def test_what_is_wrong_is_shown_at_its_line_and_typographic_quotes_are_made_plain(restriction: Page) -> None:
    write(restriction, "var a = 1;\nvar b = ;\nreturn true;")
    expect(restriction.get_by_text("Line 2: Unexpected token")).to_be_visible()
    expect(restriction.locator(".cm-lintRange-error")).to_have_text("var b = ;")

    write(restriction, "return this._CompanyNam !== “”;")
    restriction.get_by_role("button", name="Make quotes and dashes plain").click()
    expect(restriction.locator(".cm-content")).to_have_text('return this._CompanyNam !== "";')
    expect(restriction.get_by_text("Nearest name: this._CompanyName.")).to_be_visible()
    expect(restriction.locator(".cm-lintRange-warning")).to_have_text('return this._CompanyNam !== "";')


def test_a_person_who_only_looks_reads_the_code_and_cannot_change_it(
    demo: Company, enter: Enter, omar: User, customers: Process
) -> None:
    page = enter(omar, f"/processes/{customers.public_id}/integration/1/restriction/")
    write(page, "return true;")

    expect(page.get_by_role("textbox", name="JavaScript Code")).to_contain_text('return this._Status !== "Inactive";')
