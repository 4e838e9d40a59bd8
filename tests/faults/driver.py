"""The inside of an installation under test: one process that makes runs and tells what became of them.

Reads one JSON command a line, answers one JSON line. Started by `tests.faults.installation`.
"""

import config  # noqa: F401  isort: skip  (a sound SQLite before Django imports one)

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django_scopes import scope  # noqa: E402

from accounts.models import Company  # noqa: E402
from integrations.connectors.registry import connector  # noqa: E402
from integrations.engine.plan import (  # noqa: E402
    Column,
    ColumnType,
    DestinationSpec,
    FieldMap,
    Line,
    Plan,
    SourceSpec,
    WriteMode,
)
from integrations.models import DocumentOutcome, LedgerSegment, LogEntry, Process, Run  # noqa: E402
from integrations.runs.connections import opened  # noqa: E402
from integrations.runs.files import store  # noqa: E402
from integrations.runs.jobs import perform_run  # noqa: E402
from integrations.runs.journal import unpack_keys  # noqa: E402
from integrations.runs.request import request_cancel, request_run  # noqa: E402
from tests import factories  # noqa: E402

COLUMNS = ("Number", "Name", "Kind")


def prepare() -> None:
    call_command("migrate", verbosity=0)
    factories.make_company("Faults")


def define(*, name: str, mode: str, rows: int, folder: str, segment: int, url: str, honours_key: bool) -> None:
    """Make a process that sends `rows` documents; every tenth is restricted, every hundredth cannot be mapped."""
    company = Company.objects.get()
    place = Path(folder)
    if mode == "http":
        connection = factories.make_connection(company, name, "http", url=url, concurrency=8, honours_key=honours_key)
    else:
        target = place / f"{name}.db"
        key = "PRIMARY KEY" if mode == "upsert" else ""
        with closing(sqlite3.connect(target)) as database:
            database.execute(f"CREATE TABLE customers (number TEXT {key}, name TEXT NOT NULL, length INTEGER)")
        connection = factories.make_connection(company, name, "sql", system="sqlite", path=str(target))
    with scope(company=company):
        if mode != "http":
            connector("sql").offers["delivery_marker"](opened(connection))
        process = factories.make_process(company, plan_of(connection, name, mode, segment))
        source = place / f"{name}.csv"
        source.write_text(",".join(COLUMNS) + "\n" + "".join(row_of(n) for n in range(1, rows + 1)))
        with source.open("rb") as file:
            Process.objects.filter(pk=process.pk).update(default_file=store(company, file, name=source.name, by=None))


def row_of(n: int) -> str:
    return f"{n:05d},{'' if n % 100 == 0 else f'Name {n}'},{'out' if n % 10 == 5 else 'in'}\n"


def plan_of(connection: Any, name: str, mode: str, segment: int) -> Plan:
    fields = (
        FieldMap(target="number", value="Number"),
        FieldMap(target="name", value="Name", required=True),
        FieldMap(target="length", column_type=ColumnType.CALCULATION, value="return this._Name.length;"),
    )
    line = Line(
        name="Customer",
        target="customers",
        mode=WriteMode.UPSERT if mode == "upsert" else WriteMode.INSERT,
        keys=("number",),
        fields=fields,
        restriction="return this._Kind !== 'out';",
    )
    kind = "http_json" if mode == "http" else "sql"
    return Plan(
        process=name,
        source=SourceSpec(kind="delimited", columns=tuple(Column(name=column) for column in COLUMNS)),
        destination=DestinationSpec(
            kind=kind, connection=str(connection.public_id), options={"batch_documents": segment}
        ),
        key_fields=("Number",),
        lines=(line,),
    )


def request(*, name: str) -> int:
    return request_run(Process.objects.get(name=name), by=None).number


def ring(*, number: int, times: int) -> None:
    """Deliver the message of a run again, as a broker may."""
    run = Run.objects.get(number=number)
    for _ in range(times):
        perform_run.apply_async((run.pk,), retry=False)


def cancel(*, number: int) -> bool:
    return request_cancel(Run.objects.get(number=number), by=None)


def state(*, number: int) -> dict[str, Any]:
    run = Run.objects.get(number=number)
    return {
        "status": run.status,
        "segments": run.segments,
        "owner": run.lease_owner,
        "epoch": run.epoch,
        "deaths": run.deaths,
        "reason": run.reason,
        "balanced": run.is_balanced,
    }


def account(*, number: int) -> dict[str, Any]:
    """Everything the ledger says, without who wrote it and when."""
    run = Run.objects.get(number=number)
    buckets: dict[str, str] = {}
    for segment in LedgerSegment.objects.filter(run=run).order_by("number"):
        for key, bucket in unpack_keys(bytes(segment.keys)):
            assert key not in buckets, f"{key} is accounted for twice"
            buckets[key] = str(bucket)
    outcomes = DocumentOutcome.objects.filter(run=run).order_by("document")
    return {
        "status": run.status,
        "balanced": run.is_balanced,
        "read": [run.source_documents, run.source_rows],
        "buckets": buckets,
        "outcomes": [[o.document, o.key, o.sentence, o.rows, o.records] for o in outcomes],
    }


def log(*, number: int) -> list[str]:
    return list(LogEntry.objects.filter(run__number=number).order_by("pk").values_list("message", flat=True))


COMMANDS = {f.__name__: f for f in (define, request, ring, cancel, state, account, log)}


def main() -> None:
    prepare()
    sys.stdout.write(json.dumps("ready") + "\n")
    sys.stdout.flush()
    company = Company.objects.get()
    for line in sys.stdin:
        name, given = json.loads(line)
        with scope(company=company):
            answer = COMMANDS[name](**given)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
