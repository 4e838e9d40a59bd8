"""A first visit without an Owner in the settings; and two copies on one machine, each in its own data folder."""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.start.running import OWNER, PASSWORD, Start
from tests.start.visitor import Visitor

LINK = re.compile(r"First visit: open (\S+) to become the Owner\. The link works once\.")
MINE = {"email": "owen@elsewhere.test", "name": "Owen", "password": "Another-Horse-7!staple", "time_zone": "UTC"}

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def nobodys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """A copy beside `desk` that was not told of an Owner, in a folder with a name that a URL or a format would trip over."""
    folder = tmp_path_factory.mktemp("nobodys") / "100% of it #1; is it?é"
    folder.mkdir()
    with Start(folder, OWNER_EMAIL="", OWNER_PASSWORD="", WORKERS="1") as started:
        yield started


def test_the_printed_link_makes_the_owner_once_and_the_demo_is_there(nobodys: Start) -> None:
    (link,) = LINK.findall(nobodys.output)
    owner = Visitor(nobodys.url)
    welcomed = owner.post(link, **MINE)
    assert (welcomed.status, welcomed.url) == (200, f"{nobodys.url}/runs/")
    assert "Demo" in welcomed.text

    assert Visitor(nobodys.url).get(link).status == 404

    number = owner.run("CUSTOMERS_TO_CRM")
    assert nobodys.ended(number)["status"] == "completed_with_errors"


def test_two_copies_side_by_side_do_not_mix(desk: Start, nobodys: Start) -> None:
    """One browser, signed in to both: cookies go to a host, whatever its port."""
    browser = Visitor(desk.url)
    browser.sign_in(OWNER, PASSWORD)
    browser.post(f"{nobodys.url}/sign-in/", login=MINE["email"], password=MINE["password"])
    assert OWNER in browser.get(f"{desk.url}/users/").text
    assert MINE["email"] in browser.get(f"{nobodys.url}/users/").text

    before = len(nobodys.rows("SELECT id FROM integrations_run"))
    desk.ended(browser.run("CUSTOMERS_TO_CRM"))
    assert len(nobodys.rows("SELECT id FROM integrations_run")) == before
    assert not desk.processes() & nobodys.processes()


def test_a_closed_terminal_ends_a_copy_and_leaves_the_other_alone(desk: Start, nobodys: Start) -> None:
    nobodys.stop(signal.SIGHUP)
    assert nobodys.processes() == set()
    desk.well()
