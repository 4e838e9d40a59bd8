"""Variables and tasks in real runs: where values come from, what tasks do, and what a killed run carries on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine import execute
from integrations.engine.plan import ColumnType, FieldMap, Keep, Line, ParentData, Stage, Task, TaskType, Then, Variable
from integrations.models import DocumentOutcome, GlobalVariable, LogEntry, Process, ProcessVersion, Run, RunStatus
from integrations.runs import facts
from integrations.runs.perform import perform_next
from integrations.runs.request import request_cancel
from integrations.runs.tasks import RunTasks
from tests.runs.performing import Crm, fresh, performed, process_into, requested
from tests.runs.test_perform import after_segment, log_of

pytestmark = pytest.mark.django_db(transaction=True)

FOUR = "00001,Anna\n00002,\n00003,Cara\n00004,\n"
FAILED = "GBL_FAILED_CUSTOMERS"


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name=FAILED, value="")
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North")
        yield


def script(name: str, stage: Stage, body: str, **more: Any) -> Task:
    return Task(name=name, type=TaskType.RUN_SCRIPT, stage=stage, script=body, **more)


RESET = script("RESET_FAILED_RECORDS", Stage.INTEGRATION_PRE, f"this.{FAILED} = ''; return true;")
COLLECT = script(
    "UPDATE_FAILED_RECORDS",
    Stage.DOCUMENT_POST_FAILURE,
    f"this.{FAILED} = this.{FAILED} + this._CustomerNumber + '|'; return true;",
)
COUNT = "this.GBL_REGION = this.GBL_REGION + '+'; return true;"


def test_tasks_collect_the_failed_documents_in_a_variable(crm: Crm) -> None:
    run = performed(process_into(crm, tasks=(RESET, COLLECT)), FOUR)
    assert run.variables == {FAILED: "00002|00004|", "GBL_REGION": "North"}
    assert (run.status, run.documents_created, run.documents_failed) == (RunStatus.COMPLETED_WITH_ERRORS, 2, 2)
    assert GlobalVariable.objects.get(name=FAILED).value == "", "the company's own value is not touched"


def test_a_value_comes_from_the_company_then_the_process(crm: Crm) -> None:
    own = (Variable(name="GBL_REGION", value="South"),)
    inherits = performed(process_into(crm, process="INHERITS"), "00001,Anna\n")
    overrides = performed(process_into(crm, process="OVERRIDES", variables=own), "00002,Ben\n")
    assert (inherits.variables["GBL_REGION"], overrides.variables["GBL_REGION"]) == ("North", "South")


def counting(keep: Keep, body: str = "return true;") -> dict[str, Any]:
    add = script("ADD", Stage.INTEGRATION_PRE, f"this.{FAILED} = this.{FAILED} + 'x'; {body}", on_failure=Then.QUIT)
    return {"tasks": (add,), "variables": (Variable(name=FAILED, keep=keep),)}


@pytest.mark.parametrize(("keep", "values"), [(Keep.NEVER, ["x", "x"]), (Keep.ON_SUCCESS, ["x", "xx"])])
def test_a_value_is_kept_for_later_runs_only_where_the_process_says_so(crm: Crm, keep: Keep, values: list[str]) -> None:
    process = process_into(crm, **counting(keep))
    assert [performed(process, "00001,Anna\n").variables[FAILED] for _ in values] == values


@pytest.mark.parametrize(("keep", "kept"), [(Keep.ON_SUCCESS, {}), (Keep.ALWAYS, {FAILED: "xx"})])
def test_a_failed_run_leaves_its_value_only_where_it_always_does(crm: Crm, keep: Keep, kept: dict[str, str]) -> None:
    process = process_into(
        crm,
        tasks=(
            script("ADD", Stage.INTEGRATION_PRE, f"this.{FAILED} = 'xx'; return true;"),
            script("STOP", Stage.INTEGRATION_PRE, "return false;"),
        ),
        variables=(Variable(name=FAILED, keep=keep),),
    )
    assert performed(process, "00001,Anna\n").status == RunStatus.FAILED
    assert Process.objects.get(pk=process.pk).kept_values == kept


def test_a_field_takes_a_variable_as_the_tasks_before_it_left_it(crm: Crm) -> None:
    process = process_into(crm, tasks=(script("COUNT", Stage.DOCUMENT_POST_SUCCESS, COUNT),))
    plan = process.newest_version.plan
    field = FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_REGION", required=True)
    line = replace(plan.lines[0], fields=(plan.lines[0].fields[0], field))
    ProcessVersion.objects.filter(process=process).update(plan_json=replace(plan, lines=(line,)).to_json())

    run = performed(process, FOUR)

    assert crm.customers() == [("00001", "North"), ("00002", "North+"), ("00003", "North++"), ("00004", "North+++")]
    assert "write what a later one reads (GBL_REGION)" in run.batching


def test_set_variable_fills_in_other_variables(crm: Crm) -> None:
    task = Task(
        name="SET",
        type=TaskType.SET_VARIABLE,
        stage=Stage.INTEGRATION_PRE,
        variable=FAILED,
        value="region [GBL_REGION]!",
    )
    assert performed(process_into(crm, tasks=(task,)), "00001,Anna\n").variables[FAILED] == "region North!"


def test_a_condition_that_is_not_met_skips_its_task_and_the_log_says_so(crm: Crm) -> None:
    skipped = script("NEVER", Stage.INTEGRATION_PRE, "return false;", condition="return this.GBL_REGION === 'South';")
    run = performed(process_into(crm, tasks=(skipped,)), "00001,Anna\n")
    assert run.status == RunStatus.COMPLETED
    assert "NEVER was skipped: its condition is not met." in log_of(run)


def test_a_pre_task_that_fails_ends_the_run_before_anything_is_read(crm: Crm) -> None:
    check = script("CHECK", Stage.INTEGRATION_PRE, "return false;")
    run = performed(process_into(crm, tasks=(check,)), FOUR)
    assert (run.status, run.error_code, run.source_rows) == (RunStatus.FAILED, "task.failed", None)
    assert run.reason == "CHECK failed: its script returned false. It quits here. Nothing was sent."
    assert crm.customers() == []


def test_a_task_that_fails_and_goes_on_is_recorded(crm: Crm) -> None:
    check = script("CHECK", Stage.INTEGRATION_PRE, "return nothing.at.all;", on_failure=Then.NEXT)
    run = performed(process_into(crm, tasks=(check,)), "00001,Anna\n")
    assert run.status == RunStatus.COMPLETED
    assert any(line.startswith("CHECK failed: The script of CHECK failed at line 1") for line in log_of(run))


def test_a_document_whose_follow_up_failed_stays_delivered_and_is_shown_for_repair(crm: Crm) -> None:
    notify = script("NOTIFY", Stage.DOCUMENT_POST_SUCCESS, "return this._Name !== 'Cara';")
    run = performed(process_into(crm, tasks=(notify,)), "00001,Anna\n00003,Cara\n")
    assert (run.status, run.documents_created, run.follow_ups) == (RunStatus.COMPLETED_WITH_ERRORS, 2, 1)
    assert run.is_balanced and len(crm.customers()) == 2
    outcome = DocumentOutcome.objects.get(run=run)
    assert (outcome.key, outcome.bucket, outcome.stage) == ("00003", "created", "document_post_success")
    assert outcome.sentence == "NOTIFY failed: its script returned false. It quits here."


def test_what_scripts_see_of_the_run_is_what_the_ledger_says(crm: Crm) -> None:
    body = "this.GBL_REGION = [this.run.process, this.run.created, this.run.failed, this.run.lastError]; return true;"
    behind = script("LOOK", Stage.DOCUMENT_POST_FAILURE, body)
    run = performed(process_into(crm, tasks=(behind,)), "00001,Anna\n00002,\n00003,Cara\n")
    process, created, failed, error = run.variables["GBL_REGION"]
    assert (process, created, failed) == ("CUSTOMERS_TO_CRM", 1, 0), "as the ledger stood when document 2 failed"
    assert error.startswith("Name is blank in row 2")
    assert run.batching == "Document by document: the tasks behind a document look at the counts of the run."


KEYS = "this.GBL_REGION = [this.run.succeededKeys, this.run.failedKeys]; return true;"
BEHIND = [
    (Stage.INTEGRATION_PRE, [[], []]),
    (Stage.DOCUMENT_POST_FAILURE, [["00001", "00003"], ["00002"]]),
    (Stage.INTEGRATION_POST_FAILURE, [["00001", "00003"], ["00002", "00004"]]),
    (Stage.INTEGRATION_POST_ALWAYS, [["00001", "00003"], ["00002", "00004"]]),
]


@pytest.mark.parametrize(("stage", "keys"), BEHIND)
def test_scripts_of_tasks_know_the_keys_that_succeeded_and_failed_so_far(
    crm: Crm, stage: Stage, keys: list[list[str]]
) -> None:
    run = performed(process_into(crm, tasks=(script("LOOK", stage, KEYS),)), FOUR)
    assert run.variables["GBL_REGION"] == keys


def test_more_keys_than_a_script_may_hold_fail_its_task_with_a_sentence(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "MOST_KEYS", 1)
    run = performed(process_into(crm, tasks=(script("LOOK", Stage.INTEGRATION_POST_ALWAYS, KEYS),)), FOUR)
    said = "LOOK failed: this.run.succeededKeys would be more than 1 keys. Use data from parent, or count them."
    assert [sentence for sentence in log_of(run) if "LOOK" in sentence] == [f"{said} It quits here."]


def test_an_unknown_variable_fails_the_run_before_anything_is_read(crm: Crm) -> None:
    run = requested(process_into(crm, tasks=(COLLECT,)), FOUR)
    GlobalVariable.objects.get(name=FAILED).delete()
    perform_next()
    run = fresh(run)
    assert (run.status, run.error_code, run.source_rows) == (RunStatus.FAILED, "definition.variable", None)
    assert run.reason.startswith(f"Task UPDATE_FAILED_RECORDS uses {FAILED}, and there is no such global variable.")


def test_two_runs_never_see_each_others_values(crm: Crm) -> None:
    first = performed(process_into(crm, process="FIRST", tasks=(COLLECT,)), FOUR)
    second = performed(process_into(crm, process="SECOND", tasks=(COLLECT,)), "00009,\n")
    assert (first.variables[FAILED], second.variables[FAILED]) == ("00002|00004|", "00009|")


class Killed(BaseException):
    """The worker ends here, as by kill -9."""


def test_a_killed_run_carries_its_variables_on_and_repeats_no_task(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    once = script("ONCE", Stage.INTEGRATION_PRE, f"this.{FAILED} = this.{FAILED} + 'begun|'; return true;")
    run = requested(process_into(crm, tasks=(once, COLLECT)), FOUR)

    def kill() -> None:
        raise Killed

    after_segment(1, monkeypatch, kill)
    with pytest.raises(Killed):
        perform_next()
    monkeypatch.undo()
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    assert fresh(run).variables[FAILED] == "begun|00002|"
    perform_next()
    assert fresh(run).variables[FAILED] == "begun|00002|00004|"
    assert sum("ONCE is done." in line for line in log_of(run)) == 1


def test_post_tasks_follow_the_end_of_the_run(crm: Crm, omar: User) -> None:
    tasks = tuple(
        script(name, stage, f"this.{FAILED} = this.{FAILED} + '{name}|'; return true;")
        for name, stage in (
            ("WELL", Stage.INTEGRATION_POST_SUCCESS),
            ("NOT_WELL", Stage.INTEGRATION_POST_FAILURE),
            ("ALWAYS", Stage.INTEGRATION_POST_ALWAYS),
        )
    )
    good = performed(process_into(crm, process="GOOD", tasks=tasks), "00001,Anna\n", by=omar)
    bad = performed(process_into(crm, process="BAD", tasks=tasks), FOUR, by=omar)
    assert (good.variables[FAILED], bad.variables[FAILED]) == ("WELL|ALWAYS|", "NOT_WELL|ALWAYS|")


def test_a_restriction_reads_a_variable(crm: Crm) -> None:
    process = process_into(crm)
    plan = process.newest_version.plan
    (line,) = plan.lines
    restricted = Line(**{**line.__dict__, "restriction": "return this.GBL_REGION === 'North' && this._Name !== 'Ben';"})
    run = performed(process_into(crm, process="RESTRICTED", lines=(restricted,)), "00001,Anna\n00002,Ben\n")
    assert (run.documents_created, run.documents_restricted) == (1, 1)
    assert LogEntry.objects.filter(run=run, level="warning").count() == 0


# ---- Run Integration ---------------------------------------------------------------------------------------------


def run_integration(name: str, stage: Stage, process: Process, **more: Any) -> Task:
    return Task(name=name, type=TaskType.RUN_INTEGRATION, stage=stage, integration=str(process.public_id), **more)


def children_of(run: Run) -> list[Run]:
    return list(Run.objects.filter(parent=run).order_by("pk"))


@pytest.fixture
def second(crm: Crm, company: Company, tmp_path: Path) -> Crm:
    """Another system, which the child writes to."""
    folder = tmp_path / "second"
    folder.mkdir()
    return Crm(company, folder, name="SOURCE SYSTEM")


@pytest.mark.parametrize(
    ("data", "updated"),
    [
        (ParentData.ALL, ["00001", "00003"]),
        (ParentData.SUCCEEDED, ["00001", "00003"]),
        (ParentData.FAILED, []),
    ],
)
def test_a_child_reads_the_documents_of_its_parent_that_ended_so(
    crm: Crm, second: Crm, data: ParentData, updated: list[str]
) -> None:
    child = process_into(second, process="CHILD")
    behind = run_integration("NOTIFY", Stage.INTEGRATION_POST_ALWAYS, child, parent_data=data)
    run = performed(process_into(crm, tasks=(behind,)), FOUR)
    (its,) = children_of(run)
    assert its.source_documents == {"all": 4, "succeeded": 2, "failed": 2}[data]
    assert [number for number, _ in second.customers()] == updated
    assert its.trigger == "parent" and its.is_balanced


def test_the_story_of_the_failed_customers(crm: Crm, second: Crm) -> None:
    """The source document's five steps: one of three is refused, the child updates the other two."""
    skip = f"return this.{FAILED}.split('|').indexOf(this._CustomerNumber) === -1;"
    (line,) = process_into(second, process="SHAPE").newest_version.plan.lines
    child = process_into(second, process="UPDATE_SOURCE", lines=(replace(line, restriction=skip),))
    how = {"parent_data": ParentData.ALL, "use_variables": True}
    tasks = (
        RESET,
        COLLECT,
        run_integration("NOTIFY_NS_OF_SUCCESS_S", Stage.INTEGRATION_POST_SUCCESS, child, **how),
        run_integration("NOTIFY_NS_OF_SUCCESS_F", Stage.INTEGRATION_POST_FAILURE, child, **how),
    )
    run = performed(process_into(crm, tasks=tasks), "00001,Anna\n00002,\n00003,Cara\n")
    (its,) = children_of(run)
    assert (run.source_documents, run.documents_created, run.documents_failed) == (3, 2, 1)
    assert (its.status, its.documents_created, its.documents_restricted) == (RunStatus.COMPLETED, 2, 1)
    assert [number for number, _ in second.customers()] == ["00001", "00003"]


