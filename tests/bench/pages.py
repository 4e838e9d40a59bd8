"""How long workers' looks and people's pages take in an installation with a million runs.

Usage: python -m tests.bench.pages [--runs 1000000] [--data FOLDER] [--times 15] [--line 5000] [--url DATABASE_URL]

Makes the database in FOLDER unless one is there already (`--url`: in an empty PostgreSQL), then prints the median and
the 95th percentile of each look in milliseconds, and the median of what it cost this process: with SQLite that is all
of it, however busy the machine is. Absolute times do not travel; nothing here is asserted in a test.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--line", type=int, default=5_000, help="runs of one process that wait in line")
    parser.add_argument("--only", default="", help="measure pages only, those whose address holds this")
    parser.add_argument("--url", default="", help="a PostgreSQL instead of SQLite")
    return parser.parse_args()


OPTIONS = arguments()
FOLDER = OPTIONS.data or Path(tempfile.mkdtemp(prefix="waybill-pages-"))
os.environ.update(
    WAYBILL_DATA_DIR=str(FOLDER),
    WAYBILL_DATABASE_URL=OPTIONS.url,
    WAYBILL_BROKER_URL="memory://",
    WAYBILL_LOG_LEVEL="ERROR",
    DJANGO_SETTINGS_MODULE="config.settings",
)

import config  # noqa: E402, F401  isort: skip  (a sound SQLite before Django imports one)

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402
from django_scopes import scopes_disabled  # noqa: E402

from accounts.models import Company, Role, User  # noqa: E402
from integrations.models import Process, Run, RunStatus  # noqa: E402
from integrations.runs.claims import claim_next, others_wait  # noqa: E402
from integrations.runs.request import default_name, request_run  # noqa: E402
from integrations.runs.rescue import rescue  # noqa: E402
from tests import factories  # noqa: E402
from tests.runs.making import held_run, make_run  # noqa: E402

PROCESSES = 60
CONNECTIONS = 21
FIRST_RUNS = 1_000
SECONDS_BETWEEN = 30
ENDS = [
    *[RunStatus.COMPLETED] * 16,
    *[RunStatus.COMPLETED_WITH_ERRORS] * 2,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
]
ADA = "ada@harwood.test"


# ---- the database ------------------------------------------------------------------------------------------------


def fill(runs: int) -> None:
    """Make two companies with their processes, and `runs` ended runs, one every half minute."""
    ours, theirs = factories.make_company(), factories.make_company("Elsewhere Ltd")
    ada = factories.make_user(ADA, company=ours, role=Role.ADMINISTRATOR)
    processes = [*processes_of(ours, PROCESSES), *processes_of(theirs, PROCESSES // 10)]
    began = timezone.now() - timedelta(seconds=SECONDS_BETWEEN * (runs + FIRST_RUNS))
    for number in range(FIRST_RUNS):
        at = began + timedelta(seconds=SECONDS_BETWEEN * number)
        status = ENDS[number % len(ENDS)]
        make_run(
            processes[number % len(processes)],
            number=number + 1,
            requested_by=ada,
            status=status,
            reason="Column “Amount” is not found in the source." if status == RunStatus.FAILED else "",
            queued_at=at,
            started_at=at,
            ended_at=at + timedelta(seconds=20),
            epoch=1,
            source_documents=100,
            source_rows=100,
            documents_created=100,
            rows_created=100,
        )
    while (made := Run.objects.count()) < runs:
        double(made, min(made, runs - made))
    Company.objects.update(last_run_number=runs)
    if connection.vendor == "postgresql":
        # As autovacuum would have done by now. Nobody analyzes a SQLite file.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def processes_of(company: Company, count: int) -> list[Process]:
    used = [factories.make_connection(company, f"System {number}") for number in range(CONNECTIONS)]
    names = [f"INTEGRATION_{number:02d}" for number in range(count)]
    return [
        factories.make_process(company, factories.make_plan(used[number % CONNECTIONS], process=name))
        for number, name in enumerate(names)
    ]


def double(made: int, count: int) -> None:
    """Copy the first `count` of `made` runs, later by the time that all of them took."""
    columns = [field.column for field in Run._meta.concrete_fields if field.column != "id"]
    seconds = made * SECONDS_BETWEEN
    if connection.vendor == "sqlite":
        fresh, later = "lower(hex(randomblob(16)))", f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {{}}, '+{seconds} seconds')"
    else:
        fresh, later = "gen_random_uuid()", f"{{}} + interval '{seconds} seconds'"
    given = {
        "public_id": fresh,
        "number": f"number + {made}",
        "name": f"'Run of integration ' || process_id || ', ' || (number + {made})",
        **{name: later.format(name) for name in ("queued_at", "started_at", "ended_at")},
    }
    listed = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(given.get(name, f'"{name}"') for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO integrations_run ({listed}) SELECT {values} FROM integrations_run ORDER BY id LIMIT %s",
            [count],
        )


# ---- the looks ---------------------------------------------------------------------------------------------------


def measure(what: str, look: Callable[[], Any], times: int | None = None) -> None:
    taken, busy = [], []
    for _ in range(times or OPTIONS.times):
        began, began_busy = time.perf_counter(), time.process_time()
        look()
        taken.append((time.perf_counter() - began) * 1000)
        busy.append((time.process_time() - began_busy) * 1000)
    taken.sort()
    late = taken[min(int(len(taken) * 0.95), len(taken) - 1)]
    say(f"{what:<48} {statistics.median(taken):>9.1f} {late:>9.1f} {statistics.median(busy):>9.1f}")


def pages(client: Client) -> None:
    process = Process.objects.filter(company__name="Harwood Outdoor").first()
    run = Run.objects.filter(process=process).order_by("-pk").first()
    live = {"HX-Request": "true", "HX-Target": "runs"}
    addresses = {
        "/runs/": {},
        "/runs/ (live refresh)": live,
        "/runs/?status=failed": {},
        f"/runs/?process={process.public_id}": {},
        f"/runs/?process={process.public_id} (live refresh)": live,
        "/runs/?period=day": {},
        "/runs/?period=month": {},
        f"/runs/?by={ADA}": {},
        "/runs/?trigger=rerun": {},
        "/runs/?q=nothing is called so": {},
        "/runs/?q=nothing is called so (live refresh)": live,
        "/runs/?q=integration 7, 99": {},
        "/runs/?q=1234": {},
        f"/runs/?before={OPTIONS.runs // 2}": {},
        f"/runs/{run.number}/summary/": {},
        "/connections/": {},
        f"/connections/{used_by(process)}/": {},
        "/processes/": {},
        f"/processes/{process.public_id}/": {},
        "/run/": {},
        f"/run/{process.public_id}/": {},
        "/health/": {},
        "/metrics/": {},
    }
    for address, headers in addresses.items():
        if OPTIONS.only not in address:
            continue
        path = address.removesuffix(" (live refresh)")
        measure(address.replace(str(process.public_id), "…"), lambda p=path, h=headers: seen(client, p, h))


def used_by(process: Process) -> str:
    return process.drafted.destination.connection


def seen(client: Client, path: str, headers: dict[str, str]) -> None:
    response = client.get(path, headers=headers)
    assert response.status_code in (200, 286, 503), (path, response.status_code)


def looks() -> None:
    """What workers and the clock do every second."""
    process = Process.objects.filter(company__name="Harwood Outdoor").last()
    measure("idle claim", lambda: claim_next("worker"))
    measure("rescue", rescue)
    running = held_run(process, number=OPTIONS.runs + 500_000)
    measure("others_wait", lambda: others_wait(running))
    Run.objects.filter(pk=running.pk).delete()
    measure("default name", lambda: default_name(process, timezone.now()))
    measure("request", lambda: request_run(process, by=None, file=process.default_file or file_of(process)))
    Run.objects.unfinished().delete()


def file_of(process: Process) -> Any:
    from integrations.models import StoredFile

    name = "customers.csv"
    made, _ = StoredFile.objects.get_or_create(company=process.company, name=name, sha256="0" * 64, size_bytes=1)
    return made


def line(count: int) -> None:
    """The runs of one process, requested all at once, are claimed one after another."""
    process = Process.objects.filter(company__name="Harwood Outdoor").last()
    first = make_run(process, number=OPTIONS.runs + 1_000_000)
    fields = {field.name: getattr(first, field.name) for field in Run._meta.concrete_fields if field.name != "id"}
    del fields["public_id"]
    Run.objects.bulk_create(
        [Run(**{**fields, "number": first.number + 1 + more}) for more in range(count - 1)], batch_size=500
    )

    def claim_and_end() -> None:
        claim = claim_next("worker")
        assert claim is not None
        Run.objects.finish(claim.run.pk, claim.run.epoch, status=RunStatus.COMPLETED)

    measure(f"{count:,} in line: the first claim and its end", claim_and_end, times=1)
    measure(f"{count:,} in line: the next ones", claim_and_end)
    claim = claim_next("worker")
    measure(f"{count:,} in line behind one that runs: idle claim", lambda: claim_next("worker"))
    measure(f"{count:,} in line behind one that runs: others_wait", lambda: others_wait(claim.run))
    measure(f"{count:,} in line: rescue", rescue)
    Run.objects.filter(number__gte=first.number).delete()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    began = time.perf_counter()
    call_command("migrate", verbosity=0)
    call_command("createcachetable")
    call_command("collectstatic", interactive=False, verbosity=0)
    with scopes_disabled():
        if not Run.objects.exists():
            fill(OPTIONS.runs)
        say(f"{Run.objects.count():,} runs on {connection.vendor} in {FOLDER}, {time.perf_counter() - began:.0f} s")
        say(f"{'milliseconds':<48} {'median':>9} {'95th':>9} {'cpu':>9}")
        if not OPTIONS.only:
            looks()
            line(OPTIONS.line)
        client = Client(headers={"host": "localhost"})
        client.force_login(User.objects.get(email=ADA))
        pages(client)


if __name__ == "__main__":
    main()
