"""The tasks of a process at the stages of a run: what each does, and what its end means for those behind it."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from integrations.connectors.file_moves import Step, carry_out
from integrations.connectors.http_call import call, shown
from integrations.connectors.http_json import ANSWER_CHARS
from integrations.connectors.spec import Opened
from integrations.connectors.sql.statement import execute, first_rows
from integrations.connectors.sql.systems import STATEMENT_SECONDS
from integrations.engine.batch import Document
from integrations.engine.errors import DefinitionError, Fenced, UnknownOutcome, WaybillError
from integrations.engine.execute import ATTEMPTS
from integrations.engine.failpoint import failpoint
from integrations.engine.order import may_look_at_the_run
from integrations.engine.plan import EVERYTHING_SENT, Expects, ParentData, Plan, Stage, Task, TaskType, Then
from integrations.engine.ports import Fault, Stop, TaskEnd, TaskResult
from integrations.engine.secure import has_handle, masked
from integrations.engine.variables import ASKS_THE_RUN, Variables, filled, named_in, with_ends
from integrations.models import DocumentOutcome, Process, Run, RunStatus, TaskDeed
from integrations.runs.connections import connection_of, opened
from integrations.runs.facts import KeysSoFar, counts_so_far, last_error, standing_facts
from integrations.runs.failed_documents import file_name, write_failed
from integrations.runs.file_tasks import planned_files, told_of_files
from integrations.runs.journal import RunJournal, storable
from integrations.runs.lookups import SECONDS
from integrations.runs.mail import letter_of, send
from integrations.runs.parent_rows import spool_parent_rows
from integrations.runs.pin import open_pinned
from integrations.runs.request import Refused
from integrations.runs.validation import Rows, looked_wrong, rows_of_document, rows_of_source
from integrations.scripting.names import token

RESULTS = {Then.NEXT: TaskResult.GO_ON, Then.QUIT: TaskResult.QUIT, Then.CANCEL: TaskResult.CANCEL}
ENDINGS = {Then.NEXT: "", Then.QUIT: " It quits here.", Then.CANCEL: " It cancels."}


@dataclass(frozen=True, kw_only=True)
class Did:
    """What came of a task: `complaint` says what failed; "" when nothing did, None when the run has to stop before it
    is done. `said` is for the log, `value` for the task's variable."""

    complaint: str | None = ""
    said: str = ""
    value: str | None = None


