"""Changes only: a watermark that moves with runs that end well, and documents that stay until they are delivered."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import IntegrityError, transaction
from django_scopes import scope

from accounts.models import Company, User
from integrations.connectors.spool import SpooledSource
from integrations.engine.plan import (
    Column,
    Options,
    Plan,
    SourceMode,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Then,
    ValueType,
)
from integrations.models import LogEntry, Process, ProcessVersion, Run, RunStatus, StoredFile, Watermark
from integrations.runs import perform as performing
from integrations.runs.files import path_of
from integrations.runs.perform import perform_next
from integrations.runs.request import request_run, rerun
from integrations.runs.retention import delete_old_runs
from integrations.runs.watermarks import changing
from integrations.web.run_summary import _changes
from tests import factories
from tests.connectors.test_rest import Service, service  # noqa: F401  (a fixture)
from tests.runs.performing import Crm, fresh, process_into
from tests.servers import Postgres

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = (Column(name="CustomerNumber"), Column(name="Name"), Column(name="changed", type=ValueType.INTEGER))
QUERY = "SELECT number AS CustomerNumber, name AS Name, changed FROM leads -- all of them"


class Killed(BaseException):
    """The worker ends here."""


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        yield


@pytest.fixture
def crm(in_company: None, company: Company, tmp_path: Path) -> Crm:
    crm = Crm(company, tmp_path)
    do(crm, "CREATE TABLE leads (number TEXT, name TEXT, changed INTEGER)")
    return crm


def do(crm: Crm, statement: str) -> list[Any]:
    with closing(sqlite3.connect(crm.path)) as database, database:
        return database.execute(statement).fetchall()


def add(crm: Crm, *leads: tuple[str, str | None, int | None]) -> None:
    with closing(sqlite3.connect(crm.path)) as database, database:
        database.executemany("INSERT INTO leads VALUES (?, ?, ?)", leads)


def asking(crm: Crm, **changes: Any) -> Process:
    source = SourceSpec(
        kind="sql_query",
        connection=str(crm.connection.public_id),
        options={"query": QUERY},
        columns=COLUMNS,
        mode=SourceMode.CHANGES,
        watermark="changed",
    )
    return process_into(crm, **{"source": source, **changes})


def ran(process: Process) -> Run:
    run = request_run(process, by=None)
    assert perform_next()
    return fresh(run)


def rows_of(run: Run) -> list[str]:
    """The key of every row that the run read, in their order."""
    assert run.source_file is not None
    return [row[0] for batch in SpooledSource(path_of(run.source_file)).read() for row in batch.rows]


def watermark(process: Process) -> Watermark:
    return Watermark.objects.select_related("carried", "carried_from", "moved_by").get(process=process)


def changed_plan(process: Process, **source: Any) -> None:
    """A new version whose source differs."""
    plan: Plan = process.drafted
    plan = replace(plan, source=replace(plan.source, **source))
    ProcessVersion.objects.create(company=process.company, process=process, number=2, plan_json=plan.to_json())


# ---- the watermark --------------------------------------------------------------------------------------------------


def test_the_first_run_reads_everything_and_later_ones_what_is_new(crm: Crm) -> None:
    process = asking(crm)
    add(crm, ("1", "Anna", 9), ("2", "Ben", 10), ("3", "Cara", None))
    first = ran(process)
    add(crm, ("4", "Dan", 100), ("5", "Eve", 10))
    second, third = ran(process), ran(process)

    assert [rows_of(run) for run in (first, second, third)] == [["1", "2", "3"], ["4"], []]
    assert [run.status for run in (first, second, third)] == [RunStatus.COMPLETED] * 3
    assert (watermark(process).value, watermark(process).moved_by) == ("100", second)
    assert [(run.changes["since"], run.changes["reached"], run.changes["moved"]) for run in (first, second, third)] == [
        ("", "10", True),
        ("10", "100", True),
        ("100", "100", False),
    ]


def test_the_first_value_is_where_the_first_run_begins(crm: Crm) -> None:
    process = asking(crm)
    changed_plan(process, first_value="9")
    add(crm, ("1", "Anna", 9), ("2", "Ben", 10))

    assert rows_of(ran(process)) == ["2"]


def test_a_run_that_does_not_end_well_moves_nothing(crm: Crm) -> None:
    """It fails once everything was sent: what it sent is read again, and changes nothing there."""
    process = asking(crm, options=Options(stop_after=1))
    add(crm, ("1", "Anna", 1), ("2", None, 2), ("3", "Cara", 3), ("4", "Dan", 4))
    failed = ran(process)
    assert (failed.status, Watermark.objects.exists()) == (RunStatus.FAILED, False)

    do(crm, "UPDATE leads SET name = 'Ben' WHERE name IS NULL")
    again = ran(process)

    assert rows_of(again) == ["1", "2", "3", "4"]
    assert (again.status, again.documents_unchanged) == (RunStatus.COMPLETED, failed.documents_created)
    assert watermark(process).value == "4"


def test_a_cancelled_run_moves_nothing(crm: Crm) -> None:
    stop = Task(
        name="STOP",
        type=TaskType.RUN_SCRIPT,
        stage=Stage.VALIDATION,
        script="return false;",
        on_failure=Then.CANCEL,
    )
    process = asking(crm, tasks=(stop,))
    add(crm, ("1", "Anna", 1))

    assert (ran(process).status, Watermark.objects.exists()) == (RunStatus.CANCELLED, False)


def test_two_runs_of_changes_never_go_on_at_once(crm: Crm) -> None:
    """Whatever the plan says: both would begin at one watermark."""
    process = asking(crm, options=Options(when_busy="allow"))  # type: ignore[arg-type]
    first, second = request_run(process, by=None), request_run(process, by=None)

    assert first.exclusive and second.exclusive
    assert Run.objects.claim_queued(first, owner="one")
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.claim_queued(second, owner="two")


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ({"watermark": "CustomerNumber"}, "definition.watermark", "was taken from the column changed"),
        ({"columns": (*COLUMNS[:2], Column(name="changed"))}, "source.watermark", "holds numbers. Declare it"),
        (
            {"columns": (*COLUMNS[:2], Column(name="changed", type=ValueType.DATE))},
            "source.watermark",
            "“7” is no date for the watermark column changed",
        ),
    ],
)
def test_a_watermark_that_no_longer_fits_fails_the_run_before_anything_is_sent(
    crm: Crm, source: dict[str, Any], code: str, said: str
) -> None:
    process = asking(crm)
    add(crm, ("1", "Anna", 7))
    ran(process)
    add(crm, ("2", "Ben", 8))
    changed_plan(process, **source)

    run = ran(process)

    assert (run.status, run.error_code, run.source_rows) == (RunStatus.FAILED, code, None)
    assert said in run.reason and crm.customers() == [("1", "Anna")]


# ---- what is carried ------------------------------------------------------------------------------------------------


def test_a_document_that_fails_stays_until_it_is_delivered(crm: Crm) -> None:
    process = asking(crm)
    do(crm, "CREATE TRIGGER bad BEFORE INSERT ON customers WHEN NEW.name = 'Ben' BEGIN SELECT RAISE(ABORT, 'no'); END")
    add(crm, ("1", "Anna", 1), ("2", "Ben", 2), ("3", None, 3))
    first = ran(process)
    assert (first.status, watermark(process).value) == (RunStatus.COMPLETED_WITH_ERRORS, "3")
    assert (watermark(process).carried_documents, watermark(process).carried_from) == (2, first)

    add(crm, ("4", "Dan", 4))
    second = ran(process)
    assert rows_of(second) == ["2", "3", "4"]
    assert (second.changes["new_rows"], second.changes["carried_rows"]) == (1, 2)
    assert second.changes["carried_from"] == first.number
    assert (watermark(process).carried_documents, watermark(process).carried_from) == (2, second)

    do(crm, "DROP TRIGGER bad")
    third = ran(process)
    assert rows_of(third) == ["2", "3"] and (third.documents_created, third.documents_failed) == (1, 1)

    add(crm, ("3", "Cara", 5))
    fourth, fifth = ran(process), ran(process)
    assert (rows_of(fourth), fourth.changes["carried_rows"]) == (["3"], 0), "the newer row wins"
    assert (rows_of(fifth), watermark(process).carried) == ([], None)
    assert crm.customers() == [("1", "Anna"), ("2", "Ben"), ("3", "Cara"), ("4", "Dan")]
    assert not StoredFile.objects.filter(name__startswith="Carried").exists()


def test_all_rows_of_a_document_are_carried_and_replaced_together(crm: Crm) -> None:
    process = asking(crm)
    add(crm, ("1", None, 1), ("2", None, 2), ("1", "x", 3), ("2", "y", 4))
    ran(process)
    add(crm, ("2", "Ben", 5))

    run = ran(process)

    assert rows_of(run) == ["1", "1", "2"]
    assert crm.customers() == [("2", "Ben")]
    # Whether its other row is gone or has not changed, nobody can know: so it is told.
    assert (run.changes["fewer_rows"], run.changes["named"]) == (1, ["2"])
    (line,) = LogEntry.objects.filter(run=run, level="warning")
    assert line.message.startswith("Of 1 carried document fewer rows came than had failed (2).")
    assert "of 1 carried document fewer rows came than had failed (2), so look whether they are whole" in _changes(run)


def test_a_document_that_comes_again_with_as_many_rows_is_whole(crm: Crm) -> None:
    process = asking(crm)
    add(crm, ("1", None, 1), ("1", "x", 2))
    ran(process)
    add(crm, ("1", "Anna", 3), ("1", "Anna", 4))

    run = ran(process)
    assert (rows_of(run), run.changes["fewer_rows"]) == (["1", "1"], 0)
    assert not LogEntry.objects.filter(run=run, level="warning").exists()


def test_without_key_fields_the_whole_row_tells_what_comes_again(crm: Crm) -> None:
    process = asking(crm, key_fields=())
    add(crm, ("1", None, 1), ("2", None, 1))
    ran(process)
    with changing(process) as found:
        found.set("changed", "0", by=factories.make_user("set@harwood.test"))
    do(crm, "DELETE FROM leads WHERE number = '2'")

    assert rows_of(ran(process)) == ["2", "1"]


def test_a_failed_run_leaves_what_was_carried(crm: Crm) -> None:
    process = asking(crm)
    add(crm, ("1", None, 1))
    ran(process)
    do(crm, "ALTER TABLE leads RENAME TO gone")
    assert ran(process).status == RunStatus.FAILED
    do(crm, "ALTER TABLE gone RENAME TO leads")

    assert rows_of(ran(process)) == ["1"]


def test_a_column_that_the_carried_rows_lack_fails_the_run(crm: Crm) -> None:
    process = asking(crm)
    add(crm, ("1", None, 1))
    ran(process)
    query = QUERY.replace("changed FROM", "changed, 'x' AS Region FROM")
    changed_plan(process, options={"query": query}, columns=(*COLUMNS, Column(name="Region")))

    run = ran(process)

    assert (run.status, run.error_code) == (RunStatus.FAILED, "source.carried_column")
    assert "without the column Region" in run.reason
    assert watermark(process).carried_documents == 1


def test_a_re_run_reads_the_changes_since_the_watermark_as_it_is_now(crm: Crm) -> None:
    process = asking(crm)
    add(crm, ("1", "Anna", 1), ("2", None, 2))
    first = ran(process)
    add(crm, ("3", "Cara", 3))
    again = rerun(first, by=None)
    perform_next()

    assert rows_of(fresh(again)) == ["2", "3"]


def test_what_is_carried_outlives_the_run_that_left_it(crm: Crm) -> None:
    process = asking(crm, options=Options(keep_days=1))
    add(crm, ("1", None, 1))
    first = ran(process)
    Run.objects.filter(pk=first.pk).update(ended_at=first.ended_at.replace(year=2020))
    assert delete_old_runs() == 1

    run = ran(process)

    assert rows_of(run) == ["1"] and run.changes["carried_from"] is None


# ---- set and reset --------------------------------------------------------------------------------------------------


def test_a_reset_reads_everything_and_carries_nothing(crm: Crm, dora: User) -> None:
    process = asking(crm)
    add(crm, ("1", "Anna", 1), ("2", None, 2))
    ran(process)
    with changing(process) as found:
        found.reset(by=dora)

    run = ran(process)

    assert (rows_of(run), run.changes["since"], run.changes["carried_rows"]) == (["1", "2"], "", 0)


def test_a_value_that_a_person_sets_meanwhile_is_not_moved(
    crm: Crm, dora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = asking(crm)
    add(crm, ("1", "Anna", 1), ("2", None, 2))
    carried_on = performing.carried_on

    def set_meanwhile(*args: Any) -> Any:
        with changing(process) as found:
            found.set("changed", "1", by=dora)
        return carried_on(*args)

    with monkeypatch.context() as patched:
        patched.setattr(performing, "carried_on", set_meanwhile)
        run = ran(process)

    assert (run.status, run.changes["moved"]) == (RunStatus.COMPLETED_WITH_ERRORS, False)
    assert (watermark(process).value, watermark(process).carried_documents) == ("1", 1)


# ---- a worker that dies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["pinned", "in_settle", "carried", "before_finish"])
def test_a_worker_that_dies_loses_nothing_and_sends_nothing_twice(
    crm: Crm, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Between the pin and the end of the run: whoever continues sees the same rows, and only the end moves anything."""
    process = asking(crm)
    add(crm, ("1", None, 1), ("2", "Ben", 2), ("3", "Cara", 3))
    ran(process)
    do(crm, "CREATE TABLE seen (number TEXT)")
    do(crm, "CREATE TRIGGER seen AFTER INSERT ON customers BEGIN INSERT INTO seen VALUES (NEW.customer_number); END")
    add(crm, ("4", "Dan", 4), ("5", None, 5), ("6", "Fay", 6))
    run = request_run(process, by=None)
    dying: dict[str, tuple[Any, str]] = {
        "pinned": (performing, "perform.pinned"),
        "in_settle": (performing.RunJournal, "settle"),
        "carried": (performing, "carried_on"),
        "before_finish": (performing, "perform.before_finish"),
    }
    owner, name = dying[place]

    def dies(*args: Any) -> None:
        if "." not in name or args == (name,):
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, "failpoint" if "." in name else name, dies)
        with pytest.raises(Killed):
            perform_next()
    before = watermark(process)
    assert (before.value, before.carried_documents) == ("3", 1)
    add(crm, ("7", "Gus", 7))
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    perform_next()

    assert (rows_of(fresh(run)), fresh(run).status) == (["1", "4", "5", "6"], RunStatus.COMPLETED_WITH_ERRORS)
    assert [number for (number,) in do(crm, "SELECT number FROM seen ORDER BY 1")] == ["4", "6"]
    assert (watermark(process).value, watermark(process).carried_documents) == ("6", 2)
    assert rows_of(ran(process)) == ["1", "5", "7"]


