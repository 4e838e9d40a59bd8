"""kill -9 at any moment: the run ends by itself, each document is there exactly once, and the ledger says so."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults.installation import LEASE_SECONDS, Installation, Worker
from tests.faults.service import Service
from tests.processes import descendants
from tests.servers import Postgres, Valkey

SEED = int(os.environ.get("WAYBILL_FAULTS_SEED", "20261124"))
MOMENTS = int(os.environ.get("WAYBILL_FAULTS_MOMENTS", "10"))
ROWS = 600
SEGMENT = 40
PLACES = (
    "perform.claimed",
    "perform.pinned",
    "journal.sending",
    "execute.before_deliver",
    "execute.after_deliver",
    "journal.before_settle",
    "journal.in_settle",
    "journal.settled",
    "execute.after_settle",
    "perform.before_finish",
    "perform.finished",
)
ONCE = ("perform.claimed", "perform.pinned", "perform.before_finish", "perform.finished")

pytestmark = pytest.mark.timeout(300 + 15 * MOMENTS)


@pytest.fixture(scope="module")
def broker() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, broker: Valkey) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("faults"), broker) as made:
        yield made


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def no_worker_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "installation" in request.fixturenames:
        for worker in request.getfixturevalue("installation").workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()


def define(
    on: Installation, name: str, mode: str, *, url: str = "", honours_key: bool = False, rows: int = ROWS
) -> str:
    on.define(name=name, mode=mode, rows=rows, folder=str(on.folder), segment=SEGMENT, url=url, honours_key=honours_key)
    return name


def undisturbed(on: Installation, mode: str, **more: Any) -> dict[str, Any]:
    """What a run that nobody disturbs leaves behind."""
    return timed(on, mode, **more)[0]


def timed(on: Installation, mode: str, **more: Any) -> tuple[dict[str, Any], float]:
    """The same, and the seconds that it was under way, for the moments to fall into it on any machine."""
    name = define(on, f"undisturbed_{mode}_{time.monotonic_ns()}", mode, **more)
    number = on.request(name=name)
    worker = on.worker()
    seconds = on.ended(number)["seconds"]
    worker.kill()
    found: dict[str, Any] = on.account(number=number)
    if mode != "http":
        found["rows"] = on.rows(name)["records"]
    # Where names are numbers, none is missing.
    assert found["balanced"] and found["status"] == ("completed" if mode == "numbers" else "completed_with_errors")
    return found, seconds


def left_by(on: Installation, name: str, number: int, mode: str) -> dict[str, Any]:
    found: dict[str, Any] = on.account(number=number)
    if mode != "http":
        rows = on.rows(name)
        assert not rows["times"] or max(rows["times"].values()) == 1, "a document is there more than once"
        found["rows"] = rows["records"]
    if mode == "tasks":
        for child in ("succeeded", "failed"):
            times = on.rows(f"{name}_{child}")["times"]
            assert not times or max(times.values()) == 1, "a child sent a document more than once"
    return found


def disturb(on: Installation, number: int, moment: float) -> None:
    """Kill whoever holds the run, `moment` seconds after it was claimed."""
    on.claimed(number)
    time.sleep(moment)
    holder = on.holder(on.state(number=number))
    if holder is not None:
        holder.kill()


def freeze(worker: Worker, files: list[Path]) -> None:
    """Stop a worker outside of its transactions: inside one it would keep a file's only writer to itself for ever."""
    while True:
        worker.signal(signal.SIGSTOP)
        if all(is_free(file) for file in files):
            return
        worker.signal(signal.SIGCONT)
        time.sleep(0.05)


