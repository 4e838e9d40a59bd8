"""Everything by keyboard alone: rows, search, places, help, the panel and the menu."""

import contextlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from django_scopes import scope
from playwright.sync_api import Error, Page, Route, expect

from accounts.models import Company, User
from integrations.models import Process, Run, RunStatus
from integrations.runs.request import request_cancel, request_run
from tests.browser.conftest import ended_run

Enter = Callable[[User, str], Page]


@pytest.fixture
def desk(enter: Enter, customers: Process, omar: User) -> Page:
    """Runs, with one that ended and a newer one that was cancelled."""
    ended_run(customers, omar)
    with scope(company=customers.company):
        request_cancel(request_run(customers, by=omar), by=omar)
    return enter(omar, "/runs/")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_j_and_k_walk_the_rows_and_enter_opens_one(desk: Page) -> None:
    press(desk, "j")
    expect(desk.locator("#run-2")).to_have_class(re.compile("picked"))
    expect(desk.locator("#run-2 a.name")).to_be_focused()
    press(desk, "j", "j", "k", "j")
    expect(desk.locator("#acts-1").get_by_role("link", name="Run Summary")).to_be_visible()
    expect(desk.locator("#acts-2")).to_have_count(0)
    press(desk, "Escape")
    expect(desk.locator("tr.picked")).to_have_count(0)

    press(desk, "Enter")
    expect(desk).to_have_url(re.compile("/runs/1/summary/"))


def test_a_late_answer_for_the_row_picked_before_changes_nothing(desk: Page) -> None:
    def late(route: Route) -> None:
        desk.wait_for_timeout(600)
        with contextlib.suppress(Error):  # the page gave it up
            route.continue_()

    desk.route(re.compile(r"[?&]run=2"), late)
    press(desk, "j", "j")
    expect(desk.locator("#acts-1")).to_be_visible()
    press(desk, "r")
    desk.wait_for_timeout(1200)
    expect(desk.get_by_role("button", name="Yes")).to_be_focused()


def test_r_asks_before_it_runs_again(desk: Page, demo: Company) -> None:
    press(desk, "j", "j")
    expect(desk.locator("#acts-1")).to_be_visible()
    press(desk, "r")
    expect(desk.get_by_role("button", name="Yes")).to_be_focused()
    press(desk, "Escape")
    expect(desk.get_by_role("button", name="Yes")).to_be_hidden()
    expect(desk.locator("summary", has_text="Re-Run")).to_be_focused()
    expect(desk.locator("#run-1")).to_have_class(re.compile("picked"))
    with scope(company=demo):
        assert Run.objects.count() == 2
    press(desk, "r", "Enter")
    expect(desk.get_by_text("Run 3 started")).to_be_visible()


def test_slash_searches_and_g_goes_to_places(desk: Page) -> None:
    press(desk, "/")
    expect(desk.get_by_label("Search runs", exact=True)).to_be_focused()
    press(desk, "j", "?", "r")
    expect(desk.get_by_label("Search runs", exact=True)).to_have_value("j?r")
    desk.locator("body").evaluate("() => document.activeElement.blur()")

    for key, address in {"p": "/processes/", "c": "/connections/", "r": "/runs/"}.items():
        press(desk, "g", key)
        expect(desk).to_have_url(re.compile(f"{address}$"))
    press(desk, "Control+k")
    expect(desk.get_by_label("Search runs, files and messages")).to_be_focused()
    desk.keyboard.type("customers.csv")
    press(desk, "Enter")
    expect(desk).to_have_url(re.compile(r"/runs/\?q=customers.csv"))
    expect(desk.locator("#run-1")).to_be_visible()


def test_processes_and_connections_have_rows_to_walk(enter: Enter, olga: User) -> None:
    for address, opened in (("/processes/", "CUSTOMERS_TO_CRM"), ("/connections/", "Demo CRM")):
        page = enter(olga, address)
        press(page, "j", "Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(opened)


def test_the_help_lists_the_keys_keeps_the_focus_and_returns_it(desk: Page) -> None:
    desk.get_by_role("link", name="Refresh").focus()
    press(desk, "?")
    help_dialog = desk.get_by_role("dialog", name="Keys")
    expect(help_dialog).to_be_visible()
    listed = [key.inner_text() for key in help_dialog.locator("dt kbd").all()]
    rows, places = ["j", "k", "Enter", "r", "n"], ["g", "r", "g", "p", "g", "c", "g", "v"]
    assert listed == ["/", "Ctrl", "K", *rows, *places, "Alt", "↑", "↓", "Esc", "?"]
    press(desk, "Tab", "Tab")
    inside = "() => Boolean(document.activeElement.closest('dialog')) || document.activeElement === document.body"
    assert desk.evaluate(inside)
    press(desk, "Escape")
    expect(help_dialog).to_be_hidden()
    expect(desk.get_by_role("link", name="Refresh")).to_be_focused()


def test_an_integration_is_run_without_a_mouse(desk: Page, demo: Company) -> None:
    press(desk, "n")
    expect(desk.get_by_label("Find an integration")).to_be_focused()
    desk.keyboard.type("cust")
    choices = desk.get_by_role("list", name="Integrations, the last used first")
    expect(choices.get_by_role("link")).to_have_count(1)
    press(desk, "Tab", "Tab", "Enter")
    expect(desk.get_by_label("Integration Run Name")).to_be_focused()
    desk.keyboard.type("By hand")

    for _ in range(12):
        press(desk, "Tab")
        assert desk.evaluate("() => Boolean(document.activeElement.closest('#panel'))"), "the panel keeps the focus"
    desk.get_by_label("Integration Run Name").focus()
    press(desk, "Enter")
    expect(desk.get_by_role("dialog").get_by_text("run 3", exact=True)).to_be_visible()
    with scope(company=demo):
        run = Run.objects.get(number=3)
    assert (run.name, run.status) == ("By hand", RunStatus.QUEUED)
    press(desk, "Escape")
    expect(desk.get_by_role("dialog", name="Run an Integration")).to_have_count(0)
    assert desk.evaluate("() => document.activeElement !== document.body"), "the focus went back"


def test_the_menu_of_a_small_screen_opens_and_closes_by_keyboard(desk: Page) -> None:
    desk.set_viewport_size({"width": 360, "height": 780})
    menu = desk.get_by_role("button", name="Main Menu")
    menu.focus()
    press(desk, "Enter")
    expect(menu).to_have_attribute("aria-expanded", "true")
    expect(desk.get_by_role("navigation", name="Main Menu").get_by_role("link").first).to_be_focused()
    press(desk, "Escape")
    expect(menu).to_be_focused()
    expect(desk.get_by_role("navigation", name="Main Menu")).to_be_hidden()


def test_where_the_focus_is_can_be_seen(desk: Page) -> None:
    """Every stop of the Tab key on Runs draws an outline or a ring."""
    unseen: list[Any] = []
    for _ in range(30):
        press(desk, "Tab")
        drawn = desk.evaluate(
            """() => {
                const part = document.activeElement;
                const ring = (element) => {
                    const style = getComputedStyle(element);
                    return style.outlineStyle !== "none" || style.boxShadow !== "none";
                };
                return part === document.body || ring(part) ? "" : part.outerHTML.slice(0, 120);
            }"""
        )
        if drawn:
            unseen.append(drawn)
    assert unseen == []
