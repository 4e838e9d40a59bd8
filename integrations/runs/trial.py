"""A task tried on one document of the sample, with the values a run would begin with. Nothing is changed by it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from integrations.engine.batch import Document
from integrations.engine.execute import DOCUMENT_STAGES
from integrations.engine.plan import Line, Plan, Task, TaskType
from integrations.engine.ports import Fault
from integrations.engine.preview import Preview, PreviewDocument
from integrations.engine.variables import Variables
from integrations.models import Process
from integrations.models.run import BUCKETS
from integrations.runs.preview import preview_of
from integrations.runs.variables import check_names, values_of
from integrations.scripting import open_scripts

UNMAPPED = Line(name="", target="")
"""Documents are wanted as they were read, whatever the lines make of them."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a trial. `well` is None where the condition skipped the task; `variables` are those it may have
    changed: (name, before, after)."""

    well: bool | None
    sentence: str
    took: timedelta
    variables: list[tuple[str, Any, Any]]


def sample_of_tasks(process: Process, plan: Plan) -> Preview:
    """Read the first documents of the sample. Raises `WaybillError` with the reason for none."""
    return preview_of(process, replace(plan, lines=(UNMAPPED,), tasks=()))


def try_task(process: Process, plan: Plan, task: Task, number: int, facts: Mapping[str, Any]) -> Tried:
    """Do `task` as a run would, on document `number` of the sample where its stage has one.

    `facts` are further facts of `this.run`. Raises `WaybillError` when there is nothing to try it on.
    """
    task = replace(task, enabled=True)
    alone = replace(plan, lines=(), tasks=(task,))
    columns, document = tuple(column.name for column in plan.source.columns), None
    if task.stage in DOCUMENT_STAGES:
        sample = sample_of_tasks(process, plan)
        columns, document = sample.columns, _document(sample.documents, number)
    before = values_of(process, plan)
    check_names(alone, before)
    variables = Variables(before)
    run = _facts(process, task) | dict(facts)
    began = time.perf_counter()
    well, sentence = _done(alone, columns, task, document, variables, run)
    took = timedelta(seconds=time.perf_counter() - began)
    after = variables.snapshot()
    changed = [(name, before[name], after[name]) for name in sorted(before) if before[name] != after[name]]
    return Tried(well=well, sentence=sentence, took=took, variables=changed)


def _done(
    plan: Plan,
    columns: Sequence[str],
    task: Task,
    document: Document | None,
    variables: Variables,
    run: Mapping[str, Any],
) -> tuple[bool | None, str]:
    if not plan.has_scripts:
        return _set(task, variables)
    scripts = open_scripts(plan, columns, variables=variables)
    try:
        if task.condition:
            wanted = scripts.ask_condition(task, document, run)
            if isinstance(wanted, Fault):
                return False, wanted.sentence
            if not wanted:
                return None, "Its condition is not met, so the task would be skipped."
        if task.type is TaskType.SET_VARIABLE:
            return _set(task, variables)
        answer = scripts.run_script(task, document, run)
    finally:
        scripts.close()
    if isinstance(answer, Fault):
        return False, answer.sentence
    return answer, "Returned true" if answer else "Returned false, which is a failed task"


def _set(task: Task, variables: Variables) -> tuple[bool, str]:
    variables.update({task.variable: variables.filled_in(task.value)})
    return True, "Done"


def _document(found: Sequence[PreviewDocument], number: int) -> Document | None:
    if not found:
        return None
    shown = found[max(1, min(number, len(found))) - 1]
    return Document(number=shown.number, key=shown.key, rows=list(shown.rows), row_numbers=list(shown.row_numbers))


def _facts(process: Process, task: Task) -> dict[str, Any]:
    """What `this.run` holds in a run that has just begun."""
    return {
        "number": 0,
        "name": "Test",
        "process": process.name,
        "company": process.company.name,
        "startedAt": timezone.now().isoformat(),
        "stage": str(task.stage),
        "read": 0,
        **dict.fromkeys(BUCKETS, 0),
        "lastError": "",
    }
