"""However a run ends: its tasks follow with their scripts, none twice, and what a task meets ends neither run nor account."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Company, User
from integrations.engine.errors import AdministratorError
from integrations.engine.plan import (
    ColumnType,
    FieldMap,
    Line,
    Lookup,
    Match,
    Options,
    ParentData,
    Stage,
    Task,
    TaskType,
    Then,
)
from integrations.engine.ports import TaskEnd
from integrations.models import GlobalVariable, ProcessVersion, Run, RunStatus
from integrations.runs import tasks as tasks_module
from integrations.runs.journal import RunJournal
from integrations.runs.perform import perform_next
from integrations.runs.request import request_cancel
from integrations.runs.tasks import RunTasks
from tests.runs.performing import Crm, fresh, performed, process_into, requested
from tests.runs.test_tasks import script

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]

SEEN = "GBL_SEEN"
MANY = "1,\n" + "".join(f"{n},Anna\n" for n in range(2, 2_500))
"""More documents than are mapped ahead, of which the first is refused."""


@pytest.fixture(autouse=True)
def seen(in_company: None, company: Company) -> None:
    GlobalVariable.objects.create(company=company, name=SEEN)


class Killed(BaseException):
    """The worker ends here, as by kill -9."""


@pytest.mark.parametrize("how", ["cancelled", "too_many_errors"])
def test_tasks_with_scripts_follow_a_run_that_ended_while_more_was_being_mapped(
    crm: Crm, omar: User, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    tell = script("TELL", Stage.INTEGRATION_POST_ALWAYS, f"this.{SEEN} = 'told'; return true;")
    stop_after = 1 if how == "too_many_errors" else 0
    process = process_into(crm, batch_documents=1, tasks=(tell,), options=Options(stop_after=stop_after))
    version = process.newest_version
    assert version is not None
    (line,) = version.plan.lines
    plan = replace(version.plan, lines=(replace(line, restriction="return true;"),))
    ProcessVersion.objects.filter(pk=version.pk).update(plan_json=plan.to_json())
    run = requested(process, MANY)
    if how == "cancelled":
        settle = RunJournal.settle

        def settles(self: RunJournal, segment: Any) -> None:
            settle(self, segment)
            if segment.number == 3:
                request_cancel(run, by=omar)

        monkeypatch.setattr(RunJournal, "settle", settles)
    perform_next()

    run = fresh(run)
    assert run.error_code == how, run.reason
    assert run.variables == {SEEN: "told"} and run.is_balanced
    assert run.task_ends["integration_post_always/TELL"]["done"] == 1


@pytest.mark.parametrize("stage", [Stage.DOCUMENT_POST_SUCCESS, Stage.INTEGRATION_POST_SUCCESS])
def test_whatever_a_task_meets_is_a_failed_task(crm: Crm, monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    def no_room(*_: Any, **__: Any) -> Any:
        raise AdministratorError("There is no room for the rows.")

    monkeypatch.setattr(tasks_module, "spool_parent_rows", no_room)
    child = process_into(crm, process="CHILD")
    follow = Task(
        name="FOLLOW",
        type=TaskType.RUN_INTEGRATION,
        stage=stage,
        integration=str(child.public_id),
        parent_data=ParentData.ALL,
        on_failure=Then.NEXT,
    )
    always = script("ALWAYS", Stage.INTEGRATION_POST_ALWAYS, "return true;")
    run = performed(process_into(crm, batch_documents=1, tasks=(follow, always)), "1,Anna\n2,Ben\n")

    assert (run.status, run.documents_created, run.documents_held) == (RunStatus.COMPLETED, 2, 0)
    ends = run.task_ends[f"{stage}/FOLLOW"]
    assert ends["failed"] and ends["said"] == "There is no room for the rows."
    assert run.task_ends["integration_post_always/ALWAYS"]["done"] == 1


@pytest.mark.parametrize(("ends_well", "then"), [(True, {"on_success": Then.QUIT}), (False, {"on_failure": Then.QUIT})])
def test_a_task_that_quit_behind_everything_is_not_done_again_by_the_next_worker(
    crm: Crm, monkeypatch: pytest.MonkeyPatch, ends_well: bool, then: dict[str, Then]
) -> None:
    answer = "true" if ends_well else "false"
    count = script("COUNT", Stage.INTEGRATION_POST_SUCCESS, f"this.{SEEN} += 'x'; return {answer};", **then)
    last = script("LAST", Stage.INTEGRATION_POST_ALWAYS, "return true;")
    run = requested(process_into(crm, tasks=(count, last)), "1,Anna\n")
    at = RunTasks.at

    def dies(self: RunTasks, stage: Stage, document: Any = None) -> TaskEnd:
        if stage is Stage.INTEGRATION_POST_ALWAYS:
            raise Killed
        return at(self, stage, document)

    with monkeypatch.context() as patched:
        patched.setattr(RunTasks, "at", dies)
        with pytest.raises(Killed):
            perform_next()
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(hours=1))
    perform_next()

    run = fresh(run)
    assert run.variables == {SEEN: "x"}
    ended = run.task_ends["integration_post_success/COUNT"]
    assert ended["done"] + ended["failed"] == 1
    assert run.status == (RunStatus.COMPLETED if ends_well else RunStatus.COMPLETED_WITH_ERRORS)


def test_a_refusal_of_the_destination_is_told_without_a_doubt_that_nobody_has(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    from integrations.connectors.sql.destination import SqlDestination

    def gone(*_: Any) -> Any:
        raise AdministratorError("The table is gone.")

    monkeypatch.setattr(SqlDestination, "deliver", gone)
    run = performed(process_into(crm), "1,Anna\n")
    assert (run.status, run.reason, run.sending_segment) == (RunStatus.FAILED, "The table is gone.", None)


def test_a_destination_that_is_away_is_told_by_the_tasks_behind_everything(crm: Crm) -> None:
    failure = script("FAILURE", Stage.INTEGRATION_POST_FAILURE, f"this.{SEEN} += 'failed '; return true;")
    always = script("ALWAYS", Stage.INTEGRATION_POST_ALWAYS, f"this.{SEEN} += 'told'; return true;")
    process = process_into(crm, tasks=(failure, always))
    crm.path.unlink()
    run = performed(process, "1,Anna\n")
    assert (run.status, run.source_rows, run.variables) == (RunStatus.FAILED, None, {SEEN: "failed told"}), run.reason


def test_a_task_before_everything_may_make_what_a_lookup_looks_into(crm: Crm) -> None:
    key = str(crm.connection.public_id)
    make = Task(
        name="MAKE",
        type=TaskType.RUN_SQL,
        stage=Stage.INTEGRATION_PRE,
        connection=key,
        statement="CREATE TABLE made AS SELECT 'Anna' AS k, 'Anna of ours' AS v",
    )
    how = Lookup(connection=key, table="made", matches=(Match(field="k", column="Name"),), result="v")
    line = Line(
        name="Customer",
        target="customers",
        keys=("customer_number",),
        fields=(
            FieldMap(target="customer_number", value="CustomerNumber"),
            FieldMap(target="name", column_type=ColumnType.LOOKUP, lookup=how),
        ),
    )
    run = performed(process_into(crm, tasks=(make,), lines=(line,)), "1,Anna\n")
    assert (run.status, crm.customers()) == (RunStatus.COMPLETED, [("1", "Anna of ours")]), run.reason
