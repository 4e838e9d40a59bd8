"""The Tasks tab: what is done at the stages of a run besides moving documents."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.engine.errors import WaybillError
from integrations.engine.plan import Plan, Stage, Task, TaskType
from integrations.engine.variables import FACTS, KEYS
from integrations.forms.mapping import RevisionForm
from integrations.forms.process import places_in
from integrations.forms.stages import EXPECTS, ON_FAILURE, ON_SUCCESS, PARENT_DATA, STAGES, THEN, TYPES, StageWords
from integrations.forms.surroundings import first_complaint, neighbours, searchable_connections, warnings
from integrations.forms.task import Offered, TaskForm, arranged, offered, with_task
from integrations.models import Connection, GlobalVariable, Process
from integrations.runs.trial import try_task
from integrations.web.editor import (
    catch_up,
    code_names,
    editable,
    found,
    frame,
    go_on,
    respond,
    who_saved,
    write_draft,
)
from integrations.web.samples import sampled_documents

TRIED = (
    "type",
    "stage",
    "condition",
    "script",
    "variable",
    "value",
    "to",
    "cc",
    "subject",
    "text",
    "database",
    "statement",
    "expects",
    "by",
    "lookup_connection",
    "lookup_table",
    "lookup_result",
)
"""What a trial needs to be right; a name may come later."""
DONE = {"up": "moved up", "down": "moved down", "move": "moved", "copy": "copied", "delete": "deleted"}


@dataclass(frozen=True)
class TaskRow:
    """A task as the tab lists it. `number` counts all tasks from 1."""

    number: int
    task: Task
    type: str
    summary: str
    is_first: bool
    is_last: bool


@dataclass(frozen=True)
class Lane:
    """A stage and its tasks."""

    stage: Stage
    words: StageWords
    rows: list[TaskRow]


@require_GET
@requires(Role.VIEWER)
def tasks(request: Request, public_id: UUID) -> HttpResponse:
    """List the tasks under their stages, in the order of a run."""
    process = found(public_id)
    lanes = _lanes(process.drafted)
    context = frame(
        request,
        process,
        "tasks",
        lanes=lanes,
        count=sum(len(lane.rows) for lane in lanes),
        stages_used=sum(bool(lane.rows) for lane in lanes),
    )
    return respond(request, "tasks", context)


@require_POST
@requires(Role.DESIGNER)
def arrange(request: Request, public_id: UUID) -> HttpResponse:
    """Move, switch, copy or delete a task of the list that the person saw: “up-2”, “move-2-5”, “switch-1”, “delete-3” …"""
    process = editable(public_id)
    form = RevisionForm(request.POST)
    action = request.POST.get("do", "")
    draft = process.drafted
    word, at, _ = places_in(action, len(draft.tasks))
    if not form.is_valid() or at < 0:
        raise Http404
    before = draft.tasks[at]
    plan = replace(draft, tasks=arranged(draft.tasks, action))
    back = reverse("process-tasks", args=[public_id])
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        messages.error(request, f"{who_saved(process)} meanwhile. Nothing was changed; look at the tasks again.")
        return redirect(back)
    done = DONE.get(word, "switched off" if before.enabled else "switched on")
    now = plan.tasks.index(before) if word in ("up", "down", "move") else at + (word == "copy")
    anchor = "" if word == "delete" else f"#task-{now + 1}"
    return go_on(request, process, back + anchor, f"{before.name} is {done}, in the draft.")


@require_GET
@requires(Role.VIEWER)
def task(request: Request, public_id: UUID, number: int) -> HttpResponse:
    process = found(public_id)
    shown = _task_of(process, number)
    return _task_page(request, process, _form(process, shown, initial={"revision": process.revision}), shown, number)


@require_GET
@requires(Role.DESIGNER)
def new(request: Request, public_id: UUID) -> HttpResponse:
    """A task in the making; `?stage=` says for which stage."""
    process = editable(public_id)
    initial: dict[str, Any] = {"revision": process.revision}
    if request.GET.get("stage") in list(Stage):
        initial["stage"] = request.GET["stage"]
    return _task_page(request, process, _form(process, None, initial=initial), None, None)


@require_POST
@requires(Role.DESIGNER)
def add(request: Request, public_id: UUID) -> HttpResponse:
    return _save(request, editable(public_id), None, None)


@require_POST
@requires(Role.DESIGNER)
def save_task(request: Request, public_id: UUID, number: int) -> HttpResponse:
    """Write a task. It is known by the name it had on the screen, so that nobody's move or deletion makes it another."""
    process = editable(public_id)
    was = request.POST.get("was", "")
    shown = next((item for item in process.drafted.tasks if item.name == was), None)
    return _save(request, process, shown, number)


