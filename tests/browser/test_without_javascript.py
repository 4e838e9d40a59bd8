"""Reading, running, running again and cancelling work in a browser that runs no script."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django_scopes import scope
from playwright.sync_api import Browser, Page, expect

from accounts.models import Company, User
from integrations.models import Process, Run, RunStatus
from integrations.runs.perform import perform
from integrations.runs.request import request_run
from tests import factories
from tests.browser.conftest import fresh


@pytest.fixture
def plain(browser: Browser, live_server: Any, omar: User) -> Iterator[Page]:
    """Omar's page on a small screen, signed in through the form."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 780})
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.goto(live_server.url)
    page.get_by_label("E-mail").fill(omar.email)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    yield page
    context.close()


def test_an_integration_is_run_and_its_summary_read(plain: Page, demo: Company) -> None:
    plain.get_by_role("navigation", name="Main Menu").get_by_role("link", name="Run an Integration").click()
    plain.get_by_label("Find an integration").fill("customers")
    plain.get_by_role("button", name="Find").click()
    plain.get_by_role("link", name="CUSTOMERS_TO_CRM").click()
    plain.get_by_label("Integration Run Name").fill("Without a script")
    expect(plain.locator("#run-file")).to_be_visible()
    plain.get_by_role("button", name="Run Integration").click()

    expect(plain.get_by_text("This run is queued")).to_be_visible()
    perform()
    plain.get_by_role("link", name="Refresh").click()
    expect(plain.get_by_text("923 of 997 documents are at the destination")).to_be_visible()
    plain.get_by_role("link", name="11 failed documents").click()
    expect(plain.get_by_role("article")).to_have_count(11)
    plain.get_by_role("link", name="1", exact=True).click()
    plain.get_by_role("link", name="Source File").click()
    expect(plain.get_by_role("region", name="Rows of the source file")).to_contain_text("C10001")


def test_a_run_is_run_again_and_cancelled(plain: Page, live_server: Any, customers: Process, omar: User) -> None:
    with scope(company=customers.company):
        run = request_run(customers, by=omar)
    plain.goto(f"{live_server.url}/runs/{run.number}/summary/")
    plain.locator("summary", has_text="Cancel").click()
    plain.get_by_role("button", name="Yes").click()
    expect(plain.get_by_text("Run 1 is cancelled.")).to_be_visible()
    assert fresh(run).status == RunStatus.CANCELLED

    plain.locator("summary", has_text="Re-Run").click()
    plain.get_by_role("button", name="Yes").click()
    expect(plain.get_by_text("Run 2 started")).to_be_visible()
    with scope(company=customers.company):
        assert Run.objects.get(number=2).trigger == "rerun"


def test_runs_are_filtered_and_a_file_of_another_kind_is_refused(
    plain: Page, live_server: Any, customers: Process, tmp_path: Any
) -> None:
    picture = tmp_path / "logo.png"
    picture.write_bytes(b"\x89PNG")
    plain.goto(f"{live_server.url}/run/{customers.public_id}/")
    plain.get_by_label("Integration Run Name").fill("Typed before")
    plain.locator("#run-file").set_input_files(picture)
    plain.get_by_role("button", name="Run Integration").click()
    expect(plain.get_by_text("“logo.png” does not fit")).to_be_visible()
    expect(plain.get_by_label("Integration Run Name")).to_have_value("Typed before")

    plain.goto(f"{live_server.url}/runs/")
    plain.locator("summary", has_text="By whom").click()
    plain.get_by_role("link", name="Omar").click()
    expect(plain).to_have_url(re.compile("by=omar"))
    expect(plain.get_by_text("No run fits these filters.")).to_be_visible()


def test_no_control_is_shown_that_needs_a_script(plain: Page, live_server: Any, customers: Process) -> None:
    for address in ("/runs/", f"/run/{customers.public_id}/", "/processes/"):
        plain.goto(live_server.url + address)
        assert plain.locator(".needs-script").count()
        for control in plain.locator(".needs-script, [data-close], [data-menu], [data-help]").all():
            expect(control).to_be_hidden()
        expect(plain.get_by_role("navigation", name="Main Menu")).to_be_visible()
