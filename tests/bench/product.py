"""The product: the same work as a real run, with its ledger, fences and script child, in a fresh worker process.

Usage: python -m tests.bench.product prepare DATA_DIR W1|W2|W5 CUSTOMERS.csv TARGET.db
       python -m tests.bench.product prepare DATA_DIR W3    CUSTOMERS.csv http://…?at_once=N
       python -m tests.bench.product run     DATA_DIR          prints {"seconds", "peak_mb", …} as JSON
"""

import os
import sys
from pathlib import Path

os.environ.update(
    WAYBILL_DATA_DIR=sys.argv[2],
    WAYBILL_FOLDERS=str(Path(sys.argv[2]).resolve().parent),
    WAYBILL_BROKER_URL="memory://",
    WAYBILL_ALLOW_NETS="127.0.0.0/8",
    DJANGO_SETTINGS_MODULE="config.settings",
)

import config  # noqa: F401  isort: skip  (a sound SQLite before Django imports one)

import json
import resource
import sqlite3
import time
from contextlib import closing

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django_scopes import scope, scopes_disabled  # noqa: E402

from accounts.models import Company  # noqa: E402
from integrations.engine.plan import (  # noqa: E402
    Column,
    ColumnType,
    DestinationSpec,
    FieldMap,
    Line,
    Plan,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Variable,
    WriteMode,
)
from integrations.management.demo.plans import CREDIT_CLASS, ONLY_ACTIVE  # noqa: E402
from integrations.models import Connection, GlobalVariable, LedgerSegment, Run  # noqa: E402
from tests import factories  # noqa: E402
from tests.bench.data import COLUMNS, TABLE, TARGETS  # noqa: E402

COUNTED = "GBL_COUNTED"
CALCULATED = {
    1: "return this._CompanyName.toUpperCase();",
    4: "return this._Phone.replace(/[^0-9]/g, '');",
}
"""By the place of their field. The floor says the same in Python."""
COUNT_TASK = Task(
    name="COUNT",
    type=TaskType.RUN_SCRIPT,
    stage=Stage.DOCUMENT_POST_SUCCESS,
    script=f"this.{COUNTED} = String(Number(this.{COUNTED}) + this._CompanyName.length); return true;",
)


def plan_for(work: str, connection: Connection) -> Plan:
    """Every work maps twelve columns; W2 leaves the inactive ones out and calculates the last; W5 does that, calculates
    two more and has a script follow each document."""
    fields = [FieldMap(target=target, value=column) for target, column in zip(TARGETS, COLUMNS, strict=False)]
    if work == "W5":
        for place, script in CALCULATED.items():
            fields[place] = FieldMap(target=TARGETS[place], column_type=ColumnType.CALCULATION, value=script)
    if work in ("W2", "W5"):
        fields.append(FieldMap(target="credit_class", column_type=ColumnType.CALCULATION, value=CREDIT_CLASS))
    else:
        fields.append(FieldMap(target="credit_class", value="Status"))
    line = Line(
        name="Customer",
        target="customers",
        mode=WriteMode.INSERT if work == "W3" else WriteMode.UPSERT,
        keys=("customer_number",),
        restriction=ONLY_ACTIVE if work in ("W2", "W5") else "",
        fields=tuple(fields),
    )
    return Plan(
        process="CUSTOMERS",
        source=SourceSpec(kind="delimited", columns=tuple(Column(name=name) for name in COLUMNS)),
        destination=DestinationSpec(kind="http_json" if work == "W3" else "sql", connection=str(connection.public_id)),
        key_fields=("CustomerNumber",),
        lines=(line,),
        tasks=(COUNT_TASK,) if work == "W5" else (),
        variables=(Variable(name=COUNTED),) if work == "W5" else (),
    )


def prepare(work: str, source: Path, target: str) -> None:
    from integrations.runs.files import store
    from integrations.runs.request import request_run

    call_command("migrate", verbosity=0)
    company = factories.make_company()
    with scope(company=company), source.open("rb") as file:
        GlobalVariable.objects.create(company=company, name=COUNTED, value="0")
        process = factories.make_process(company, plan_for(work, connection_to(work, company, target)))
        request_run(process, by=None, trigger="manual", file=store(company, file, name=source.name, by=None))


def connection_to(work: str, company: Company, target: str) -> Connection:
    from integrations.connectors.registry import connector
    from integrations.runs.connections import opened

    if work == "W3":
        url, _, at_once = target.partition("?at_once=")
        return factories.make_connection(company, connector="http", url=url, concurrency=int(at_once))
    with closing(sqlite3.connect(target)) as database:
        database.execute(TABLE)
    connection = factories.make_connection(company, connector="sql", system="sqlite", path=target)
    connector("sql").offers["delivery_marker"](opened(connection))
    return connection


def run() -> None:
    from integrations.runs.perform import perform

    settings.DEBUG = False
    with scopes_disabled():
        waiting = Run.objects.get()
        used = cpu_seconds()
        began = time.perf_counter()
        perform(waiting.pk)
        seconds = time.perf_counter() - began
        used = cpu_seconds() - used
        waiting.refresh_from_db()
        ledger = ledger_bytes()
    assert waiting.status == "completed", waiting.reason
    figures = {
        "seconds": seconds,
        "cpu_seconds": round(used, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "child_peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "created": waiting.documents_created,
        "restricted": waiting.documents_restricted,
        "segments": waiting.segments,
        "ledger_bytes_a_document": round(ledger / waiting.source_documents, 2),
    }
    json.dump(figures, sys.stdout)


def cpu_seconds() -> float:
    """What this process and its ended children have used."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def ledger_bytes() -> int:
    """What the segments of all runs hold besides the keys themselves."""
    return sum(len(bytes(segment.keys)) + len(bytes(segment.key_filter)) for segment in LedgerSegment.objects.all())


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(sys.argv[3], Path(sys.argv[4]), sys.argv[5])
    else:
        run()