def _save(request: Request, process: Process, shown: Task | None, number: int | None) -> HttpResponse:
    form = _form(process, shown, request.POST)
    if not form.is_valid():
        return _task_page(request, process, form, shown, number, status=422)
    made = form.task()
    plan = replace(process.drafted, tasks=with_task(process.drafted.tasks, made, was=shown.name if shown else ""))
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        catch_up(form, process)
        return _task_page(request, process, form, shown, number, conflict=True, status=409)
    at = [item.name for item in plan.tasks].index(made.name) + 1
    back = reverse("process-tasks", args=[process.public_id]) + f"#task-{at}"
    if warned := _warnings(made):
        messages.warning(request, f"{made.name}: {' '.join(warned)}")
    return go_on(request, process, back, f"Task {made.name} is saved to the draft.")


@require_POST
@requires(Role.DESIGNER)
def test(request: Request, public_id: UUID) -> HttpResponse:
    """Try the task as it stands on the screen, saved or not, on a document of the sample. Writes nothing."""
    process = found(public_id)
    was = request.POST.get("was", "")
    shown = next((item for item in process.drafted.tasks if item.name == was), None)
    form = _form(process, shown, request.POST)
    tried = _tried(request, process, form)
    if request.htmx:
        return render(request, "processes/_tried.html", {"tried": tried})
    number = process.drafted.tasks.index(shown) + 1 if shown else None
    return _task_page(request, process, form, shown, number, tried=tried)


def _tried(request: Request, process: Process, form: TaskForm) -> dict[str, Any]:
    """What came of the trial, or why there was none."""
    form.is_valid()
    if said := [error for name in TRIED for error in form.errors.get(name, ())]:
        return {"refused": " ".join(map(str, said))}
    number = request.POST.get("sample", "1")
    number = number if number.isdecimal() and len(number) < 9 else "1"
    try:
        task = form.task_to_try()
        return {"result": try_task(process, process.drafted, task, int(number), {"user": str(request.user)})}
    except WaybillError as error:
        return {"refused": error.sentence}


def _form(process: Process, task: Task | None, data: Any = None, **more: Any) -> TaskForm:
    return TaskForm(
        data,
        plan=process.drafted,
        task=task,
        variables=GlobalVariable.objects.values_list("name", flat=True),
        offers=_offers(process),
        connections=_connections(),
        check=first_complaint,
        **more,
    )


def _connections() -> dict[str, list[tuple[str, str]]]:
    """The company's connections by their connector, and those that can be looked up at: (public id, name)."""
    found = {"searchable": searchable_connections()}
    for connection in Connection.objects.order_by("name"):
        found.setdefault(connection.connector, []).append((str(connection.public_id), connection.name))
    return found


def _offers(process: Process) -> list[Offered]:
    return offered(str(process.public_id), process.drafted.source.columns, neighbours(Process.objects.kept()))


