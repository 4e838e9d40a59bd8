"""The inside of an installation under test: one process that makes runs and tells what became of them.

Reads one JSON command a line, answers one JSON line. Started by `tests.faults.installation`.
"""

import config  # noqa: F401  isort: skip  (a sound SQLite before Django imports one)

import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
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
    Keep,
    Line,
    ParentData,
    Plan,
    SourceMode,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Then,
    ValueType,
    Variable,
    WriteMode,
)
from integrations.models import (  # noqa: E402
    DocumentOutcome,
    GivenNumbers,
    GlobalVariable,
    LedgerSegment,
    LogEntry,
    Process,
    RollingNumber,
    Run,
    Watermark,
)
from integrations.runs.connections import opened  # noqa: E402
from integrations.runs.files import store  # noqa: E402
from integrations.runs.jobs import perform_run  # noqa: E402
from integrations.runs.journal import unpack_keys  # noqa: E402
from integrations.runs.request import request_cancel, request_run  # noqa: E402
from tests import factories  # noqa: E402

COLUMNS = ("Number", "Name", "Kind")
COUNT, FAILED = "GBL_COUNT", "GBL_FAILED"


def prepare() -> None:
    call_command("migrate", verbosity=0)
    factories.make_company("Faults")


def define(*, name: str, mode: str, rows: int, folder: str, segment: int, url: str, honours_key: bool) -> None:
    """Make a process that sends `rows` documents; every tenth is restricted, every hundredth cannot be mapped.

    In the mode `tasks` its scripts count and collect documents in variables, and two integrations follow it. In the mode
    `numbers` it numbers them, in the mode `changes` it reads them from a table, what is new alone.
    """
    company = Company.objects.get()
    place = Path(folder)
    children = []
    if mode == "tasks":
        for child in ("succeeded", "failed"):
            define(
                name=f"{name}_{child}", mode="insert", rows=1, folder=folder, segment=segment, url="", honours_key=False
            )
            children.append(Process.objects.get(name=f"{name}_{child}"))
        for variable in (COUNT, FAILED):
            GlobalVariable.objects.get_or_create(company=company, name=variable)
    if mode == "http":
        connection = factories.make_connection(company, name, "http", url=url, concurrency=8, honours_key=honours_key)
    elif mode == "file":
        (place / name).mkdir()
        connection = factories.make_connection(company, name, "folder", path=str(place / name))
    else:
        target = place / f"{name}.db"
        make_tables(target, mode, rows)
        connection = factories.make_connection(company, name, "sql", system="sqlite", path=str(target))
    with scope(company=company):
        if mode not in ("http", "file", "numbers"):
            connector("sql").offers["delivery_marker"](opened(connection))
        plan = plan_of(connection, name, mode, segment)
        if children:
            plan = replace(plan, **followed_by(*children))
        elif mode == "numbers":
            plan = numbering(plan, RollingNumber.objects.create(company=company, name=name, prefix="N-"))
        elif mode == "changes":
            plan = reading_changes(plan, connection)
        process = factories.make_process(company, plan)
        source = place / f"{name}.csv"
        source.write_text(",".join(COLUMNS) + "\n" + "".join(row_of(n) for n in range(1, rows + 1)))
        with source.open("rb") as file:
            Process.objects.filter(pk=process.pk).update(default_file=store(company, file, name=source.name, by=None))


def make_tables(target: Path, mode: str, rows: int) -> None:
    key = "" if mode == "insert" else "PRIMARY KEY"
    with closing(sqlite3.connect(target)) as database, database:
        database.execute(f"CREATE TABLE customers (number TEXT {key}, name TEXT NOT NULL, length INTEGER)")
        if mode == "changes":
            database.execute("CREATE TABLE leads (Number TEXT, Name TEXT, Kind TEXT, Changed INTEGER)")
            values = ((*row_of(n).strip().split(","), n) for n in range(1, rows + 1))
            database.executemany("INSERT INTO leads VALUES (?, ?, ?, ?)", values)


def row_of(n: int) -> str:
    return f"{n:05d},{'' if n % 100 == 0 else f'Name {n}'},{'out' if n % 10 == 5 else 'in'}\n"