def test_the_same_story_without_a_script(crm: Crm, second: Crm) -> None:
    child = process_into(second, process="UPDATE_SOURCE")
    behind = run_integration("NOTIFY", Stage.INTEGRATION_POST_ALWAYS, child, parent_data=ParentData.SUCCEEDED)
    performed(process_into(crm, tasks=(behind,)), "00001,Anna\n00002,\n00003,Cara\n")
    assert [number for number, _ in second.customers()] == ["00001", "00003"]


def test_a_document_runs_an_integration_of_its_own(crm: Crm, second: Crm) -> None:
    child = process_into(second, process="CHILD")
    behind = run_integration("EACH", Stage.DOCUMENT_POST_SUCCESS, child, parent_data=ParentData.ALL)
    run = performed(process_into(crm, tasks=(behind,)), FOUR)
    assert [its.source_documents for its in children_of(run)] == [1, 1]
    assert [number for number, _ in second.customers()] == ["00001", "00003"]


def test_a_child_that_does_not_end_well_is_a_failed_task(crm: Crm, second: Crm) -> None:
    child = process_into(second, process="CHILD")
    behind = run_integration("NOTIFY", Stage.INTEGRATION_POST_SUCCESS, child, parent_data=ParentData.ALL)
    second.connection.delete()
    run = performed(process_into(crm, tasks=(behind,)), "00001,Anna\n")
    assert run.status == RunStatus.COMPLETED_WITH_ERRORS
    assert run.reason.startswith("NOTIFY failed: run ") and "ended Failed" in run.reason
    assert run.documents_created == 1