def is_free(file: Path) -> bool:
    with closing(sqlite3.connect(file, isolation_level=None, timeout=1)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


@pytest.mark.parametrize("mode", ["upsert", "insert", "http", "tasks"])
def test_a_worker_killed_at_random_moments_loses_and_repeats_nothing(
    installation: Installation, service: Service, mode: str
) -> None:
    more = {"url": service.url, "honours_key": True} if mode == "http" else {}
    expected, seconds = timed(installation, mode, **more)
    moments = random.Random(f"{SEED} {mode}")
    killed = 0
    turns = MOMENTS // 2 if mode == "tasks" else MOMENTS
    for turn in range(turns):
        name = define(installation, f"{mode}_{turn}_{time.monotonic_ns()}", mode, **more)
        service.clear()
        while sum(worker.process.poll() is None for worker in installation.workers) < 2:
            installation.worker()
        number = installation.request(name=name)
        disturb(installation, number, moments.uniform(0, seconds))
        seen = installation.ended(number)
        killed += seen["epoch"] > 1
        assert left_by(installation, name, number, mode) == expected, f"seed {SEED}, moment {turn}: {seen}"
        if mode == "http":
            delivered = sorted(key for key, bucket in expected["buckets"].items() if bucket == "created")
            assert sorted(body["number"] for body in service.bodies.values()) == delivered, (
                f"seed {SEED}, moment {turn}"
            )
    assert killed >= turns // 3, "most moments have to fall into the run, or this shows nothing"


def test_a_number_is_never_given_twice_and_a_document_that_is_sent_again_keeps_its_own(
    installation: Installation,
) -> None:
    """What arrived before the kill is noted, and still has its number at the end."""
    _, seconds = timed(installation, "numbers")
    moments = random.Random(f"{SEED} numbers")
    killed, turns = 0, MOMENTS // 2
    for turn in range(turns):
        name = define(installation, f"numbers_{turn}_{time.monotonic_ns()}", "numbers")
        while sum(worker.process.poll() is None for worker in installation.workers) < 2:
            installation.worker()
        number = installation.request(name=name)
        disturb(installation, number, moments.uniform(0, seconds))
        arrived = {key: given for key, given, _ in installation.rows(name)["records"]}
        seen = installation.ended(number)
        killed += seen["epoch"] > 1
        found = installation.account(number=number)
        rows = {key: given for key, given, _ in installation.rows(name)["records"]}
        left = installation.left_open(name=name)
        where = f"seed {SEED}, moment {turn}: {seen}"
        assert found["balanced"] and found["status"] == "completed", where
        assert rows.keys() == {key for key, bucket in found["buckets"].items() if bucket != "restricted"}, where
        assert len(set(rows.values())) == len(rows), f"a number is there twice, {where}"
        assert arrived.items() <= rows.items(), f"a document came with another number, {where}"
        assert left["given"] == 0 and max(int(given[2:]) for given in rows.values()) < left["next"], where
    assert killed >= turns // 3, "most moments have to fall into the run, or this shows nothing"


def test_changes_are_read_once_whenever_the_worker_is_killed(installation: Installation) -> None:
    """The run that was killed goes on with the rows it pinned, and the next one delivers exactly the rest: what is new,
    and what is carried because it did not arrive."""
    _, seconds = timed(installation, "changes")
    moments = random.Random(f"{SEED} changes")
    killed, turns = 0, MOMENTS // 2
    for turn in range(turns):
        name = define(installation, f"changes_{turn}_{time.monotonic_ns()}", "changes")
        while sum(worker.process.poll() is None for worker in installation.workers) < 2:
            installation.worker()
        number = installation.request(name=name)
        disturb(installation, number, moments.uniform(0, seconds))
        see_that_the_next_run_reads_the_rest(installation, name, number)
        killed += installation.state(number=number)["epoch"] > 1
    assert killed >= turns // 3, "most moments have to fall into the run, or this shows nothing"


@pytest.mark.parametrize(
    "place", ["perform.pinned", "execute.after_settle", "perform.before_finish", "perform.finished"]
)
def test_a_kill_between_the_pin_and_the_watermark_loses_and_repeats_no_change(
    installation: Installation, place: str
) -> None:
    name = define(installation, f"changes_{place}", "changes")
    dying = installation.worker(failpoints=f"{place}:1=kill")
    number = installation.request(name=name)
    dying.process.wait(30)
    ended = place == "perform.finished"
    assert installation.left_open(name=name)["watermark"] == (str(ROWS) if ended else "")
    installation.worker()
    see_that_the_next_run_reads_the_rest(installation, name, number)


def see_that_the_next_run_reads_the_rest(on: Installation, name: str, number: int) -> None:
    """Add a row while the run `number` may still be under way, run again, and account for every row of both runs."""
    with closing(sqlite3.connect(on.folder / f"{name}.db", timeout=30)) as database, database:
        database.execute("INSERT INTO leads VALUES ('new', 'New', 'in', ?)", (ROWS + 1,))
    on.ended(number)
    failed = {f"{n:05d}" for n in range(100, ROWS + 1, 100)}
    first = on.account(number=number)
    second = on.request(name=name)
    on.ended(second)
    then = on.account(number=second)
    assert first["balanced"] and then["balanced"]
    assert {key for key, bucket in first["buckets"].items() if bucket == "failed"} == failed
    # A kill before the pin lets the first run read the row that was added meanwhile.
    rest = failed | ({"new"} - first["buckets"].keys())
    assert then["buckets"].keys() == rest, f"seed {SEED}"
    rows = on.rows(name)
    assert max(rows["times"].values()) == 1, "a document is there more than once"
    sent = {key for account in (first, then) for key, bucket in account["buckets"].items() if bucket == "created"}
    assert rows["times"].keys() == sent
    assert on.left_open(name=name) == {"given": 0, "next": None, "watermark": str(ROWS + 1), "carried": len(failed)}


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_killed_at_a_named_place_is_replaced(installation: Installation, place: str) -> None:
    expected = undisturbed(installation, "insert", rows=200)
    name = define(installation, f"at_{place}_{time.monotonic_ns()}", "insert", rows=200)
    dying = installation.worker(failpoints=f"{place}:{1 if place in ONCE else 3}=kill")
    number = installation.request(name=name)
    dying.process.wait(30)
    installation.worker()
    seen = installation.ended(number)
    assert left_by(installation, name, number, "insert") == expected
    assert seen["epoch"] == (1 if place == "perform.finished" else 2)
    if place not in ("perform.finished",):
        assert any("fell silent" in line for line in installation.log(number=number)), "the log tells what happened"


@pytest.mark.parametrize(
    "place",
    ["journal.sending:3", "execute.after_deliver:3", "journal.in_settle:3", "outputs.before_rename", "outputs.renamed"],
)
def test_a_file_shows_once_and_whole_whenever_its_worker_is_killed(installation: Installation, place: str) -> None:
    name = define(installation, f"file_{place.split(':')[0]}", "file", rows=200)
    dying = installation.worker(failpoints=f"{place}=kill")
    number = installation.request(name=name)
    dying.process.wait(30)
    assert "customers.csv" not in installation.files(name) or place == "outputs.renamed"
    installation.worker()
    installation.ended(number)
    found = installation.account(number=number)
    delivered = [key for key, bucket in found["buckets"].items() if bucket == "created"]
    assert found["balanced"] and found["status"] == "completed_with_errors"
    assert installation.files(name) == {"customers.csv": delivered}


def test_a_service_that_honours_no_key_gets_nothing_twice_and_the_doubt_is_named(
    installation: Installation, service: Service
) -> None:
    service.clear()
    name = define(installation, "http_in_doubt", "http", url=service.url)
    dying = installation.worker(failpoints="execute.after_deliver:2=kill")
    number = installation.request(name=name)
    dying.process.wait(30)
    installation.worker()
    installation.ended(number)
    found = installation.account(number=number)
    assert max(service.arrivals.values()) == 1
    unknown = {key for key, bucket in found["buckets"].items() if bucket == "unknown"}
    assert unknown, "what was under way when the worker died is unknown, and said so"
    assert unknown <= set(service.arrivals), "and nothing else is"
    assert found["balanced"]


def test_a_worker_that_kills_every_worker_is_parked_as_failed(installation: Installation) -> None:
    name = define(installation, "deadly", "upsert", rows=100)
    number = installation.request(name=name)
    for _ in range(3):
        installation.worker(failpoints="execute.before_deliver:1=kill").process.wait(30)
    installation.worker()
    seen = installation.ended(number)
    assert seen["status"] == "failed"
    assert "3" in seen["reason"] or "three" in seen["reason"]


def test_the_broker_is_killed_in_the_middle_and_nothing_waits_for_it(
    installation: Installation, broker: Valkey
) -> None:
    expected = undisturbed(installation, "upsert")
    names = [define(installation, f"without_broker_{n}", "upsert") for n in (1, 2)]
    installation.worker()
    first = installation.request(name=names[0])
    installation.claimed(first)
    broker.kill()
    second = installation.request(name=names[1])
    installation.ended(first)
    installation.ended(second)
    broker.start()
    for name, number in zip(names, (first, second), strict=True):
        assert left_by(installation, name, number, "upsert") == expected


def test_a_message_delivered_many_times_to_two_workers_changes_nothing(installation: Installation) -> None:
    expected = undisturbed(installation, "insert")
    name = define(installation, "rung", "insert")
    installation.worker()
    installation.worker()
    number = installation.request(name=name)
    installation.ring(number=number, times=10)
    seen = installation.ended(number)
    installation.ring(number=number, times=10)
    time.sleep(0.5)
    assert left_by(installation, name, number, "insert") == expected
    assert seen["epoch"] == 1, "one worker had it, once"


def test_a_worker_that_wakes_after_losing_its_lease_changes_nothing(installation: Installation) -> None:
    expected = undisturbed(installation, "insert")
    name = define(installation, "zombie", "insert")
    sleeper = installation.worker(failpoints="execute.before_deliver:3=sleep:0.05")
    number = installation.request(name=name)
    installation.wait(number, until=lambda seen: seen["segments"] >= 3, what="deliver")
    freeze(sleeper, [installation.folder / "data" / "waybill.sqlite3", installation.folder / f"{name}.db"])
    time.sleep(LEASE_SECONDS + 0.3)
    installation.worker()
    seen = installation.ended(number)
    sleeper.signal(signal.SIGCONT)
    time.sleep(1.0)
    assert seen["epoch"] == 2
    assert left_by(installation, name, number, "insert") == expected
    assert installation.state(number=number)["epoch"] == 2


def test_a_worker_that_is_asked_to_stop_hands_its_run_over_at_a_segment(installation: Installation) -> None:
    expected = undisturbed(installation, "upsert")
    name = define(installation, "handed_over", "upsert")
    first = installation.worker(failpoints="execute.after_settle:1=sleep:0.1")
    number = installation.request(name=name)
    installation.wait(number, until=lambda seen: seen["segments"] >= 2, what="deliver")
    assert first.stop() < 8
    handed = installation.state(number=number)
    assert handed["owner"] == "" and handed["deaths"] == 0
    installation.worker()
    installation.ended(number)
    assert left_by(installation, name, number, "upsert") == expected
    assert any("handed it back" in line for line in installation.log(number=number))


def test_a_worker_that_is_stopped_in_a_slow_segment_hands_it_over_as_it_is(installation: Installation) -> None:
    expected = undisturbed(installation, "insert")
    name = define(installation, "slow", "insert")
    worker = installation.worker(failpoints="execute.after_settle:1=sleep:0.3", STOP_SECONDS="1")
    number = installation.request(name=name)
    installation.wait(number, until=lambda seen: seen["segments"] >= 2, what="deliver")
    with closing(sqlite3.connect(installation.folder / f"{name}.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # The driver waits for the file inside one call, deaf to everything.
        time.sleep(0.6)
        assert worker.stop() < 8
        handed = installation.state(number=number)
        assert (handed["status"], handed["owner"], handed["deaths"]) == ("in_progress", "", 0)
    installation.worker()
    installation.ended(number)
    assert left_by(installation, name, number, "insert") == expected
    assert any("handed it back" in line for line in installation.log(number=number))


def test_a_script_child_that_is_killed_costs_two_seconds_and_at_most_one_document(installation: Installation) -> None:
    expected = undisturbed(installation, "upsert")
    name = define(installation, "childless", "upsert")
    worker = installation.worker(failpoints="execute.after_settle:1=sleep:0.1")
    number = installation.request(name=name)
    installation.wait(number, until=lambda seen: seen["segments"] >= 3, what="deliver")
    (child,) = descendants(worker.pid)
    before = installation.state(number=number)["segments"]
    os.kill(child, signal.SIGKILL)
    killed_at = time.monotonic()
    installation.wait(number, until=lambda seen: seen["segments"] > before + 2, what="go on")
    assert time.monotonic() - killed_at < 5, "two seconds, and what a slow machine adds"
    installation.ended(number)
    found = left_by(installation, name, number, "upsert")
    assert found["balanced"]
    other = {key for key, bucket in found["buckets"].items() if expected["buckets"][key] != bucket}
    assert found["buckets"].keys() == expected["buckets"].keys()
    assert len(other) <= 1


def test_a_worker_without_a_broker_performs_what_is_asked_and_still_stops(installation: Installation) -> None:
    """It is started while the broker is away, and stopped before the broker is back."""
    expected = undisturbed(installation, "upsert")
    name = define(installation, "no_broker_at_all", "upsert")
    installation.broker.kill()
    try:
        worker = installation.worker()
        number = installation.request(name=name)
        installation.ended(number)
        assert worker.process.poll() is None, "it waits for its broker and does not end over it"
        assert worker.stop() < 8
    finally:
        installation.broker.start()
    assert left_by(installation, name, number, "upsert") == expected


def test_the_same_holds_with_rows_in_postgresql(tmp_path: Path, broker: Valkey, postgres: Postgres) -> None:
    with Installation(tmp_path, broker, database_url=postgres.url) as installation:
        expected, seconds = timed(installation, "insert")
        moments = random.Random(f"{SEED} postgres")
        for turn in range(MOMENTS // 4):
            name = define(installation, f"pg_{turn}", "insert")
            while sum(worker.process.poll() is None for worker in installation.workers) < 2:
                installation.worker()
            number = installation.request(name=name)
            disturb(installation, number, moments.uniform(0, seconds))
            installation.ended(number)
            assert left_by(installation, name, number, "insert") == expected, f"seed {SEED}, moment {turn}"