def _task_page(
    request: Request,
    process: Process,
    form: TaskForm,
    shown: Task | None,
    number: int | None,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    now = Stage(stage) if (stage := form["stage"].value()) in list(Stage) else Stage.INTEGRATION_PRE
    context = frame(
        request,
        process,
        "tasks",
        saves_tab=True,
        form=form,
        task=shown,
        number=number,
        names=code_names(process, FACTS | KEYS),
        warnings=_warnings(shown) if shown and not form.is_bound else [],
        stages=[(stage, words, _meanings(stage)) for stage, words in STAGES.items()],
        then=THEN,
        facts=FACTS,
        samples=sampled_documents(process),
        sample=request.POST.get("sample", "1"),
        now={
            "when": STAGES[now].when,
            "success": _means(form, "on_success", ON_SUCCESS[now]),
            "failure": _means(form, "on_failure", ON_FAILURE[now]),
        },
        **more,
    )
    return respond(request, "task", context, status)


def _meanings(stage: Stage) -> list[tuple[str, str, str]]:
    return [(then.value, ON_SUCCESS[stage][then], ON_FAILURE[stage][then]) for then in THEN]


def _means(form: TaskForm, name: str, sentences: dict[Any, str]) -> str:
    return sentences.get(form[name].value(), "")


def _task_of(process: Process, number: int) -> Task:
    listed = process.drafted.tasks
    if not 1 <= number <= len(listed):
        raise Http404
    return listed[number - 1]


def _warnings(task: Task) -> list[str]:
    """Say what will fail the task when it runs, though it can be saved."""
    script = task.script if task.type is TaskType.RUN_SCRIPT else ""
    said = []
    if warnings(script):
        said.append("Its script has no return, so it gives no answer and the task will fail. End it with return true.")
    if warnings(task.condition):
        said.append("Its condition has no return, so it gives no answer and the task will fail.")
    return said


def _lanes(plan: Plan) -> list[Lane]:
    named = [*Process.objects.kept().filter(public_id__in=_called(plan)).values_list("public_id", "name")]
    named += Connection.objects.values_list("public_id", "name")
    names = {str(key): name for key, name in named}
    lanes = []
    for stage, words in STAGES.items():
        there = [(number, item) for number, item in enumerate(plan.tasks, start=1) if item.stage is stage]
        rows = [
            TaskRow(
                number=number,
                task=item,
                type=TYPES[item.type],
                summary=_summary(item, names),
                is_first=at == 0,
                is_last=at == len(there) - 1,
            )
            for at, (number, item) in enumerate(there)
        ]
        lanes.append(Lane(stage, words, rows))
    return lanes


def _called(plan: Plan) -> list[str]:
    return [task.integration for task in plan.tasks if task.integration]


def _summary(task: Task, names: dict[str, str]) -> str:
    """Say in a line what a task does and what is unusual about it."""
    words = _does(task, names)
    if task.condition:
        words.append("on a condition")
    if task.on_success != "next":
        words.append(f"on success {THEN[task.on_success].lower()}")
    if task.on_failure != "quit":
        words.append(f"on failure {THEN[task.on_failure].lower()}")
    return " · ".join(words)


def _does(task: Task, names: dict[str, str]) -> list[str]:
    words = []
    match task.type:
        case TaskType.SET_VARIABLE:
            words.append(f"{task.variable or 'no variable'} = {task.value or 'empty'}")
        case TaskType.RUN_INTEGRATION:
            words.append(names.get(task.integration, "no integration"))
            if task.parent_data != "none":
                words.append(f"data from parent: {PARENT_DATA[task.parent_data].lower()}")
            if task.use_variables:
                words.append("parent variables")
        case TaskType.SEND_EMAIL | TaskType.RUN_SQL | TaskType.CALL_HTTP | TaskType.VALIDATION | TaskType.FILE:
            words += _does_outside(task, names)
        case TaskType.RUN_SCRIPT:
            words.append(next((line.strip() for line in task.script.splitlines() if line.strip()), "no script"))
    return words


def _does_outside(task: Task, names: dict[str, str]) -> list[str]:
    words = []
    place = names.get(task.connection, "no connection")
    match task.type:
        case TaskType.SEND_EMAIL:
            words.append(f"to {task.to or 'nobody'}: {task.subject or 'no subject'}")
            if task.attach_failed:
                words.append("failed documents attached")
        case TaskType.RUN_SQL:
            words += [place, " ".join(task.statement.split()) or "no statement"]
        case TaskType.VALIDATION if task.lookup is not None:
            looked = " and ".join(f"{match.field} is {match.column or match.variable}" for match in task.lookup.matches)
            there = f"{task.lookup.table or 'no table'} at {names.get(task.lookup.connection, 'no connection')}"
            words += [there, EXPECTS[task.expects], looked or "nothing to match"]
        case TaskType.VALIDATION:
            words += [place, EXPECTS[task.expects], " ".join(task.statement.split()) or "no query"]
        case TaskType.FILE:
            what = "the file of the run" if task.own_file else f"{task.file_name or 'no file'} at {place}"
            words.append(f"{task.action} {what}")
            if task.action != "delete":
                words.append(f"to {names.get(task.to_connection, 'no folder')}")
        case TaskType.CALL_HTTP:
            words.append(f"{task.method} {task.path or 'no path'} at {place}")
    if task.variable:
        words.append(f"answer in {task.variable}")
    return words