def test_a_child_hands_its_variables_back_only_where_it_should(crm: Crm, second: Crm) -> None:
    write = script("WRITE", Stage.INTEGRATION_PRE, f"this.{FAILED} = this.{FAILED} + 'child'; return true;")
    child = process_into(second, process="CHILD", tasks=(write,))
    start = script("START", Stage.INTEGRATION_PRE, f"this.{FAILED} = 'parent '; return true;")
    for hand_back, value in ((False, "parent "), (True, "parent child")):
        behind = run_integration(
            "NOTIFY",
            Stage.INTEGRATION_POST_ALWAYS,
            child,
            parent_data=ParentData.ALL,
            use_variables=True,
            hand_back=hand_back,
        )
        process = process_into(crm, process=f"PARENT_{hand_back}", tasks=(start, behind))
        assert performed(process, "00001,Anna\n").variables[FAILED] == value


def test_a_child_whose_columns_are_not_the_parents_fails_and_names_the_column(crm: Crm, second: Crm) -> None:
    (line,) = process_into(second, process="SHAPE").newest_version.plan.lines
    fields = (*line.fields[:1], replace(line.fields[1], value="Full Name"))
    child = process_into(second, process="CHILD", lines=(replace(line, fields=fields),))
    behind = run_integration("NOTIFY", Stage.INTEGRATION_POST_ALWAYS, child, parent_data=ParentData.ALL)
    run = performed(process_into(crm, tasks=(behind,)), "00001,Anna\n")
    (its,) = children_of(run)
    assert its.status == RunStatus.FAILED and "no column “Full Name”" in its.reason


