"""The product: the same work as a real run, with its ledger, fences and script child, in a fresh worker process.

Usage: python -m tests.bench.product prepare DATA_DIR CUSTOMERS.csv TARGET.db
       python -m tests.bench.product run     DATA_DIR          prints {"seconds", "peak_mb", …} as JSON
"""

import os
import sys
from pathlib import Path

os.environ.update(
    WAYBILL_DATA_DIR=sys.argv[2],
    WAYBILL_FOLDERS=str(Path(sys.argv[2]).resolve().parent),
    WAYBILL_BROKER_URL="memory://",
    DJANGO_SETTINGS_MODULE="config.settings",
)

import config  # noqa: F401  isort: skip  (a sound SQLite before Django imports one)

import json
import resource
import sqlite3
import time

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django_scopes import scope, scopes_disabled  # noqa: E402

from integrations.engine.plan import (  # noqa: E402
    Column,
    ColumnType,
    DestinationSpec,
    FieldMap,
    Line,
    Plan,
    SourceSpec,
)
from integrations.management.demo.plans import CREDIT_CLASS, ONLY_ACTIVE  # noqa: E402
from integrations.models import Connection, Run  # noqa: E402
from tests import factories  # noqa: E402
from tests.bench.data import COLUMNS, TABLE, TARGETS  # noqa: E402


def plan_for(connection: Connection) -> Plan:
    fields = [FieldMap(target=target, value=column) for target, column in zip(TARGETS, COLUMNS, strict=False)]
    fields.append(FieldMap(target="credit_class", column_type=ColumnType.CALCULATION, value=CREDIT_CLASS))
    line = Line(
        name="Customer",
        target="customers",
        keys=("customer_number",),
        restriction=ONLY_ACTIVE,
        fields=tuple(fields),
    )
    return Plan(
        process="CUSTOMERS",
        source=SourceSpec(kind="delimited", columns=tuple(Column(name=name) for name in COLUMNS)),
        destination=DestinationSpec(kind="sql", connection=str(connection.public_id)),
        key_fields=("CustomerNumber",),
        lines=(line,),
    )


def prepare(source: Path, target: Path) -> None:
    from integrations.connectors.registry import connector
    from integrations.runs.connections import opened
    from integrations.runs.files import store
    from integrations.runs.request import request_run

    call_command("migrate", verbosity=0)
    database = sqlite3.connect(target)
    database.execute(TABLE)
    database.close()
    company = factories.make_company()
    connection = factories.make_connection(company, connector="sql", system="sqlite", path=str(target))
    with scope(company=company), source.open("rb") as file:
        connector("sql").offers["delivery_marker"](opened(connection))
        process = factories.make_process(company, plan_for(connection))
        request_run(process, by=None, trigger="manual", file=store(company, file, name=source.name, by=None))


def run() -> None:
    from integrations.runs.perform import perform

    settings.DEBUG = False
    with scopes_disabled():
        waiting = Run.objects.get()
        began = time.perf_counter()
        perform(waiting.pk)
        seconds = time.perf_counter() - began
        waiting.refresh_from_db()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "seconds": seconds,
        "peak_mb": peak_mb,
        "child_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "status": waiting.status,
        "reason": waiting.reason,
        "created": waiting.documents_created,
        "restricted": waiting.documents_restricted,
        "segments": waiting.segments,
        "ledger_bytes": Path(settings.DATABASES["default"]["NAME"]).stat().st_size,
    }
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        run()
