"""A designer sends customers into a workbook to download by clicking, and an operator gets it from the Run Summary."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from django_scopes import scope
from openpyxl import load_workbook
from playwright.sync_api import Page, expect

from accounts.models import User
from integrations.models import OutputFile, Process
from tests.browser.conftest import ended_run


def is_sound(page: Page) -> None:
    for width, theme in ((1440, "light"), (360, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert Axe().run(page).violations_count == 0
    page.set_viewport_size({"width": 1440, "height": 900})


@pytest.mark.django_db(transaction=True)
def test_customers_go_into_a_workbook_to_download(
    enter: Callable[[User, str], Page], customers: Process, olga: User, tmp_path: Any
) -> None:
    page = enter(olga, reverse("process-target", args=[customers.public_id]))
    page.get_by_label("Destination").select_option(label="File to download, kept with the run")
    page.get_by_role("button", name="Save to the draft", exact=True).click()
    expect(page.get_by_label("Delimiter")).to_be_visible()
    is_sound(page)

    page.get_by_label("Format", exact=True).select_option(label="Excel workbook (.xlsx)")
    expect(page.get_by_label("Delimiter")).to_be_hidden()
    page.get_by_label("Sheet", exact=True).fill("Customers")
    page.get_by_label("File name", exact=True).fill("customers_[run.number].xlsx")
    page.get_by_role("button", name="Save to the draft", exact=True).click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Version 2 is saved.")).to_be_visible()

    run = ended_run(customers, olga)
    page.goto(page.url.split("/processes/")[0] + reverse("run-summary", args=[run.number]))
    expect(page.get_by_role("heading", name="Outputs")).to_be_visible()
    is_sound(page)
    with page.expect_download() as found:
        page.get_by_role("link", name=f"Download customers_{run.number}.xlsx").click()
    found.value.save_as(tmp_path / "c.xlsx")
    rows = list(load_workbook(tmp_path / "c.xlsx")["Customers"].values)
    assert len(rows) == 1 + run.documents_created
    with scope(company=customers.company):
        assert OutputFile.objects.get(run=run).size_bytes == (tmp_path / "c.xlsx").stat().st_size
