"""Kill worker, broker and web of a whole `make start` during a run of 200,000 rows: `python -m tests.faults.long_run`.

The run is asked for through the web door and must end by itself, within 20 s of the worker's death in other hands.
`--rows` takes another number.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests import environment  # noqa: F401  (before Django's settings are read)

import config  # noqa: F401  isort: skip  (a sound SQLite before Django imports one)

import django

django.setup()

from integrations.runs.journal import unpack_keys  # noqa: E402
from tests.bench.data import write_customers  # noqa: E402
from tests.start.running import BUCKETS, OWNER, PASSWORD, Start, wait  # noqa: E402
from tests.start.visitor import Visitor  # noqa: E402

RESUMED_IN_SECONDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="waybill-long-run-") as folder:
        source = Path(folder) / "customers.csv"
        write_customers(source, rows)
        desk = Start(Path(folder), UPLOAD_LIMIT_BYTES="1000000000")
        try:
            desk.start(["make", "start"])
            desk.well()
            say("started")
            disturb_and_check(desk, source, rows)
            say(f"stopped in {desk.stop():.1f} s, processes left: {len(desk.processes())}")
        finally:
            desk.end()


def disturb_and_check(desk: Start, source: Path, rows: int) -> None:
    visitor = Visitor(desk.url)
    visitor.sign_in(OWNER, PASSWORD)
    number = visitor.run("CUSTOMERS_TO_CRM", name=source.name, content=source.read_bytes())
    began = time.monotonic()
    further(desk, number, 5)
    kill_its_worker(desk, number)
    for name in ("broker", "web"):
        further(desk, number, 5)
        assert desk.run(number)["status"] == "in_progress", "the run was over too soon: take more --rows"
        desk.is_back(name, instead_of=desk.kill(name))
        say(f"killed {name} at segment {desk.run(number)['segments']}; it is back")
    wait(
        lambda: desk.run(number)["status"] not in ("queued", "in_progress"), lambda: str(desk.run(number)), seconds=600
    )
    say(f"the run ended by itself after {time.monotonic() - began:.1f} s")
    check(desk, number, rows)
    visitor.sign_in(OWNER, PASSWORD)
    assert visitor.get(f"/runs/{number}/summary/").status == 200
    for line in desk.log(number):
        say(f"its log: {line}")


def further(desk: Start, number: int, segments: int) -> None:
    """Wait until the run has settled that many more segments."""
    goal = desk.run(number)["segments"] + segments
    desk.wait_for_run(number, lambda run: run["segments"] >= goal, f"settle segment {goal}")


def kill_its_worker(desk: Start, number: int) -> None:
    run = desk.run(number)
    holder = run["lease_owner"].rpartition(":")[2]
    (name,) = [name for name in ("worker 1", "worker 2") if str(desk.part(name)) == holder]
    desk.kill(name)
    killed_at = time.monotonic()
    desk.wait_for_run(number, lambda now: now["epoch"] > run["epoch"], "be resumed")
    took = time.monotonic() - killed_at
    say(f"killed {name} at segment {run['segments']}; another one resumed the run after {took:.1f} s")
    assert took <= RESUMED_IN_SECONDS


def check(desk: Start, number: int, rows: int) -> None:
    run = desk.run(number)
    counts = {bucket: run[f"documents_{bucket}"] for bucket in BUCKETS if run[f"documents_{bucket}"]}
    say(f"{run['status']}: {run['source_documents']} documents = {counts}")
    assert run["status"] == "completed"
    assert run["source_documents"] == run["source_rows"] == sum(counts.values()) == rows

    pages = desk.rows("SELECT keys FROM integrations_ledgersegment ORDER BY number")
    ledger = Counter(key for (keys,) in pages for key, _ in unpack_keys(bytes(keys)))
    assert len(ledger) == rows and set(ledger.values()) == {1}
    say(f"the ledger accounts for {len(ledger)} documents, each once, in {len(pages)} segments")

    with closing(sqlite3.connect(desk.data / "demo_crm.db")) as crm:
        there = Counter(key for (key,) in crm.execute("SELECT customer_number FROM customers"))
    active = {f"C{n:08d}" for n in range(rows) if n % 5}
    assert set(there) == active and set(there.values()) == {1}
    say(f"the destination holds {len(there)} documents, each once")


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
