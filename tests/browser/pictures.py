"""Take the README's pictures anew: `python -m tests.browser.pictures` starts Waybill, signs in, runs and shoots."""

import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.chromium import find_chromium
from tests.readme import ROOT
from tests.start.running import OWNER, PASSWORD, Start

SUMMARY = ROOT / "static" / "img" / "run-summary.png"
PATIENCE_MS = 60_000


def take(started: Start, page: Page) -> None:
    """Run CUSTOMERS_TO_CRM as its Owner does and keep the Run Summary."""
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{started.url}/sign-in/")
    page.locator("[name=login]").fill(OWNER)
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{started.url}/run/")
    page.get_by_role("link", name="CUSTOMERS_TO_CRM").click()
    page.get_by_role("button", name="Run Integration").click()
    page.get_by_text("Completed with Errors").first.wait_for()
    page.goto(f"{started.url}/runs/1/summary/")
    page.evaluate("document.fonts.ready")
    page.screenshot(path=SUMMARY)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Start(Path(folder)) as started, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        take(started, browser.new_page(viewport={"width": 1280, "height": 860}))
        browser.close()


if __name__ == "__main__":
    main()