def test_a_child_of_a_run_that_read_nothing_gets_no_rows(crm: Crm, second: Crm) -> None:
    """Nothing of the parent was created, so nothing may be marked as created."""
    stop = script("STOP", Stage.INTEGRATION_PRE, "return false;")
    child = process_into(second, process="CHILD")
    behind = run_integration("NOTIFY", Stage.INTEGRATION_POST_FAILURE, child, parent_data=ParentData.ALL)
    run = performed(process_into(crm, tasks=(stop, behind)), FOUR)
    (its,) = children_of(run)
    assert (run.status, its.source_documents, second.customers()) == (RunStatus.FAILED, 0, [])


def test_the_run_tells_how_its_tasks_ended(crm: Crm, second: Crm) -> None:
    child = process_into(second, process="CHILD")
    never = script("NEVER", Stage.INTEGRATION_PRE, "return true;", condition="return false;")
    picky = script("PICKY", Stage.DOCUMENT_POST_SUCCESS, "return this._Name !== 'Cara';")
    behind = run_integration("NOTIFY", Stage.INTEGRATION_POST_ALWAYS, child, parent_data=ParentData.SUCCEEDED)
    run = performed(process_into(crm, tasks=(never, COLLECT, picky, behind)), FOUR)
    (its,) = children_of(run)
    assert run.task_ends == {
        "integration_pre/NEVER": {"done": 0, "failed": 0, "skipped": 1, "said": ""},
        "document_post_failure/UPDATE_FAILED_RECORDS": {"done": 2, "failed": 0, "skipped": 0, "said": ""},
        "document_post_success/PICKY": {"done": 1, "failed": 1, "skipped": 0, "said": "its script returned false."},
        "integration_post_always/NOTIFY": {"done": 1, "failed": 0, "skipped": 0, "said": "", "run": its.number},
    }


