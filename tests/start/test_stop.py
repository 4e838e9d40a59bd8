"""A stop in the middle of a run, a broker that dies, a supervisor that is killed: nothing is left, nothing is lost."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.data import write_customers
from tests.processes import is_running
from tests.start.running import OWNER, PASSWORD, ROOT, Start, wait
from tests.start.visitor import Visitor

ROWS = 20_000
SLOWLY = {"UPLOAD_LIMIT_BYTES": "50000000", "FAILPOINTS": "execute.after_settle:1=sleep:0.5"}
STOPS_IN_SECONDS = 10

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    digest: dict[str, str]
    stopped_in: float
    left: set[int]


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("source") / "customers.csv"
    write_customers(file, ROWS)
    return file.read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, customers: bytes) -> Undisturbed:
    """What a run that nobody disturbs leaves behind, under `make start`; and how that ends by Ctrl-C."""
    ready = subprocess.run(["make", "-q", ".venv/.runtime"], cwd=ROOT, capture_output=True, check=False)
    if ready.returncode:
        pytest.skip("`make start` would first install what it is made of: run `make test`.")
    desk = Start(tmp_path_factory.mktemp("undisturbed"), UPLOAD_LIMIT_BYTES=SLOWLY["UPLOAD_LIMIT_BYTES"])
    try:
        desk.start(["make", "start"])
        desk.well()
        number = request(desk, customers)
        run = desk.ended(number)
        assert run["status"] == "completed"
        assert run["documents_created"] == len(desk.customers()) == ROWS * 4 // 5
        digest = desk.digest(number)
        return Undisturbed(digest=digest, stopped_in=desk.stop(signal.SIGINT), left=desk.processes())
    finally:
        desk.end()


def request(desk: Start, customers: bytes) -> int:
    visitor = Visitor(desk.url)
    visitor.sign_in(OWNER, PASSWORD)
    return visitor.run("CUSTOMERS_TO_CRM", name="customers.csv", content=customers)


def test_ctrl_c_ends_make_start_with_all_its_parts(undisturbed: Undisturbed) -> None:
    assert undisturbed.stopped_in < STOPS_IN_SECONDS
    assert undisturbed.left == set()


def test_a_broker_restart_and_a_stop_in_the_middle_of_a_run_change_nothing(
    tmp_path: Path, customers: bytes, undisturbed: Undisturbed
) -> None:
    with Start(tmp_path, **SLOWLY) as desk:
        number = request(desk, customers)
        desk.wait_for_run(number, lambda run: run["segments"] >= 1, "deliver")
        desk.is_back("broker", instead_of=desk.kill("broker"))
        desk.wait_for_run(number, lambda run: run["segments"] >= 2, "go on without its broker")

        assert desk.stop() < STOPS_IN_SECONDS
        assert desk.processes() == set()
        stopped = desk.run(number)
        assert stopped["status"] == "in_progress"
        assert (stopped["lease_owner"], stopped["deaths"]) == ("", 0), "it was handed back, nobody died"
        assert 2 <= stopped["segments"] < 5

        desk.start(into_a_socket=True)
        desk.well()
        desk.ended(number)
        assert "worker-1 | " in desk.output
        assert any("handed it back" in line for line in desk.log(number))
        assert desk.digest(number) == undisturbed.digest


def test_a_killed_supervisor_leaves_no_process_even_in_the_middle_of_a_run(tmp_path: Path, customers: bytes) -> None:
    with Start(tmp_path, **SLOWLY) as desk:
        number = request(desk, customers)
        desk.wait_for_run(number, lambda run: run["segments"] >= 1, "deliver")
        family = desk.processes()
        assert len(family) >= 8, "supervisor, broker, two workers, a script child, clock, and web twice"

        os.kill(desk.supervisor, signal.SIGKILL)

        assert desk.process is not None
        desk.process.wait(10)
        wait(
            lambda: not any(is_running(pid) for pid in family | desk.processes()),
            lambda: f"left behind: {[pid for pid in family | desk.processes() if is_running(pid)]}",
            seconds=20,
        )