# ---- other systems --------------------------------------------------------------------------------------------------


ON_POSTGRESQL = [
    (ValueType.DATETIME, "timestamptz", "2026-11-01 10:00:00+00", "2026-11-01 11:30:00+02", "2026-11-02 08:00:00+00"),
    (ValueType.DATE, "date", "2026-11-01", "2026-10-31", "2026-11-02"),
    (ValueType.DECIMAL, "numeric", "9.5", "9", "10.25"),
    (ValueType.INTEGER, "bigint", "9", "8", "10"),
    (ValueType.TEXT, "text", "a%1", "a%0", "a%2"),
]


@pytest.mark.parametrize(("kind", "sql", "at", "before", "after"), ON_POSTGRESQL, ids=[row[1] for row in ON_POSTGRESQL])
def test_postgresql_is_asked_in_its_own_types(
    crm: Crm, company: Company, postgres: Postgres, kind: ValueType, sql: str, at: str, before: str, after: str
) -> None:
    table = f"leads_{sql}"
    server = urlsplit(postgres.url)
    settings = {"host": "127.0.0.1", "port": server.port, "database": server.path[1:], "user": "postgres"}
    there = factories.make_connection(company, "Sales", system="postgresql", sslmode="prefer", **settings)
    query = f'SELECT number AS "CustomerNumber", name AS "Name", changed FROM {table} WHERE name LIKE \'%\''
    process = asking(crm)
    changed_plan(
        process,
        connection=str(there.public_id),
        options={"query": query},
        columns=(*COLUMNS[:2], Column(name="changed", type=kind)),
    )
    with psycopg.connect(postgres.url, autocommit=True) as database:
        database.execute(f"CREATE TABLE {table} (number text, name text, changed {sql})")
        values = f"INSERT INTO {table} VALUES (%s, 'Anna', %s)"
        database.execute(values, ("1", before))
        database.execute(values, ("2", at))
        first = ran(process)
        database.execute(values, ("3", before))
        database.execute(values, ("4", after))
        second = ran(process)
        database.execute(f"DROP TABLE {table}")

    assert (first.status, second.status) == (RunStatus.COMPLETED, RunStatus.COMPLETED), (first.reason, second.reason)
    assert (rows_of(first), rows_of(second)) == (["1", "2"], ["4"])