def test_a_run_with_tasks_at_its_documents_hears_a_cancel_between_them(
    crm: Crm, omar: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "LOOK_UP_SECONDS", 0.0)
    slow = script("SLOW", Stage.DOCUMENT_PRE, "return true;")
    run = requested(process_into(crm, tasks=(slow,), batch_documents=1_000), FOUR)
    done = RunTasks.at
    seen: list[str] = []

    def at(tasks: RunTasks, stage: Stage, document: Any = None) -> Any:
        seen.append(document.key if document else "")
        if len(seen) == 2:
            request_cancel(run, by=omar)
        return done(tasks, stage, document)

    monkeypatch.setattr(RunTasks, "at", at)
    perform_next()
    run = fresh(run)
    assert (run.status, run.documents_held, crm.customers()) == (RunStatus.CANCELLED, 4, [])
    assert seen == ["00001", "00003"], "only what can be sent has its tasks done, and no more after the cancel"


def test_an_integration_in_the_trash_is_called_by_its_name(crm: Crm, second: Crm) -> None:
    child = process_into(second, process="CHILD")
    process = process_into(crm, tasks=(run_integration("NOTIFY", Stage.INTEGRATION_POST_ALWAYS, child),))
    Process.objects.filter(pk=child.pk).update(trashed_at="2026-01-01T00:00:00Z")
    assert "CHILD lies in the trash. Restore it" in performed(process, "00001,Anna\n").reason


