"""A Chromium for the browser tests: the system's, Playwright's, or one that is installed now.

`python -m tests.browser.chromium` makes sure that there is one, and says what to do where it cannot be had.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Give the path of a browser; None leaves the choice to Playwright."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def has_playwrights_own() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


def main() -> int:
    if find_chromium() or has_playwrights_own():
        return 0
    say("The browser tests need Chromium; installing it…")
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)  # type: ignore[call-overload]
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False, **quiet)  # type: ignore[call-overload]
    if not find_chromium():
        subprocess.run([sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"], check=False)
    if find_chromium() or has_playwrights_own():
        return 0
    say("Chromium could not be installed. Install the package “chromium” of your system, then run make test again.")
    return 1


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
