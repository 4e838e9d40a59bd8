"""A task or a restriction tried on one document of the sample, with the values a run would begin with. Nothing is changed by it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from integrations.engine.batch import Document
from integrations.engine.errors import DefinitionError, WaybillError
from integrations.engine.lines import Cutter
from integrations.engine.plan import DOCUMENT_STAGES, Line, Plan, Stage, Task, TaskType
from integrations.engine.ports import Computed, Fault
from integrations.engine.preview import Preview, PreviewDocument
from integrations.engine.secure import masked
from integrations.engine.variables import KEYS, Variables, filled
from integrations.models import Process
from integrations.models.run import BUCKETS
from integrations.models.vault import vault_of
from integrations.runs.facts import trial_facts
from integrations.runs.mail import letter_of
from integrations.runs.preview import preview_of
from integrations.runs.redaction import Redactor
from integrations.runs.tasks import invalid, named_values
from integrations.runs.validation import Rows, looked_wrong, rows_of_document
from integrations.runs.variables import check_names, secure_names, values_of
from integrations.scripting import open_scripts

SHOWN_CHARS = 500
TRIAL_SECONDS = 20.0
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
    columns = (*(column.name for column in plan.source.columns), *plan.additional_names)
    document = None
    rows = [Rows(rows=[[]], numbers=[0], keys=[""])]
    if task.stage in DOCUMENT_STAGES or (task.lookup is not None and task.stage is Stage.VALIDATION):
        sample = sample_of_tasks(process, plan)
        columns = sample.columns
        numbers = [number] if task.stage in DOCUMENT_STAGES else range(1, len(sample.documents) + 1)
        found = [item for at in numbers if (item := _document(sample.documents, at))]
        rows = [rows_of_document(item) for item in found]
        document = found[0] if found and task.stage in DOCUMENT_STAGES else None
    before = values_of(process, plan)
    check_names(alone, before)
    vault = vault_of(process.company)
    variables = Variables(before, vault=vault, secure=secure_names(plan))
    run = _facts(process, task) | dict(facts)
    began = time.perf_counter()
    well, sentence = _done(alone, columns, task, document, variables, run, rows)
    took = timedelta(seconds=time.perf_counter() - began)
    sentence = Redactor(alone.to_json(), vault)(sentence)
    return Tried(well=well, sentence=sentence, took=took, variables=_changed(before, variables))


def try_restriction(process: Process, plan: Plan, line: Line, number: int) -> Tried:
    """Ask the restriction of `line` about the records of document `number` of the sample.

    Raises `WaybillError` when there is nothing to try it on.
    """
    if not line.restriction.strip():
        raise DefinitionError("There is no script yet to test: every record is sent.", code="definition.nothing_to_try")
    sample = sample_of_tasks(process, plan)
    document = _document(sample.documents, number)
    if document is None:
        raise DefinitionError("The sample holds no row to test with.", code="definition.no_sample")
    alone = replace(plan, lines=(replace(line, fields=()),), tasks=(), additional=())
    rows, _ = Cutter(plan, line, sample.columns).cut(document)
    if not rows:
        sentence = f"This document has no row of the list {line.rows}. Choose another document."
        raise DefinitionError(sentence, code="definition.no_sample")
    before = values_of(process, plan)
    check_names(alone, before)
    vault = vault_of(process.company)
    variables = Variables(before, vault=vault, secure=secure_names(plan))
    began = time.perf_counter()
    scripts = open_scripts(alone, sample.columns, variables=variables)
    try:
        (answer,) = scripts.evaluate([[rows]])
    finally:
        scripts.close()
    took = timedelta(seconds=time.perf_counter() - began)
    well, sentence = _judged(answer, document)
    sentence = Redactor(alone.to_json(), vault)(sentence)
    return Tried(well=well, sentence=sentence, took=took, variables=_changed(before, variables))


def _judged(answer: list[list[Computed]] | Fault, document: Document) -> tuple[bool | None, str]:
    if isinstance(answer, Fault):
        return False, f"The document would fail: {answer.sentence}"
    sends = [record.send for record in answer[0]]
    if len(sends) == 1:
        return (True, "True: the record would be sent.") if sends[0] else (None, "False: the record would be left out.")
    left_out = [str(number) for number, send in zip(document.row_numbers, sends, strict=False) if not send]
    if not left_out:
        return True, f"True for all {len(sends)} records: they would be sent."
    rows = f"row {left_out[0]}" if len(left_out) == 1 else f"rows {', '.join(left_out[:20])}"
    return (True if any(sends) else None), f"{sum(sends)} of {len(sends)} records would be sent; left out: {rows}."


def _changed(before: Mapping[str, Any], variables: Variables) -> list[tuple[str, Any, Any]]:
    after = variables.snapshot()
    return [(name, masked(before[name]), masked(after[name])) for name in sorted(before) if before[name] != after[name]]


def _done(
    plan: Plan,
    columns: Sequence[str],
    task: Task,
    document: Document | None,
    variables: Variables,
    run: Mapping[str, Any],
    rows: Sequence[Rows],
) -> tuple[bool | None, str]:
    if not plan.has_scripts:
        return _without_a_script(task, columns, document, variables, run, rows)
    # The script child knows the additional columns by itself.
    scripts = open_scripts(plan, columns[: len(columns) - len(plan.additional)], variables=variables)
    try:
        if task.condition:
            wanted = scripts.ask_condition(task, document, run)
            if isinstance(wanted, Fault):
                return False, wanted.sentence
            if not wanted:
                return None, "Its condition is not met, so the task would be skipped."
        if task.type is not TaskType.RUN_SCRIPT:
            return _without_a_script(task, columns, document, variables, run, rows)
        answer = scripts.run_script(task, document, run)
    finally:
        scripts.close()
    if isinstance(answer, Fault):
        return False, answer.sentence
    return answer, "Returned true" if answer else "Returned false, which is a failed task"


def _looked_up(task: Task, columns: Sequence[str], rows: Sequence[Rows], variables: Variables) -> tuple[bool, str]:
    wrong = looked_wrong(task, columns, rows, variables, is_over=lambda: False, seconds=TRIAL_SECONDS, attempts=1)
    return not wrong, f"The task would fail: {wrong}" if wrong else "Valid"


def _without_a_script(
    task: Task,
    columns: Sequence[str],
    document: Document | None,
    variables: Variables,
    run: Mapping[str, Any],
    rows: Sequence[Rows],
) -> tuple[bool, str]:
    """Do what changes nothing outside, and say of the rest what it would do."""
    values = named_values(variables, run, columns, document)
    if task.type is TaskType.SET_VARIABLE:
        variables.update({task.variable: filled(task.value, values)})
        return True, "Done"
    try:
        if task.type is TaskType.VALIDATION:
            # It only reads, so it is really asked.
            if task.lookup is not None:
                return _looked_up(task, columns, rows, variables)
            wrong = invalid(task, variables, values, is_over=lambda: False, seconds=TRIAL_SECONDS)
            return not wrong, f"The task would fail: {wrong}" if wrong else "Valid"
        letter = letter_of(task, masked(values))
    except WaybillError as error:
        return False, f"The task would fail: {error.sentence}"
    more = " …" if len(letter.text) > SHOWN_CHARS else ""
    return True, (
        f"Not sent. It would go to {', '.join(letter.recipients)} with the subject “{letter.subject}”: "
        f"{letter.text[:SHOWN_CHARS]}{more}"
    )


def _document(found: Sequence[PreviewDocument], number: int) -> Document | None:
    if not found:
        return None
    shown = found[max(1, min(number, len(found))) - 1]
    return Document(
        number=shown.number,
        key=shown.key,
        rows=list(shown.rows),
        row_numbers=list(shown.row_numbers),
        wide=list(shown.full_rows),
    )


def _facts(process: Process, task: Task) -> dict[str, Any]:
    """What `this.run` holds for a task in a run that has just begun."""
    counts = dict.fromkeys(BUCKETS, 0)
    return trial_facts(process) | {
        "stage": str(task.stage),
        "read": 0,
        **counts,
        "lastError": "",
        **{name: [] for name in KEYS},
    }
