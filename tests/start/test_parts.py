"""One command runs all parts; one that dies comes back, one that is ill is named, and what is secret stays so."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes import children, read
from tests.start.conftest import GIVEN
from tests.start.running import OWNER, PASSWORD, ROOT, Start, wait
from tests.start.visitor import Visitor

PARTS = ["broker", "worker 1", "worker 2", "clock", "web"]

pytestmark = pytest.mark.timeout(240)


def refusal(desk: Start, **settings: str) -> str:
    """What a start says that cannot be."""
    ended = subprocess.run(
        [sys.executable, "manage.py", "start"],
        cwd=ROOT,
        env={**desk.environment, **{f"WAYBILL_{name}": value for name, value in settings.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    return ended.stderr.strip()


def test_health_names_every_part_and_all_are_well(desk: Start) -> None:
    status, said = desk.health()
    assert status == 200
    assert said == {"status": "ok", "database": "ok", "broker": "ok", "worker": "ok", "clock": "ok"}


def test_the_owner_of_the_settings_signs_in_and_runs_the_demo(desk: Start) -> None:
    visitor = Visitor(desk.url)
    assert visitor.sign_in(OWNER, PASSWORD).url.endswith("/runs/")
    run = desk.ended(visitor.run("CUSTOMERS_TO_CRM"))
    assert run["status"] == "completed_with_errors"
    assert len(desk.customers()) == run["documents_created"] + run["documents_unchanged"] > 900


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_is_killed_comes_back(desk: Start, name: str) -> None:
    desk.is_back(name, instead_of=desk.kill(name))
    desk.well()


def test_a_process_of_the_web_server_that_is_killed_comes_back(desk: Start) -> None:
    def serving() -> list[int]:
        return [pid for pid in children(desk.part("web")) if "part" in read(pid, "cmdline")]

    wait(lambda: bool(serving()), lambda: "the web server serves nothing")
    before = serving()
    os.kill(before[0], signal.SIGKILL)
    wait(lambda: bool(set(serving()) - set(before)), lambda: f"nobody took its place\n{desk.output}")
    desk.well()


def test_health_names_what_gives_no_sign_of_life(desk: Start) -> None:
    stopped = [desk.part(name) for name in ("worker 1", "worker 2", "clock", "broker")]
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        ill = ("worker", "clock", "broker")
        said = desk.says(
            lambda status, said: status == 503 and all(said[part] != "ok" for part in ill), "name what is ill"
        )
        assert said["status"] == "ill"
        assert said["database"] == "ok"
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    desk.well()


def test_every_line_of_the_output_says_whose_it_is(desk: Start) -> None:
    prefixed = re.compile(r"(waybill|broker|worker-\d|clock|web) *\| .*\S")
    lines = desk.output.splitlines()
    assert len(lines) > 10
    assert [line for line in lines if not prefixed.match(line)] == []


def test_passwords_and_keys_stand_in_no_environment_and_in_no_output(desk: Start) -> None:
    secrets = [PASSWORD, *GIVEN.values()]
    seen = {pid: read(pid, "environ") + read(pid, "cmdline") for pid in desk.processes()}
    assert len(seen) >= len(PARTS) + 2
    assert [(pid, secret) for pid, text in seen.items() for secret in secrets if secret in text] == []
    assert [secret for secret in secrets if secret in desk.output] == []


def test_nobody_else_on_the_machine_may_read_rows_files_or_keys(desk: Start) -> None:
    static = desk.data / "static"
    kept = [desk.data, *(path for path in desk.data.rglob("*") if static not in (path, *path.parents))]
    assert desk.data / "waybill.sqlite3" in kept and desk.data / "demo_crm.db" in kept
    assert [path for path in kept if not path.is_symlink() and path.stat().st_mode & 0o077] == []


def test_what_was_taken_out_of_the_environment_still_counts(desk: Start) -> None:
    asked = urllib.request.Request(
        f"{desk.url}/metrics/", headers={"Authorization": f"Bearer {GIVEN['METRICS_TOKEN']}"}
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert b"waybill_workers_alive 2.0" in answer.read()
    kept = [path for path in (desk.data / "run").iterdir() if path.name in ("secret_key", "field_keys")]
    assert len(kept) == 2
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_a_second_start_on_the_same_data_folder_is_refused_in_a_sentence(desk: Start) -> None:
    assert refusal(desk, PORT="1") == (
        f"CommandError: Another Waybill uses the data folder {desk.data}. Stop it first, or give this one a "
        "WAYBILL_DATA_DIR of its own."
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"PORT": "abc"}, "Waybill cannot start: WAYBILL_PORT has to be a whole number, not “abc”."),
        (
            {"DATA_DIR": "/etc/passwd"},
            "Waybill cannot start: WAYBILL_DATA_DIR=/etc/passwd cannot be a folder: File exists.",
        ),
        (
            {"DATABASE_URL": "postgres//ada:canary@db"},
            "Waybill cannot start: WAYBILL_DATABASE_URL is no address such as postgresql://user@host/name.",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_a_sentence(
    desk: Start, settings: dict[str, str], sentence: str
) -> None:
    assert refusal(desk, **settings) == sentence


def test_a_port_that_is_taken_is_refused_in_a_sentence(desk: Start, tmp_path: Path) -> None:
    assert refusal(desk, DATA_DIR=str(tmp_path)) == (
        f"CommandError: Port {desk.port} on 127.0.0.1 cannot be used: Address already in use. Choose another one, "
        f"for example WAYBILL_PORT={desk.port + 1} make start."
    )
