"""The source is read once the tasks before it are done, with the variables as they leave them, and pinned only once."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.engine.plan import Column, SourceSpec, Stage, Task, TaskType, Then
from integrations.engine.secret import DOTS
from integrations.models import GlobalVariable, LogEntry, Process, Run, RunStatus, StoredFile, TaskDeed
from integrations.models.vault import vault_of
from integrations.runs import perform as performing
from integrations.runs.files import store
from integrations.runs.perform import perform_next
from integrations.runs.preview import first_rows
from integrations.runs.request import request_run, rerun
from tests import factories
from tests.runs.performing import Crm, fresh, process_into
from tests.sftp_server import SftpServer

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = (Column(name="CustomerNumber"), Column(name="Name"))
QUERY = "SELECT number AS CustomerNumber, name AS Name FROM leads WHERE region = [GBL_REGION] ORDER BY number"


class Killed(BaseException):
    """The worker ends here."""


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North")
        yield


@pytest.fixture
def crm(in_company: None, company: Company, tmp_path: Path) -> Crm:
    crm = Crm(company, tmp_path)
    do(crm, "CREATE TABLE leads (number TEXT, name TEXT, region TEXT)")
    do(crm, "INSERT INTO leads VALUES ('1', 'Anna', 'North'), ('2', 'Ben', 'South'), ('3', 'Cara', 'South')")
    return crm


def do(crm: Crm, statement: str) -> list[Any]:
    with closing(sqlite3.connect(crm.path)) as database, database:
        return database.execute(statement).fetchall()


def asking(crm: Crm, *tasks: Task, query: str = QUERY) -> Process:
    source = SourceSpec(
        kind="sql_query", connection=str(crm.connection.public_id), options={"query": query}, columns=COLUMNS
    )
    return process_into(crm, source=source, tasks=tasks)


def pre(name: str, body: str, **more: Any) -> Task:
    return Task(name=name, type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE, script=body, **more)


def ran(process: Process) -> Run:
    run = request_run(process, by=None)
    assert perform_next()
    return fresh(run)


def test_a_task_before_the_source_decides_what_the_query_gives(crm: Crm) -> None:
    run = ran(asking(crm, pre("SOUTH", "this.GBL_REGION = 'South'; return true;")))

    assert (run.status, crm.customers()) == (RunStatus.COMPLETED, [("2", "Ben"), ("3", "Cara")])


def test_what_a_task_writes_into_the_database_is_read(crm: Crm) -> None:
    insert = Task(
        name="ADD",
        type=TaskType.RUN_SQL,
        stage=Stage.INTEGRATION_PRE,
        connection=str(crm.connection.public_id),
        statement="INSERT INTO leads VALUES ('9', 'Dora', [GBL_REGION])",
    )
    ran(asking(crm, insert))

    assert crm.customers() == [("1", "Anna"), ("9", "Dora")]


def test_the_value_of_a_variable_is_never_part_of_the_statement(crm: Crm) -> None:
    GlobalVariable.objects.update(value="' OR '1' = '1")
    run = ran(asking(crm))

    assert (run.status, run.source_rows, crm.customers()) == (RunStatus.COMPLETED, 0, [])


@pytest.mark.parametrize(
    ("then", "status"), [(Then.QUIT, RunStatus.FAILED), (Then.CANCEL, RunStatus.CANCELLED)], ids=["quit", "cancel"]
)
def test_a_task_that_fails_before_the_source_leaves_it_unread(crm: Crm, then: Then, status: str) -> None:
    run = ran(asking(crm, pre("CHECK", "return false;", on_failure=then), query="SELECT * FROM not_there"))

    assert (run.status, run.source_file, run.source_rows) == (status, None, None)
    assert not StoredFile.objects.exists()


def test_a_source_that_cannot_be_read_is_followed_by_the_tasks_of_a_failure(crm: Crm) -> None:
    note = Task(
        name="NOTE",
        type=TaskType.SET_VARIABLE,
        stage=Stage.INTEGRATION_POST_FAILURE,
        variable="GBL_REGION",
        value="failed",
    )
    run = ran(asking(crm, note, query="SELECT * FROM not_there"))

    assert (run.status, run.error_code, run.variables) == (RunStatus.FAILED, "sql.query", {"GBL_REGION": "failed"})


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_resumed_run_repeats_no_task_and_pins_no_second_time(
    crm: Crm, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The worker dies just before, or just after, the rows are pinned."""
    tasks = (
        Task(
            name="LOG",
            type=TaskType.RUN_SQL,
            stage=Stage.INTEGRATION_PRE,
            connection=str(crm.connection.public_id),
            statement="INSERT INTO leads VALUES ('5', 'Eve', [GBL_REGION])",
        ),
    )
    run = request_run(asking(crm, *tasks), by=None)
    open_pinned = performing.open_pinned

    def dies(*args: Any) -> Any:
        if place == "after":
            open_pinned(*args).close()
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(performing, "open_pinned", dies)
        with pytest.raises(Killed):
            perform_next()
    pinned = fresh(run).source_file
    if place == "after":
        do(crm, "DELETE FROM leads")
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    perform_next()

    run = fresh(run)
    assert (run.status, crm.customers()) == (RunStatus.COMPLETED, [("1", "Anna"), ("5", "Eve")])
    assert TaskDeed.objects.filter(run=run).count() == 1
    assert (pinned is not None) == (place == "after") and (pinned is None or run.source_file == pinned)
    assert StoredFile.objects.count() == 1


