"""The tasks of a process at the stages of a run: what each does, and what its end means for those behind it."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from integrations.engine.batch import Document
from integrations.engine.order import may_look_at_the_run
from integrations.engine.plan import ParentData, Plan, Stage, Task, TaskType, Then
from integrations.engine.ports import Fault, TaskEnd, TaskResult
from integrations.engine.variables import Variables
from integrations.models import Process, Run, RunStatus
from integrations.models.run import BUCKETS
from integrations.runs.journal import RunJournal
from integrations.runs.parent_rows import spool_parent_rows
from integrations.runs.request import Refused

RESULTS = {Then.NEXT: TaskResult.GO_ON, Then.QUIT: TaskResult.QUIT, Then.CANCEL: TaskResult.CANCEL}
ENDINGS = {Then.NEXT: "", Then.QUIT: " It quits here.", Then.CANCEL: " It cancels."}


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
        self._passed: list[str] = list(run.passed)
        self._ends: dict[str, dict[str, Any]] = dict(run.task_ends)
        self.stages = frozenset(task.stage for task in plan.active_tasks)
        if self.stages:
            journal.task_ends = self._ends

    def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
        for task in self._plan.tasks_at(stage):
            place = f"{stage}/{task.name}"
            if document is None and place in self._passed:
                continue
            end = self._done(task, document)
            goes_on = end.result is TaskResult.GO_ON
            if document is None and end.result is not TaskResult.INTERRUPTED:
                self._passed += [place] if goes_on else []
                self._journal.note(passed=self._passed, variables=self._variables.snapshot(), task_ends=self._ends)
            if not goes_on:
                return end
        return TaskEnd()

    def _done(self, task: Task, document: Document | None) -> TaskEnd:
        facts = self._facts(task, document)
        wanted = self._wanted(task, document, facts)
        if wanted is False:
            self._log("info", f"{task.name} was skipped: its condition is not met.", task, document)
            self._count(task, "skipped")
            return TaskEnd()
        complaint = wanted if isinstance(wanted, str) else self._complaint(task, document, facts)
        if complaint is None:
            return TaskEnd(result=TaskResult.INTERRUPTED)
        if complaint:
            sentence = f"{task.name} failed: {complaint.rstrip('.')}.{ENDINGS[task.on_failure]}"
            self._log("warning", sentence, task, document)
            self._count(task, "failed", said=complaint)
            return TaskEnd(result=RESULTS[task.on_failure], failed=True, sentence=sentence)
        sentence = f"{task.name} is done.{ENDINGS[task.on_success]}"
        self._log("info", sentence, task, document)
        self._count(task, "done")
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

    def _complaint(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> str | None:
        """Do the task. Gives what failed; "" when nothing did, None when the run has to stop before it is done."""
        match task.type:
            case TaskType.SET_VARIABLE:
                self._variables.update({task.variable: self._variables.filled_in(task.value)})
                return ""
            case TaskType.RUN_INTEGRATION:
                return self._run_integration(task, document)
            case TaskType.RUN_SCRIPT:
                return self._run_script(task, document, facts)

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
        place = f"{task.stage}/{task.name}" + (f"/{document.number}" if document else "")
        spool = partial(spool_parent_rows, self._run, self._plan, task.parent_data, self._journal, document)
        try:
            child = perform_child(
                self._run,
                process,
                key=place,
                journal=self._journal,
                rows=spool if task.parent_data is not ParentData.NONE else None,
                given=self._variables.snapshot() if task.use_variables else None,
            )
        except Refused as refused:
            return refused.sentence
        if child is None:
            return None
        self._count(task, "", run=child.number)
        if task.hand_back and child.variables is not None:
            ours = self._variables.names
            self._variables.update({name: value for name, value in child.variables.items() if name in ours})
        if child.status == RunStatus.COMPLETED:
            return ""
        return f"run {child.number} of {process.name} ended {child.get_status_display()}. {child.reason}".strip()

    def _facts(self, task: Task, document: Document | None) -> dict[str, Any]:
        """Give what a script sees as `this.run`; nothing where it does not look."""
        if not any(map(may_look_at_the_run, (task.condition, task.script))):
            return {}
        run = Run.objects.get(pk=self._run.pk)
        counts = {bucket: getattr(run, f"documents_{bucket}") for bucket in BUCKETS}
        return {
            "number": run.number,
            "name": run.name,
            "process": self._run.process.name,
            "company": self._run.company.name,
            "user": str(run.requested_by or ""),
            "startedAt": run.started_at.isoformat() if run.started_at else "",
            "stage": str(task.stage),
            "read": run.source_documents or 0,
            **counts,
            "lastError": document.problem.sentence if document and document.problem else "",
        }

    def _log(self, level: str, sentence: str, task: Task, document: Document | None) -> None:
        # A line for every document that went well would bury the others.
        if document is None or level != "info":
            self._journal.log(level, sentence, stage=task.stage, document=document.key if document else "")