def numbering(plan: Plan, sequence: RollingNumber) -> Plan:
    """Give the next number to the name of each record: into a table without a marker, so that what was under way when a
    worker died is sent again."""
    (line,) = plan.lines
    number, name, length = line.fields
    number_of = replace(name, column_type=ColumnType.ROLLING_NUMBER, value="", sequence=str(sequence.public_id))
    return replace(plan, lines=(replace(line, fields=(number, number_of, length)),))


def reading_changes(plan: Plan, connection: Any) -> Plan:
    """Read what is new in the table `leads` of the system that is written to."""
    columns = (*plan.source.columns, Column(name="Changed", type=ValueType.INTEGER))
    return replace(
        plan,
        source=SourceSpec(
            kind="sql_query",
            connection=str(connection.public_id),
            options={"query": "SELECT Number, Name, Kind, Changed FROM leads"},
            columns=columns,
            mode=SourceMode.CHANGES,
            watermark="Changed",
        ),
    )


def followed_by(succeeded: Process, failed: Process) -> dict[str, Any]:
    """Give the tasks and variables of the mode `tasks`."""

    def script(name: str, stage: Stage, text: str) -> Task:
        return Task(name=name, type=TaskType.RUN_SCRIPT, stage=stage, script=text)

    def child(name: str, stage: Stage, process: Process, data: ParentData) -> Task:
        return Task(
            name=name,
            type=TaskType.RUN_INTEGRATION,
            stage=stage,
            integration=str(process.public_id),
            parent_data=data,
            on_failure=Then.NEXT,
        )

    return {
        "variables": (Variable(name=COUNT, keep=Keep.ALWAYS), Variable(name=FAILED)),
        "tasks": (
            script("RESET", Stage.INTEGRATION_PRE, f"this.{COUNT} = '0'; this.{FAILED} = ''; return true;"),
            script("COUNT", Stage.DOCUMENT_PRE, f"this.{COUNT} = String(Number(this.{COUNT}) + 1); return true;"),
            script("COLLECT", Stage.DOCUMENT_POST_FAILURE, f"this.{FAILED} += this._Number + '|'; return true;"),
            child("SUCCEEDED", Stage.INTEGRATION_POST_FAILURE, succeeded, ParentData.SUCCEEDED),
            child("FAILED", Stage.INTEGRATION_POST_ALWAYS, failed, ParentData.FAILED),
        ),
    }


def plan_of(connection: Any, name: str, mode: str, segment: int) -> Plan:
    fields = (
        FieldMap(target="number", value="Number"),
        FieldMap(target="name", value="Name", required=True),
        FieldMap(target="length", column_type=ColumnType.CALCULATION, value="return this._Name.length;"),
    )
    line = Line(
        name="Customer",
        target="customers.csv" if mode == "file" else "customers",
        mode=WriteMode.INSERT if mode in ("insert", "http", "file") else WriteMode.UPSERT,
        keys=() if mode == "file" else ("number",),
        fields=fields,
        restriction="return this._Kind !== 'out';",
    )
    kind = {"http": "http_json", "file": "folder_file"}.get(mode, "sql")
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
        "seconds": (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else None,
    }


def left_open(*, name: str) -> dict[str, Any]:
    """What the runs of a process leave to the next: numbers that nobody accounts for, the watermark, what is carried."""
    process = Process.objects.get(name=name)
    watermark = Watermark.objects.filter(process=process).first()
    sequence = RollingNumber.objects.filter(name=name).first()
    return {
        "given": GivenNumbers.objects.filter(run__process=process).count(),
        "next": sequence.next_number if sequence else None,
        "watermark": watermark.value if watermark else "",
        "carried": watermark.carried_documents if watermark else 0,
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
    children = Run.objects.filter(parent=run).order_by("parent_key")
    return {
        "status": run.status,
        "balanced": run.is_balanced,
        "read": [run.source_documents, run.source_rows],
        "buckets": buckets,
        "outcomes": [[o.document, o.key, o.sentence, o.rows, o.records] for o in outcomes],
        "variables": run.variables,
        "task ends": {place: [ends["done"], ends["failed"], ends["skipped"]] for place, ends in run.task_ends.items()},
        "kept": run.process.kept_values,
        "children": {child.parent_key: account(number=child.number) for child in children},
    }


def log(*, number: int) -> list[str]:
    return list(LogEntry.objects.filter(run__number=number).order_by("pk").values_list("message", flat=True))


COMMANDS = {f.__name__: f for f in (define, request, ring, cancel, state, left_open, account, log)}


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
