"""W4: how long an empty run takes from request to finished, and how many a worker does in a second.

Usage: python -m tests.bench.empty floor|product DATA_DIR SOCKET      prints {"seconds", "latency_ms", "a_second"} as JSON

Both sides have one worker process and the same Valkey on a unix socket. The floor is a Celery task that writes its
number to that Valkey; the product's run has its row, fence, ledger, log and audit on the disk.
"""

import os
import sys

os.environ.update(
    WAYBILL_DATA_DIR=sys.argv[2],
    WAYBILL_FOLDERS=sys.argv[2],
    WAYBILL_BROKER_URL=f"redis+socket://{sys.argv[3]}",
    DJANGO_SETTINGS_MODULE="config.settings",
)

import config  # noqa: F401  isort: skip  (a sound SQLite before Django imports one)

import io
import json
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django_scopes import scope  # noqa: E402

from integrations.models import Run  # noqa: E402
from integrations.models.run import ENDED  # noqa: E402
from tests import factories  # noqa: E402
from tests.bench.data import TABLE  # noqa: E402

SIDE, DATA_DIR, SOCKET = sys.argv[1:4]
SINGLE, MANY = 30, 200
PATIENCE_SECONDS = 120.0


Parts = tuple[Sequence[str], Callable[[], Any], Callable[[], int]]
"""The worker's command, how to ask for one more, and how many have ended."""


def product() -> Parts:
    from integrations.connectors.registry import connector
    from integrations.engine.plan import Options, WhenBusy
    from integrations.runs.connections import opened
    from integrations.runs.files import store
    from integrations.runs.request import request_run

    call_command("migrate", verbosity=0)
    target = f"{DATA_DIR}/target.db"
    with closing(sqlite3.connect(target)) as database:
        database.execute(TABLE)
    company = factories.make_company()
    connection = factories.make_connection(company, connector="sql", system="sqlite", path=target)
    plan = factories.make_plan(connection, options=Options(when_busy=WhenBusy.ALLOW))
    process = factories.make_process(company, plan)
    with scope(company=company):
        connector("sql").offers["delivery_marker"](opened(connection))
        file = store(company, io.BytesIO(b"CustomerNumber,Name\n"), name="empty.csv", by=None)

    def ask() -> None:
        with scope(company=company):
            request_run(process, by=None, file=file)

    def ended() -> int:
        with scope(company=company):
            return Run.objects.filter(status__in=ENDED).count()

    return ["manage.py", "part", "worker", "1"], ask, ended


def floor() -> Parts:
    from tests.bench.celery_floor import app, store

    command = ["-m", "celery", "-A", "tests.bench.celery_floor", "worker", "-P", "threads", "-c", "1", "-l", "CRITICAL"]
    return command, lambda: app.send_task("note"), lambda: int(store.get("noted") or 0)


def main() -> dict[str, Any]:
    command, ask, ended = product() if SIDE == "product" else floor()
    worker = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        done = 0

        def until(count: int) -> None:
            give_up = time.monotonic() + PATIENCE_SECONDS
            while ended() < count:
                assert time.monotonic() < give_up, f"{ended()} of {count} ended"
                time.sleep(0.001)

        ask()
        until(done := 1)  # the worker is up
        latencies = []
        for _ in range(SINGLE):
            began = time.perf_counter()
            ask()
            until(done := done + 1)
            latencies.append(time.perf_counter() - began)
        began = time.perf_counter()
        for _ in range(MANY):
            ask()
        until(done + MANY)
        seconds = time.perf_counter() - began
    finally:
        worker.terminate()
        worker.wait()
    return {
        "seconds": seconds,
        "latency_ms": round(statistics.median(latencies) * 1_000, 1),
        "a_second": round(MANY / seconds),
    }


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