def test_an_integration_that_is_gone_is_a_failed_task(crm: Crm, second: Crm) -> None:
    child = process_into(second, process="CHILD")
    behind = run_integration("NOTIFY", Stage.INTEGRATION_POST_ALWAYS, child)
    process = process_into(crm, tasks=(behind,))
    child.versions.all().delete()
    child.delete()
    run = performed(process, "00001,Anna\n")
    assert "the integration to run no longer exists" in run.reason


@pytest.mark.parametrize(
    ("stage", "cancelled_after", "started"),
    [
        (Stage.INTEGRATION_POST_ALWAYS, 1, [RunStatus.COMPLETED]),
        (Stage.INTEGRATION_POST_ALWAYS, 2, [RunStatus.COMPLETED]),
        (Stage.INTEGRATION_POST_FAILURE, 1, []),
        (Stage.INTEGRATION_POST_FAILURE, 2, []),
    ],
)
def test_a_cancelled_run_ends_and_starts_no_integration_but_that_of_every_case(
    crm: Crm, second: Crm, monkeypatch: pytest.MonkeyPatch, stage: Stage, cancelled_after: int, started: list[RunStatus]
) -> None:
    behind = run_integration("NOTIFY", stage, process_into(second, process="CHILD"), parent_data=ParentData.SUCCEEDED)
    run = requested(process_into(crm, tasks=(behind,)), FOUR)
    after_segment(cancelled_after, monkeypatch, lambda: request_cancel(run, by=None))
    assert perform_next()
    assert fresh(run).status == (RunStatus.CANCELLED if cancelled_after == 1 else RunStatus.COMPLETED_WITH_ERRORS)
    assert [child.status for child in children_of(run)] == started


def test_texts_and_scripts_at_every_place_know_the_run(crm: Crm, omar: User) -> None:
    told = Task(
        name="TELL",
        type=TaskType.SET_VARIABLE,
        stage=Stage.INTEGRATION_POST_ALWAYS,
        variable="GBL_REGION",
        value="[run.number] [run.process] [run.user] [run.failed] of [run.read]: [run.lastError]",
    )
    name = FieldMap(
        target="name", column_type=ColumnType.CALCULATION, value="return this._Name && this.run.name;", required=True
    )
    line = Line(
        name="Customer",
        target="customers",
        keys=("customer_number",),
        fields=(FieldMap(target="customer_number", value="CustomerNumber"), name),
    )
    run = performed(process_into(crm, tasks=(told,), lines=(line,)), "00001,Anna\n00002,\n", by=omar)
    said = "name is blank in row 2, and name is required."
    assert run.variables["GBL_REGION"] == f"{run.number} CUSTOMERS_TO_CRM {omar} 1 of 2: {said}"
    assert crm.customers() == [("00001", run.name)]