def test_a_re_run_asks_the_query_anew(crm: Crm) -> None:
    run = ran(asking(crm))
    do(crm, "INSERT INTO leads VALUES ('4', 'Dan', 'North')")
    again = rerun(run, by=None)
    perform_next()

    assert fresh(again).source_rows == 2


def test_scripts_see_a_column_that_only_the_real_file_has(crm: Crm, company: Company) -> None:
    process = process_into(
        crm,
        tasks=(
            pre("BEGIN", "return true;"),
            Task(
                name="SEE",
                type=TaskType.RUN_SCRIPT,
                stage=Stage.DOCUMENT_PRE,
                script="return this['_City'] === 'Lyon';",
            ),
        ),
    )
    file = store(company, io.BytesIO(b"City,CustomerNumber,Name\nLyon,1,Anna\nBonn,2,Ben\n"), name="c.csv", by=None)
    run = request_run(process, by=None, file=file)
    perform_next()

    assert (fresh(run).documents_created, fresh(run).documents_failed) == (1, 1)


# ---- file names -----------------------------------------------------------------------------------------------------


def fetching(crm: Crm, company: Company, folder: Path, pattern: str = "leads_[GBL_REGION].csv") -> Process:
    folder.mkdir(exist_ok=True)
    door = factories.make_connection(company, "In-tray", "folder", path=str(folder))
    source = SourceSpec(kind="delimited", connection=str(door.public_id), options={"pattern": pattern}, columns=COLUMNS)
    return process_into(crm, source=source)


def test_a_variable_names_the_file_that_is_fetched(crm: Crm, company: Company, tmp_path: Path) -> None:
    process = fetching(crm, company, tmp_path / "in")
    for region in ("North", "South"):
        (tmp_path / "in" / f"leads_{region}.csv").write_text(f"CustomerNumber,Name\n7,{region}\n")

    assert (ran(process).status, crm.customers()) == (RunStatus.COMPLETED, [("7", "North")])


def test_the_one_file_that_matches_is_fetched_from_an_sftp_server(crm: Crm, company: Company, tmp_path: Path) -> None:
    (there := tmp_path / "bank").mkdir()
    (there / "leads_North.csv").write_text("CustomerNumber,Name\n7,North\n")
    with SftpServer(there) as server:
        door = factories.make_connection(
            company,
            "Bank",
            "sftp",
            host="127.0.0.1",
            port=server.port,
            user=server.user,
            fingerprint=server.fingerprint,
        )
        door.seal_secret("password", server.password)
        door.save()
        options = {"pattern": "leads_*.csv"}
        source = SourceSpec(kind="delimited", connection=str(door.public_id), options=options, columns=COLUMNS)
        process = process_into(crm, source=source)
        well = ran(process)
        (there / "leads_South.csv").write_text("CustomerNumber,Name\n8,South\n")
        too_many = ran(process)

    assert (well.status, crm.customers()) == (RunStatus.COMPLETED, [("7", "North")]), well.reason
    assert well.source_file is not None and well.source_file.name == "leads_North.csv"
    assert (too_many.status, too_many.error_code) == (RunStatus.FAILED, "source.many_files")
    assert server.password not in str(list(LogEntry.objects.values_list("message", flat=True)))


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("../../secret", "source.path", "GBL_REGION is “../../secret”, which would lead out of the folder"),
        ("a/b", "source.path", "correct the variable"),
        ("*", "source.no_file", "No file matches"),
    ],
)
def test_a_value_leads_out_of_no_folder_and_matches_only_itself(
    crm: Crm, company: Company, tmp_path: Path, value: str, code: str, said: str
) -> None:
    process = fetching(crm, company, tmp_path / "in")
    (tmp_path / "in" / "leads_North.csv").write_text("CustomerNumber,Name\n7,North\n")
    GlobalVariable.objects.update(value=value)

    run = ran(process)

    assert (run.status, run.error_code) == (RunStatus.FAILED, code)
    assert said in run.reason and run.source_rows is None


# ---- names and previews ---------------------------------------------------------------------------------------------


def test_a_preview_asks_with_the_values_that_a_run_would_begin_with(crm: Crm) -> None:
    process = asking(crm)

    assert first_rows(process, process.drafted.source) == (("CustomerNumber", "Name"), [["1", "Anna"]])


def test_a_variable_that_was_deleted_fails_the_run_before_anything_is_read(crm: Crm) -> None:
    process = asking(crm)
    GlobalVariable.objects.all().delete()

    run = ran(process)

    assert (run.status, run.error_code, run.source_file) == (RunStatus.FAILED, "definition.variable", None)
    assert run.reason.startswith("The query of the source uses GBL_REGION, and there is no such global variable.")


def test_a_secure_value_is_asked_with_and_never_comes_back(crm: Crm, company: Company) -> None:
    sealed = vault_of(company).sealed("GBL_REGION", "South-Secret")
    GlobalVariable.objects.update(value=sealed, is_secure=True)
    do(crm, "INSERT INTO leads VALUES ('8', 'Hal', 'South-Secret')")
    process = asking(crm, query=QUERY.replace("name AS Name", "[GBL_REGION] || name AS Name"))

    assert first_rows(process, process.drafted.source)[1] == [["8", f"{DOTS}Hal"]]
    assert (ran(process).status, crm.customers()) == (RunStatus.COMPLETED, [("8", f"{DOTS}Hal")])