class TaskScripts(Protocol):
    """The script child, as far as tasks use it."""

    def ask_condition(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> bool | Fault: ...

    def run_script(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> bool | Fault: ...


class RunTasks:
    """`engine.ports.Tasks` of one run. What was done at a stage of the integration is noted with the variables it
    left, so that a resumed run does not do it again."""

    def __init__(
        self, run: Run, plan: Plan, journal: RunJournal, scripts: TaskScripts | None, variables: Variables
    ) -> None:
        self._run = run
        self._plan = plan
        self._journal = journal
        self._scripts = scripts
        self._variables = variables
        self._keys = KeysSoFar(run)
        self._passed: list[str] = list(run.passed)
        self._ends: dict[str, dict[str, Any]] = dict(run.task_ends)
        self.stages = frozenset(task.stage for task in plan.active_tasks)
        if self.stages:
            journal.task_ends = self._ends

    def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
        for task in self._plan.tasks_at(stage):
            place = f"{stage}/{task.name}"
            if document is None and place in self._passed:
                end = self._ended_before(place)
            else:
                end = self._done(task, document)
                if document is None and end.result is not TaskResult.INTERRUPTED:
                    self._pass(task, place, end)
            if end.result is not TaskResult.GO_ON:
                return end
        return TaskEnd()

    def _pass(self, task: Task, place: str, end: TaskEnd) -> None:
        """Note that a task of the integration is done, with the variables it left. How it ended is kept where that ends
        its stage: whoever resumes the run hears the same and does it no second time."""
        self._passed.append(place)
        if end.result is not TaskResult.GO_ON:
            self._count(task, "", end=[str(end.result), end.failed, end.sentence])
        self._journal.note(passed=self._passed, variables=self._variables.snapshot(), task_ends=self._ends)

    def _ended_before(self, place: str) -> TaskEnd:
        result, failed, sentence = self._ends.get(place, {}).get("end", [TaskResult.GO_ON, False, ""])
        return TaskEnd(result=TaskResult(result), failed=failed, sentence=sentence)

    def _done(self, task: Task, document: Document | None) -> TaskEnd:
        wanted: bool | str
        try:
            facts = self._facts(task, document)
        except DefinitionError as error:
            facts, wanted = {}, error.sentence
        else:
            wanted = self._wanted(task, document, facts)
        if wanted is False:
            self._log("info", f"{task.name} was skipped: its condition is not met.", task, document)
            self._count(task, "skipped")
            return TaskEnd()
        did = Did(complaint=wanted) if isinstance(wanted, str) else self._tried(task, document, facts)
        if did.complaint is None:
            return TaskEnd(result=TaskResult.INTERRUPTED)
        redacted = self._journal.redacted
        did = replace(did, complaint=redacted(did.complaint), said=redacted(did.said))
        assert did.complaint is not None
        if did.complaint:
            sentence = f"{task.name} failed: {did.complaint.rstrip('.')}.{ENDINGS[task.on_failure]}"
            self._log("warning", sentence, task, document)
            self._count(task, "failed", said=did.complaint)
            return TaskEnd(result=RESULTS[task.on_failure], failed=True, sentence=sentence)
        if task.variable and did.value is not None:
            self._variables.update({task.variable: did.value})
        sentence = f"{task.name} is done. {did.said}".rstrip() + ENDINGS[task.on_success]
        self._log("info", sentence, task, document)
        self._count(task, "done", **({"said": did.said} if did.said else {}))
        return TaskEnd(result=RESULTS[task.on_success], sentence=sentence)

    def _count(self, task: Task, how: str, **facts: Any) -> None:
        """Note one more end of a task, for the Run Summary."""
        ends = self._ends.setdefault(f"{task.stage}/{task.name}", {"done": 0, "failed": 0, "skipped": 0, "said": ""})
        if how:
            ends[how] += 1
        ends |= facts

    def _wanted(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> bool | str:
        """Ask the condition of a task: true, false, or what is wrong with it."""
        if not task.condition.strip():
            return True
        assert self._scripts is not None
        answer = self._scripts.ask_condition(task, document, facts)
        return answer.sentence if isinstance(answer, Fault) else answer

    def _tried(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> Did:
        """Do a task. Whatever it meets is a failed task: it ends neither the run nor the account of a document."""
        try:
            return self._did(task, document, facts)
        except Fenced:
            raise
        except WaybillError as error:
            return Did(complaint=error.sentence)

    def _did(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> Did:
        columns = (*self._journal.columns, *self._plan.additional_names)
        values = named_values(self._variables, facts, columns, document)
        match task.type:
            case TaskType.SET_VARIABLE:
                return Did(value=filled(task.value, values))
            case TaskType.RUN_INTEGRATION:
                return Did(complaint=self._run_integration(task, document))
            case TaskType.RUN_SCRIPT:
                return Did(complaint=self._run_script(task, document, facts))
            case TaskType.SEND_EMAIL:
                return self._once(task, document, partial(self._send_email, task, values))
            case TaskType.RUN_SQL:
                return self._once(task, document, partial(self._run_sql, task, values))
            case TaskType.CALL_HTTP:
                return self._once(task, document, partial(self._call_http, task, document, values))
            case TaskType.VALIDATION:
                return self._validated(task, document, values)
            case TaskType.FILE:
                return self._handle_files(task, document, values)

    def _validated(self, task: Task, document: Document | None, values: Mapping[str, Any]) -> Did:
        is_over = partial(self._is_over, task.stage)
        try:
            if task.lookup is not None:
                return Did(complaint=self._looked_wrong(task, document, is_over))
            return Did(complaint=invalid(task, self._variables, values, is_over=is_over))
        except Fenced:
            raise
        except WaybillError as error:
            return Did(complaint=error.sentence)

    def _looked_wrong(self, task: Task, document: Document | None, is_over: Callable[[], bool]) -> str | None:
        """Look up the rows of the document, or those of the whole source, which is pinned by then."""
        ask = partial(
            looked_wrong, task, variables=self._variables, is_over=is_over, seconds=SECONDS, attempts=ATTEMPTS
        )
        if document is not None:
            columns = (*self._journal.columns, *self._plan.additional_names)
            return ask(columns, [rows_of_document(document)])
        if task.stage is Stage.INTEGRATION_PRE:
            return ask((), [Rows(rows=[[]], numbers=[0], keys=[""])])
        with closing(open_pinned(self._run, self._plan.source, self._journal, lambda: None, self._variables)) as source:
            return ask(source.columns, rows_of_source(self._plan, source))

    def _once(self, task: Task, document: Document | None, act: Callable[[], Did]) -> Did:
        """Do what leaves Waybill, and never a second time: the intent is written before it and the end behind it.

        What a worker left in between may have been done, so it counts as failed, unless a repetition changes nothing.
        What failed for sure may be tried again by whoever continues the run.
        """
        place = _place(task, document)
        found = TaskDeed.objects.filter(run=self._run, place=place).first()
        if found is not None and found.done:
            return Did(said="It was done before another worker took this run over.", value=found.value)
        if found is not None and not _changes_nothing_twice(task):
            return Did(complaint="it may have been done before its worker died, so it is not done again. Look there.")
        if found is not None:
            again = (
                f"{task.name} may have been done before its worker died. It is done again, which changes nothing twice."
            )
            self._log("warning", again, task, document)
        else:
            self._journal.deed_begins(place)
        failpoint("tasks.begun")
        try:
            did = act()
        except Fenced:
            raise
        except UnknownOutcome as error:
            return Did(complaint=error.sentence)
        except WaybillError as error:
            did = Did(complaint=error.sentence)
        failpoint("tasks.acted")
        if did.complaint == "":
            self._journal.deed_is_done(place, did.value if task.variable else None)
        else:
            self._journal.deed_left_nothing(place)
        return did

    def _handle_files(self, task: Task, document: Document | None, values: Mapping[str, Any]) -> Did:
        """Plan what becomes of which files, write that down, and do it; whoever continues does what is left of it."""
        place = _place(task, document)
        found = TaskDeed.objects.filter(run=self._run, place=place).first()
        if found is not None and found.done:
            return Did(said="It was done before another worker took this run over.")
        try:
            if found is None:
                steps = planned_files(self._run, self._plan, task, values)
                self._journal.deed_begins(place, [step.to_json() for step in steps])
            else:
                steps = [Step.from_json(item) for item in found.value or ()]
            failpoint("tasks.begun")
            token = f"{self._run.public_id.hex}-{hashlib.sha256(place.encode()).hexdigest()[:16]}"
            carry_out(steps, token, resumed=found is not None)
        except Fenced:
            raise
        except WaybillError as error:
            self._journal.deed_left_nothing(place)
            return Did(complaint=error.sentence)
        failpoint("tasks.acted")
        self._journal.deed_is_done(place, None)
        return Did(said=told_of_files(task, steps))

    def _send_email(self, task: Task, values: Mapping[str, Any]) -> Did:
        letter = letter_of(task, masked(values))
        with tempfile.TemporaryDirectory(prefix="mail-") as folder:
            send(letter, self._attachments(task, Path(folder)))
        return Did(said=f"Sent to {', '.join(letter.recipients)}.")

    def _run_sql(self, task: Task, values: Mapping[str, Any]) -> Did:
        opening = _opened(task, "sql")
        values = leaving(self._variables, values, task.statement)
        affected = execute(opening, task.statement, values, is_over=partial(self._is_over, task.stage))
        if affected is None:
            return Did(complaint=None)
        if affected.gives_rows:
            said = "It gave no row." if affected.value is None else "It gave a row."
        else:
            said = "1 row was affected." if affected.rows == 1 else f"{affected.rows:,} rows were affected."
        return Did(said=said, value=storable(self._journal.redacted(affected.value or "")))

    def _call_http(self, task: Task, document: Document | None, values: Mapping[str, Any]) -> Did:
        place = hashlib.sha256(_place(task, document).encode()).hexdigest()
        answer = call(
            _opened(task, "http"),
            method=task.method,
            path=task.path,
            body=task.body,
            headers=task.headers,
            expected=task.expected,
            values=leaving(self._variables, values, *task.texts),
            key=f"{self._run.public_id.hex}-{place[:32]}",
            repeats=_changes_nothing_twice(task),
        )
        body = storable(self._journal.redacted(shown(answer)))
        said = " ".join(body[:ANSWER_CHARS].split())
        return Did(said=f"Answered {answer.status}: {said}" if said else f"Answered {answer.status}.", value=body)

    def _is_over(self, stage: Stage) -> bool:
        """Say whether a task should not be waited for. Behind everything, neither a cancel nor the end of the run's
        time ends anything any more."""
        stop = self._journal.told_to_stop()
        if stop is Stop.DRAINING:
            return True
        return stage not in EVERYTHING_SENT and (stop is Stop.CANCELLED or bool(self._journal.overdue()))

    def _attachments(self, task: Task, folder: Path) -> list[Path]:
        """Write what the task attaches: nothing where no document failed."""
        outcomes = DocumentOutcome.objects.filter(run=self._run).order_by("document")
        if not task.attach_failed or not outcomes.exists():
            return []
        path = folder / file_name(self._run)
        write_failed(path, self._run, outcomes)
        return [path]

    def _run_script(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> str:
        assert self._scripts is not None
        answer = self._scripts.run_script(task, document, facts)
        if isinstance(answer, Fault):
            return answer.sentence
        return "" if answer else "its script returned false."

    def _run_integration(self, task: Task, document: Document | None) -> str | None:
        """Run another integration as a child. One that does not end Completed is a failed task."""
        # What performs a child is what performs its parent, and that makes these tasks.
        from integrations.runs.children import perform_child

        process = Process.objects.filter(public_id=task.integration).first()
        if process is None:
            return "the integration to run no longer exists. Choose another one."
        if process.trashed_at is not None:
            return f"{process.name} lies in the trash. Restore it, or choose another integration to run."
        place = _place(task, document)
        spool = partial(spool_parent_rows, self._run, self._plan, task.parent_data, self._journal, document)
        try:
            child = perform_child(
                self._run,
                process,
                key=place,
                journal=self._journal,
                rows=spool if task.parent_data is not ParentData.NONE else None,
                given=self._variables.snapshot() if task.use_variables else None,
                document=self._values_of(document) if document is not None else None,
                stage=task.stage,
            )
        except Refused as refused:
            return refused.sentence
        if child is None:
            return None
        self._count(task, "", run=child.number)
        if task.hand_back and child.variables is not None:
            ours = self._variables.names
            self._variables.take_back({name: value for name, value in child.variables.items() if name in ours})
        if child.status == RunStatus.COMPLETED:
            return ""
        return f"run {child.number} of {process.name} ended {child.get_status_display()}. {child.reason}".strip()

    def _values_of(self, document: Document) -> dict[str, str]:
        """Give the first row of a document by column, the additional ones too."""
        columns = (*self._journal.columns, *self._plan.additional_names)
        return dict(zip(columns, document.full_rows[0], strict=False))

    def _facts(self, task: Task, document: Document | None) -> dict[str, Any]:
        """Give what a script sees as `this.run`; nothing where it does not look."""
        if not any(map(may_look_at_the_run, task.scripts)) and not any(map(ASKS_THE_RUN.search, task.texts)):
            return {}
        problem = document.problem if document else None
        met = problem.sentence if problem else "" if document else last_error(self._run)
        facts = standing_facts(self._run) | counts_so_far(self._run) | self._keys.named_in(task.scripts)
        return facts | {"stage": str(task.stage), "lastError": self._journal.redacted(met)}

    def _log(self, level: str, sentence: str, task: Task, document: Document | None) -> None:
        # A line for every document that went well would bury the others.
        if document is None or level != "info":
            self._journal.log(level, sentence, stage=task.stage, document=document.key if document else "")


def invalid(
    task: Task,
    variables: Variables,
    values: Mapping[str, Any],
    *,
    is_over: Callable[[], bool],
    seconds: float = STATEMENT_SECONDS,
) -> str | None:
    """Ask the query of a validation and say what is wrong; "" when nothing is, None when it was ended.

    Its rows are told only where no secure value went into it: they might give that back in pieces, which nobody would
    recognise.
    """
    asked_with = leaving(variables, values, task.statement)
    tells = not any(has_handle(values[name]) for name in asked_with)
    rows = first_rows(_opened(task, "sql"), task.statement, asked_with, is_over=is_over, seconds=seconds)
    if rows is None:
        return None
    if task.expects is Expects.ROW:
        return "" if rows else "its query gives no row."
    if rows and not tells:
        return "its query gives rows that should not be there."
    listed = "; ".join(", ".join(row) for row in rows)[:ANSWER_CHARS]
    return f"its query gives what should not be there: {listed}." if rows else ""


def _changes_nothing_twice(task: Task) -> bool:
    """Say whether a task may be done again though it may have been done: a question, or one whose key is honoured."""
    if task.type is not TaskType.CALL_HTTP:
        return False
    try:
        return task.method == "GET" or bool(connection_of(task.connection).settings.get("honours_key"))
    except DefinitionError:
        return False


def _opened(task: Task, connector: str) -> Opened:
    connection = connection_of(task.connection)
    if connection.connector != connector:
        raise DefinitionError(
            f"{connection.name} is no connection for this. Choose another one.", code="task.connection"
        )
    return opened(connection)


def named_values(
    variables: Variables, facts: Mapping[str, Any], columns: Sequence[str], document: Document | None
) -> dict[str, Any]:
    """Give every name that a text may hold in brackets: variables, facts of the run, columns of the first row."""
    values = with_ends(variables.snapshot()) | {f"run.{name}": value for name, value in facts.items()}
    if document is not None and document.rows:
        values |= dict(zip(map(token, columns), document.full_rows[0], strict=False))
    return values


def leaving(variables: Variables, values: Mapping[str, Any], *texts: str) -> dict[str, Any]:
    """Give the values that these texts name, secure ones in the clear."""
    return {name: variables.opened(values[name]) for name in named_in(*texts) if name in values}


def _place(task: Task, document: Document | None) -> str:
    """Name a task within its run, and within it the document it is done for."""
    return f"{task.stage}/{task.name}" + (f"/{document.number}" if document else "")