def test_a_web_service_is_asked_for_what_came_since(crm: Crm, company: Company, service: Service) -> None:  # noqa: F811
    leads = [{"CustomerNumber": "1", "Name": "Anna", "at": "2026-11-01T10:00:00+01:00"}]
    service.reply = lambda path, query: leads
    there = factories.make_connection(company, "Shop", "http", url=service.url, timeout=5)
    process = asking(crm)
    changed_plan(
        process,
        kind="rest",
        connection=str(there.public_id),
        options={"path": "leads?since=[WATERMARK]"},
        columns=(*COLUMNS[:2], Column(name="at", type=ValueType.DATETIME)),
        watermark="at",
    )
    first = ran(process)
    leads[:] = [
        {"CustomerNumber": "2", "Name": "", "at": "2026-11-02T10:00:00+01:00"},
        {"CustomerNumber": "3", "Name": "Cara", "at": "2026-11-02T09:30:00Z"},
    ]
    second = ran(process)
    leads.clear()
    third = ran(process)

    assert [run.status for run in (first, second, third)] == [
        RunStatus.COMPLETED,
        RunStatus.COMPLETED_WITH_ERRORS,
        RunStatus.COMPLETED_WITH_ERRORS,
    ]
    assert service.paths() == [
        "leads?since=",
        "leads?since=2026-11-01T10:00:00%2B01:00",
        "leads?since=2026-11-02T09:30:00Z",
    ]
    assert (rows_of(second), rows_of(third)) == (["2", "3"], ["2"])
    assert crm.customers() == [("1", "Anna"), ("3", "Cara")]
