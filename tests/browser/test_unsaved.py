"""What was typed is not lost in silence, and nobody is asked about a page on which nothing was typed."""

from playwright.sync_api import Dialog, Page, expect

from accounts.models import Company, User
from integrations.models import Process
from tests.browser.test_every_screen import Enter


def leaves(page: Page) -> list[str]:
    """Answer every question with yes; what was asked."""
    asked: list[str] = []

    def yes(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", yes)
    return asked


def away(page: Page) -> None:
    # A browser asks only someone who has touched the page.
    page.locator("h1").click()
    page.get_by_role("link", name="Connections", exact=True).first.click()
    page.wait_for_url("**/connections/")


def test_leaving_asks_about_what_was_typed_and_about_nothing_else(
    demo: Company, enter: Enter, olga: User, customers: Process
) -> None:
    here = f"/processes/{customers.public_id}"
    page = enter(olga, "/connections/new/folder/")
    asked = leaves(page)
    away(page)
    pages = ("/", "/source/", "/target/", "/options/", "/integration/1/mapping/", "/integration/1/restriction/")
    for part in (*pages, "/tasks/new/"):
        enter(olga, here + part)
        if "restriction" in part:
            expect(page.locator(".cm-content")).to_be_visible()
        away(page)
        assert asked == [], part

    enter(olga, f"{here}/options/")
    page.get_by_label("Time limit in minutes").fill("7")
    page.get_by_role("button", name="Save to the draft").click()
    expect(page.get_by_text("Saved to the draft.")).to_be_visible()
    away(page)
    assert asked == []

    enter(olga, f"{here}/options/")
    page.get_by_label("Time limit in minutes").fill("8")
    away(page)
    assert asked == ["beforeunload"]

    # The button of another form on the page would lose it too.
    enter(olga, f"{here}/options/")
    page.get_by_label("Time limit in minutes").fill("9")
    page.get_by_role("button", name="Save who may run it").click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    assert asked == ["beforeunload"] * 2
