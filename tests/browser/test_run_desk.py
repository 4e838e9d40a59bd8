"""An operator's day with the Demo company: run, watch, look into what failed, run again, cancel."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope
from playwright.sync_api import Locator, Page, expect

from accounts.models import Company, User
from integrations.models import DocumentOutcome, Process, Run, RunStatus
from integrations.runs.perform import perform
from integrations.runs.request import request_run
from tests import factories
from tests.browser.conftest import ended_run, fresh, in_crm

Enter = Callable[[User, str], Page]


def panel(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Run an Integration")


def open_panel(page: Page, integration: str = "CUSTOMERS_TO_CRM") -> Locator:
    page.get_by_role("main").get_by_role("link", name="Run an Integration").first.click()
    panel(page).get_by_role("link", name=integration).click()
    expect(panel(page).get_by_label("Integration Run Name")).to_be_focused()
    return panel(page)


def ledger(page: Page) -> dict[str, int]:
    """The figures as a person reads them."""
    parts = page.locator(".ledger > div")
    words = [part.inner_text().split("\n") for part in parts.all()]
    return {label.strip(): int(figure.replace(",", "")) for label, figure, *_ in words}


def runs_of(company: Company) -> list[Run]:
    with scope(company=company):
        return list(Run.objects.order_by("number"))


def test_an_operator_runs_the_demo_and_sees_what_became_of_every_document(
    page: Page, live_server: Any, demo: Company, omar: User, settings: Any
) -> None:
    page.goto(live_server.url)
    page.get_by_label("E-mail").fill(omar.email)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("There is none yet")).to_be_visible()

    drawer = open_panel(page)
    expect(drawer.get_by_label("Integration Run Name")).to_have_attribute(
        "placeholder", re.compile("^CUSTOMERS_TO_CRM 2")
    )
    expect(drawer.get_by_text("customers.csv", exact=True)).to_be_visible()
    expect(drawer.get_by_text("Closing this panel cancels nothing.")).to_be_visible()
    drawer.get_by_role("button", name="Run Integration").click()
    expect(drawer.get_by_text("waiting for a worker")).to_be_visible()
    perform()
    expect(drawer.get_by_text("Completed with Errors.")).to_be_visible()

    drawer.get_by_role("link", name="Run Summary").click()
    figures = ledger(page)
    assert figures.pop("Read") == sum(figures.values()) == 997
    expect(page.get_by_text("balanced, in documents and in rows")).to_be_visible()
    assert in_crm(settings, "SELECT count(*) FROM customers") == [(figures["Delivered"],)]
    assert in_crm(settings, "SELECT count(*) FROM customers WHERE zip LIKE '0____'")[0][0] > 0, "zeros are kept"

    page.get_by_role("link", name="11 failed documents").click()
    with scope(company=demo):
        outcomes = list(DocumentOutcome.objects.all())
    assert len(outcomes) == figures["Failed"] == 11
    for outcome in outcomes:
        shown = page.get_by_role("article", name=outcome.key)
        expect(shown).to_contain_text(outcome.sentence)
        expect(shown).to_contain_text(f"row {outcome.rows[0]['number']}")
        if outcome.column:
            expect(shown).to_contain_text(f"column {outcome.column}")
            expect(shown.locator("td.cell-bad")).to_have_count(1)


def test_a_second_run_says_unchanged(enter: Enter, customers: Process, omar: User) -> None:
    first = ended_run(customers, omar)
    page = enter(omar, f"/runs/{first.number}/summary/")
    delivered = ledger(page)["Delivered"]

    page.get_by_text("Re-Run", exact=False).first.click()
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_text("it does again what run 1 did")).to_be_visible()
    perform()
    expect(page.get_by_text("balanced, in documents and in rows")).to_be_visible()

    figures = ledger(page)
    assert (figures["Delivered"], figures["Unchanged"]) == (0, delivered)
    expect(page.get_by_role("heading", name="Compared with the last run that reached its end")).to_be_visible()


def test_re_run_asks_and_no_returns_to_the_filled_in_form(
    enter: Enter, customers: Process, omar: User, demo: Company
) -> None:
    ended_run(customers, omar)
    drawer = open_panel(enter(omar, "/runs/"))
    drawer.get_by_label("Integration Run Name").fill("Typed before")

    drawer.get_by_text("Re-Run", exact=True).click()
    drawer.get_by_role("button", name="No").click()
    expect(drawer.get_by_label("Integration Run Name")).to_have_value("Typed before")
    assert len(runs_of(demo)) == 1

    drawer.get_by_text("Re-Run", exact=True).click()
    drawer.get_by_role("button", name="Yes").click()
    expect(drawer.get_by_text("run 2", exact=True)).to_be_visible()
    assert [run.trigger for run in runs_of(demo)] == ["manual", "rerun"]


def test_enter_chooses_the_one_integration_that_is_found(enter: Enter, customers: Process, omar: User) -> None:
    page = enter(omar, "/runs/")
    page.get_by_role("main").get_by_role("link", name="Run an Integration").first.click()
    find = panel(page).get_by_label("Find an integration")
    find.fill("to_crm")
    find.press("Enter")
    expect(panel(page).get_by_role("link", name="ORDERS_TO_CRM")).to_be_visible()
    find.fill("customers")
    find.press("Enter")
    expect(panel(page).get_by_label("Integration Run Name")).to_be_focused()


def test_the_panel_as_a_page_of_its_own_opens_no_second_one(
    enter: Enter, customers: Process, omar: User, demo: Company
) -> None:
    page = enter(omar, "/run/")
    page.get_by_role("link", name="CUSTOMERS_TO_CRM").click()
    expect(page).to_have_url(re.compile("/run/[0-9a-f-]{36}/$"))
    page.get_by_role("button", name="Run Integration").click()
    expect(page).to_have_url(re.compile("/runs/1/summary/$"))
    expect(panel(page)).to_have_count(0)
    assert len(runs_of(demo)) == 1


def test_what_is_filled_in_makes_run_with_changes_the_bright_button(
    enter: Enter, customers: Process, omar: User, tmp_path: Path
) -> None:
    ended_run(customers, omar)
    other, picture = tmp_path / "other.csv", tmp_path / "logo.png"
    other.write_text("CustomerNumber\nC1\n")
    picture.write_bytes(b"\x89PNG")
    drawer = open_panel(enter(omar, "/runs/"))
    name, bright = (
        drawer.get_by_label("Integration Run Name"),
        drawer.locator("footer > .btn-primary, summary.btn-primary"),
    )
    expect(bright).to_have_text("Re-Run")
    name.press("Enter")
    expect(drawer.get_by_text("Re-Run repeats run 1 (Completed with Errors")).to_be_visible()
    expect(drawer.get_by_role("button", name="Yes")).to_be_focused()
    drawer.get_by_role("button", name="No").click()

    name.fill("Typed")
    expect(bright).to_have_text("Run with changes")
    name.fill("")
    expect(bright).to_have_text("Re-Run")
    drawer.locator("#run-file").set_input_files(picture)
    expect(bright).to_have_text("Run with changes")
    expect(bright).to_be_disabled()
    drawer.locator("#run-file").set_input_files(other)
    expect(bright).to_be_enabled()
    name.press("Enter")
    expect(drawer.get_by_text("run 2", exact=True)).to_be_visible()


def test_while_the_last_run_goes_on_re_run_is_disabled_and_names_it(
    enter: Enter, customers: Process, omar: User, demo: Company
) -> None:
    with scope(company=demo):
        request_run(customers, by=omar)
    drawer = open_panel(enter(omar, "/runs/"))
    expect(drawer.get_by_role("button", name="Re-Run")).to_be_disabled()
    expect(drawer.get_by_text(re.compile("Run 1 “.*” is In-Progress"))).to_be_visible()
    expect(drawer.get_by_role("button", name="Run with changes")).to_be_enabled()


def test_progress_shows_figures_and_the_run_is_cancelled_from_the_panel(
    enter: Enter, customers: Process, omar: User, demo: Company
) -> None:
    page = enter(omar, "/runs/")
    drawer = open_panel(page)
    steps = drawer.locator(".wizard h2, .wizard .form-label")
    expect(steps).to_have_text(
        ["Select", "Integration Run Name optional", "Source file", "Parameters", "Run"], use_inner_text=True
    )
    drawer.get_by_role("button", name="Run Integration").click()
    expect(drawer.get_by_text("run 1", exact=True)).to_be_visible()
    expect(steps).to_have_text(["Select", "Integration Run Name", "Source file", "Parameters", "Run"])
    (run,) = runs_of(demo)
    with scope(company=demo):
        Run.objects.claim_queued(run, owner="a worker")
        Run.objects.note(run.pk, run.epoch, source_rows=1000, source_documents=997, stage="deliver")
        counts = {"created": 400, "failed": 3}
        Run.objects.settle(run.pk, run.epoch, segment=1, documents=counts, rows=counts)

    expect(drawer.get_by_text("400 delivered · 3 failed · 997 in all")).to_be_visible()
    expect(drawer.get_by_text("40 %")).to_be_visible()
    expect(drawer.get_by_text(re.compile(r"documents a second, about .* left"))).to_be_visible()
    drawer.get_by_text("Cancel run", exact=True).click()
    drawer.get_by_role("button", name="No").click()
    assert fresh(run).cancel_requested_at is None
    drawer.get_by_text("Cancel run", exact=True).click()
    drawer.get_by_role("button", name="Yes").click()
    expect(drawer.get_by_text("It ends at its next segment.", exact=True)).to_be_visible()
    with scope(company=demo):
        Run.objects.finish(run.pk, run.epoch, status=RunStatus.CANCELLED, reason="What was not sent yet is held.")
    expect(drawer.get_by_text("400 delivered · 3 failed · 594 held · 997 in all")).to_be_visible()
    expect(drawer.get_by_text("Cancelled.", exact=True)).to_be_visible()


def test_an_upload_tells_how_many_bytes_have_left(
    enter: Enter, customers: Process, omar: User, demo: Company, tmp_path: Path
) -> None:
    file = tmp_path / "more.csv"
    file.write_text("CustomerNumber\nC1\n")
    page = enter(omar, "/runs/")
    drawer = open_panel(page)
    drawer.locator("#run-file").set_input_files(file)
    expect(drawer.get_by_role("progressbar", name="Upload")).to_be_hidden()
    told = "new CustomEvent('htmx:xhr:progress', {detail: {loaded: 512000, total: 1024000}})"
    page.evaluate(f"document.dispatchEvent({told})")
    expect(drawer.get_by_text("Uploading: 512,000 of 1,024,000 bytes, 50 %")).to_be_visible()
    expect(drawer.get_by_role("progressbar", name="Upload")).to_have_js_property("value", 50)


def test_closing_the_panel_cancels_nothing_and_gives_the_focus_back(
    enter: Enter, customers: Process, omar: User, demo: Company
) -> None:
    page = enter(omar, "/runs/")
    drawer = open_panel(page)
    drawer.get_by_role("button", name="Run Integration").click()
    expect(drawer.get_by_text("waiting for a worker")).to_be_visible()
    drawer.get_by_role("button", name="Close").click()

    expect(drawer).to_have_count(0)
    expect(page.get_by_role("main").get_by_role("link", name="Run an Integration").first).to_be_focused()
    expect(page.get_by_role("row", name="CUSTOMERS_TO_CRM")).to_be_visible()
    perform()
    assert runs_of(demo)[0].status == RunStatus.COMPLETED_WITH_ERRORS


def test_a_file_that_cannot_be_read_is_refused_before_it_is_sent(
    enter: Enter, customers: Process, omar: User, demo: Company, tmp_path: Path
) -> None:
    large, picture, sound = tmp_path / "large.csv", tmp_path / "logo.png", tmp_path / "sound.csv"
    large.write_bytes(b"CustomerNumber\n" + b"x" * 1_048_576)
    picture.write_bytes(b"\x89PNG")
    sound.write_text("CustomerNumber\nC1\n")
    drawer = open_panel(enter(omar, "/runs/"))
    choose, start = drawer.locator("#run-file"), drawer.get_by_role("button", name="Run Integration")

    choose.set_input_files(large)
    expect(drawer.get_by_role("alert")).to_contain_text("large.csv has 1,048,591 bytes; an upload may have 1,048,576")
    expect(start).to_be_disabled()
    choose.set_input_files(picture)
    expect(drawer.get_by_role("alert")).to_contain_text("logo.png does not fit: this integration reads .csv")
    expect(start).to_be_disabled()
    choose.set_input_files(sound)
    expect(drawer.locator("#file-refused")).to_be_empty()
    expect(start).to_be_enabled()
    assert runs_of(demo) == []


def test_a_run_that_fails_says_why_in_the_panel_and_the_same_content_asks(
    enter: Enter, customers: Process, omar: User, demo: Company, tmp_path: Path
) -> None:
    renamed = tmp_path / "customers.csv"
    renamed.write_text("CustomerNumber,Nmae\nC1,Anna\n")
    page = enter(omar, "/runs/")
    for question in (False, True):
        drawer = open_panel(page)
        drawer.locator("#run-file").set_input_files(renamed)
        drawer.get_by_role("button", name=re.compile("Run Integration|Run with changes")).click()
        if question:
            expect(drawer.get_by_role("alert")).to_contain_text("customers.csv was run before: run 1")
            drawer.get_by_role("button", name="Yes").click()
        expect(drawer.get_by_text("waiting for a worker")).to_be_visible()
        perform()
        expect(drawer.get_by_text("Failed.", exact=True)).to_be_visible()
        expect(drawer.get_by_role("status")).to_contain_text("CompanyName")
        page.keyboard.press("Escape")
        expect(drawer).to_have_count(0)
    assert [run.status for run in runs_of(demo)] == [RunStatus.FAILED] * 2


def test_the_list_lives_and_leaves_focus_selection_and_typing_alone(
    enter: Enter, customers: Process, omar: User, demo: Company
) -> None:
    ended_run(customers, omar)
    page = enter(omar, "/runs/")
    row = page.locator("#run-1")
    page.get_by_label("Search runs", exact=True).fill("half a wo")
    with scope(company=demo):
        second = request_run(customers, by=omar)
    expect(page.locator("#run-2")).to_be_visible()
    expect(page.get_by_label("Search runs", exact=True)).to_be_focused()
    expect(page.get_by_label("Search runs", exact=True)).to_have_value("half a wo")

    row.click(position={"x": 5, "y": 5})
    expect(page.get_by_text("997 read = 923 delivered + 0 unchanged + 63 restricted + 11 failed")).to_be_visible()
    assert "run=1" in page.url, "the selection is a link"
    top = row.bounding_box()
    with scope(company=demo):
        request_run(customers, by=omar)
    perform()
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(page.locator("#run-2").get_by_text("Completed with Errors")).to_be_visible()
    assert row.bounding_box() == top, "no row moves while one is selected"
    assert fresh(second).status == RunStatus.COMPLETED_WITH_ERRORS

    page.get_by_role("button", name="1 new").click()
    expect(page.locator("#run-3")).to_be_visible()
    expect(page.get_by_text("997 read =")).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 1366, 1440])
def test_what_tells_runs_apart_is_not_cut(enter: Enter, customers: Process, omar: User, width: int) -> None:
    ended_run(customers, omar)
    page = enter(omar, "/runs/")
    page.set_viewport_size({"width": width, "height": 900})
    for part in ("a.name", ".news", ".m-time .meta"):
        assert page.locator(f"#run-1 {part}").evaluate(
            "part => part.scrollHeight <= part.clientHeight && part.scrollWidth <= part.clientWidth"
        ), part
    assert page.locator("#run-1 .m-time").evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_filters_are_pills_in_the_address_and_an_empty_list_offers_the_way_out(
    enter: Enter, customers: Process, omar: User
) -> None:
    ended_run(customers, omar)
    page = enter(omar, "/runs/")
    page.locator("summary", has_text="Integration").first.click()
    page.get_by_role("link", name="ORDERS_TO_CRM").click()
    expect(page).to_have_url(re.compile(r"process=[0-9a-f-]{36}"))
    expect(page.get_by_text("No run fits these filters.")).to_be_visible()
    page.get_by_role("link", name=re.compile("ORDERS_TO_CRM.*take this filter off")).click()
    expect(page.locator("#run-1")).to_be_visible()

    page.get_by_role("link", name="Failed 0", exact=True).click()
    page.get_by_role("link", name="Show every run").click()
    page.get_by_label("Search runs", exact=True).fill("customers.csv")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=customers.csv"))
    expect(page.locator("#run-1")).to_be_visible()


@pytest.mark.parametrize("place", ["/runs/?run=1", "/runs/1/summary/"])
def test_a_run_is_cancelled_where_it_is_looked_at(
    enter: Enter, customers: Process, omar: User, demo: Company, place: str
) -> None:
    with scope(company=demo):
        run = request_run(customers, by=omar)
    page = enter(omar, place)
    page.locator("summary", has_text="Cancel").click()
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_text("Run 1 is cancelled")).to_be_visible()
    assert fresh(run).status == RunStatus.CANCELLED


def test_a_server_that_does_not_answer_is_told(enter: Enter, customers: Process, omar: User, live_server: Any) -> None:
    page = enter(omar, "/runs/")
    page.route(f"{live_server.url}/run/", lambda route: route.fulfill(status=404, body=""))
    page.get_by_role("main").get_by_role("link", name="Run an Integration").first.click()
    expect(page.get_by_role("alert")).to_contain_text("Load it anew and look before you try again")

    page.unroute(f"{live_server.url}/run/")
    page.get_by_role("main").get_by_role("link", name="Run an Integration").first.click()
    expect(page.get_by_role("dialog").get_by_text("CUSTOMERS_TO_CRM")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
