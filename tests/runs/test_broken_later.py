"""A definition that was sound when it was saved and is not any more: its run fails before anything is read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Company
from integrations.engine.plan import ColumnType, FieldMap, Plan, Stage, Task, TaskType, Translation
from integrations.models import Process, ProcessVersion, RunStatus
from integrations.runs.perform import perform_next
from tests.runs.performing import Crm, fresh, process_into, requested

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]

NOWHERE = "00000000-0000-4000-8000-000000000000"
Change = Callable[[Plan], Plan]


def field(**parts: Any) -> Change:
    """Let the name of a customer come from elsewhere."""
    return lambda plan: replace(
        plan,
        lines=(replace(plan.lines[0], fields=(plan.lines[0].fields[0], FieldMap(target="name", **parts))),),
    )


def task(**parts: Any) -> Change:
    parts = {"name": "CHECK", "stage": Stage.INTEGRATION_POST_ALWAYS, **parts}
    return lambda plan: replace(plan, tasks=(Task(**parts),))


BROKEN: dict[str, tuple[Change, str]] = {
    "the connection of the destination": (
        lambda plan: replace(plan, destination=replace(plan.destination, connection=NOWHERE)),
        "The connection this integration uses no longer exists. Choose another one and save.",
    ),
    "the connection of a task": (
        task(type=TaskType.RUN_SQL, connection=NOWHERE, statement="SELECT 1"),
        "The connection of task CHECK no longer exists. Choose another one on the Tasks tab and save.",
    ),
    "a variable that a script names": (
        task(type=TaskType.RUN_SCRIPT, script="return this.GBL_GONE === '';"),
        "Task CHECK uses GBL_GONE, and there is no such global variable.",
    ),
    "a variable that a field takes": (
        field(column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_GONE"),
        "The mapping of name uses GBL_GONE, and there is no such global variable.",
    ),
    "a translation table": (
        field(column_type=ColumnType.TRANSLATION, value="Name", translation=Translation(table=NOWHERE)),
        "The translation table of name no longer exists. Choose another one in the mapping.",
    ),
    "a script": (
        field(column_type=ColumnType.CALCULATION, value="return ((("),
        "The calculation of name cannot be compiled",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), BROKEN.values(), ids=BROKEN.keys())
def test_a_run_whose_definition_lost_something_fails_before_anything_is_read(
    crm: Crm, change: Change, sentence: str
) -> None:
    run = fails_unread(crm, change)
    assert sentence in run.reason, run.reason


def fails_unread(crm: Crm, change: Change) -> Any:
    process = process_into(crm)
    version = process.newest_version
    assert version is not None
    ProcessVersion.objects.filter(pk=version.pk).update(plan_json=change(version.plan).to_json())
    run = requested(process, "1,Anna\n")
    assert perform_next()
    run = fresh(run)
    assert (run.status, run.source_rows) == (RunStatus.FAILED, None), run.reason
    assert crm.customers() == []
    return run


def test_two_processes_that_came_to_run_each_other_fail_before_anything_is_read(
    crm: Crm, company: Company, tmp_path: Path
) -> None:
    """As two people do who save at the same moment, each looking at what the other has not saved yet."""
    first, second = process_into(crm, process="FIRST"), process_into(crm, process="SECOND")
    runs(second, first)
    runs(first, second)
    run = requested(first, "1,Anna\n")
    perform_next()

    run = fresh(run)
    assert (run.status, run.error_code, run.source_rows) == (RunStatus.FAILED, "definition.cycle", None)
    assert run.reason.startswith("Task ON leads back to FIRST itself, which would run for ever.")


def runs(process: Process, child: Process) -> None:
    version = process.newest_version
    assert version is not None
    change = task(name="ON", type=TaskType.RUN_INTEGRATION, integration=str(child.public_id))
    ProcessVersion.objects.filter(pk=version.pk).update(plan_json=change(version.plan).to_json())
