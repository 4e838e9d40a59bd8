"""What keeps the tasks of a draft from being runnable."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from integrations.connectors.http_call import body_of, statuses
from integrations.connectors.http_headers import complaint_about as complaint_about_headers
from integrations.engine.errors import DefinitionError
from integrations.engine.file_name import pattern_complaint
from integrations.engine.plan import (
    DOCUMENT_STAGES,
    EVERYTHING_SENT,
    VALIDATES_AT,
    Column,
    FileAction,
    Lookup,
    ParentData,
    Plan,
    Stage,
    Task,
    TaskType,
)
from integrations.engine.variables import FACTS, IN_BRACKETS, named_in
from integrations.forms.judging import (
    QUOTED,
    Neighbour,
    Problem,
    Surroundings,
    nearest_hint,
    of_script,
    of_where,
    secure_here,
)
from integrations.scripting.names import token

NOTHING_SENT_YET = frozenset({Stage.INTEGRATION_PRE, Stage.VALIDATION})


def of_tasks(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    """Give what is wrong with each task, in their order."""
    seen: set[str] = set()
    for number, task in enumerate(plan.tasks, start=1):
        if task.name in seen:
            yield Problem(sentence=f"Two tasks are named {task.name}. Rename one.", tab="tasks", line=number)
        seen.add(task.name)
        # A task that is switched off may be half made.
        if task.enabled:
            for sentence in _of_task(task, plan, around):
                yield Problem(sentence=sentence, tab="tasks", line=number)


def _of_task(task: Task, plan: Plan, around: Surroundings) -> Iterator[str]:
    columns = [column.name for column in plan.all_columns]
    if task.condition and (complaint := of_script(task.condition, columns, around, task.stage)):
        yield f"Condition of task {task.name}: {complaint}"
    match task.type:
        case TaskType.RUN_INTEGRATION:
            yield from _of_child(task, plan, around)
        case TaskType.SEND_EMAIL:
            yield from _of_email(task, secure_here(plan, around))
        case TaskType.RUN_SCRIPT | TaskType.SET_VARIABLE:
            yield from _of_own(task, columns, around)
        case TaskType.VALIDATION if task.lookup is not None:
            yield from _of_check(task, task.lookup, plan, around)
        case TaskType.RUN_SQL | TaskType.VALIDATION:
            yield from _of_sql(task, around)
        case TaskType.CALL_HTTP:
            yield from _of_http(task, around)
        case TaskType.FILE:
            yield from _of_files(task, plan, around)
    yield from _of_texts(task, plan)


def _of_own(task: Task, columns: Sequence[str], around: Surroundings) -> Iterator[str]:
    if task.type is TaskType.SET_VARIABLE:
        if not task.variable:
            yield f"Task {task.name} says no variable to set."
    elif not task.script.strip():
        yield f"Task {task.name} has no script."
    elif complaint := of_script(task.script, columns, around, task.stage):
        yield f"Task {task.name}: {complaint}"


def _of_email(task: Task, secure: Collection[str]) -> Iterator[str]:
    for name in sorted(named_in(task.to, task.cc, task.subject, task.text).intersection(secure)):
        yield f"Task {task.name} puts {name} into its e-mail, and its value is secure. Take it out."
    if not task.to.strip():
        yield f"Task {task.name} says nobody to send its e-mail to."
    if not task.subject.strip():
        yield f"Task {task.name} sends an e-mail without a subject."
    if task.attach_failed and task.stage not in EVERYTHING_SENT:
        yield f"Task {task.name} attaches the failed documents, and at its stage they are not all known."


def _of_check(task: Task, how: Lookup, plan: Plan, around: Surroundings) -> Iterator[str]:
    if task.stage not in VALIDATES_AT:
        yield f"Task {task.name} validates, and at its stage it is too late for that. Move it."
    if complaint := of_where(how, around):
        yield f"Task {task.name}: {complaint}"
    for name in sorted(set(task.looks_with).intersection(secure_here(plan, around))):
        yield f"Task {task.name} looks {name} up, and its value is secure. Take it out."
    names = [column.name for column in (plan.all_columns if task.stage in DOCUMENT_STAGES else plan.source.columns)]
    for name in (match.column for match in how.matches if match.column):
        if task.stage is Stage.INTEGRATION_PRE:
            yield f"Task {task.name} looks {name} up, and at its stage no row is read yet. Move it to the validation tasks."
        elif names and name not in names:
            later = (
                " Additional columns are known from the tasks before documents on."
                if name in plan.additional_names
                else ""
            )
            yield f"Task {task.name} looks {name} up, which is no column of the source{nearest_hint(name, names)}.{later}"


def _of_sql(task: Task, around: Surroundings) -> Iterator[str]:
    if task.type is TaskType.VALIDATION and task.stage not in VALIDATES_AT:
        yield f"Task {task.name} validates, and at its stage it is too late for that. Move it."
    yield from _of_connection(task, around)
    if not task.statement.strip():
        yield f"Task {task.name} has no statement."
    for text in QUOTED.findall(task.statement):
        if name := IN_BRACKETS.search(text):
            yield f"Task {task.name} has [{name[1]}] inside a text of its statement. Write it alone, without quotes."


def _of_http(task: Task, around: Surroundings) -> Iterator[str]:
    yield from _of_connection(task, around)
    if not task.path.strip():
        yield f"Task {task.name} has no path."
    if said := complaint_about_headers(task.headers):
        yield f"Task {task.name}: {said}"
    try:
        statuses(task.expected)
        body_of(task.body, {})
    except DefinitionError as error:
        yield f"Task {task.name}: {error.sentence}"


def _of_files(task: Task, plan: Plan, around: Surroundings) -> Iterator[str]:
    if task.own_file and task.stage is Stage.INTEGRATION_PRE:
        yield f"Task {task.name} takes the file that the run has read, and at its stage none is read yet. Move it."
    if not task.own_file:
        yield from _of_connection(task, around)
        if not task.file_name.strip():
            yield f"Task {task.name} says no files."
        elif "/" in task.file_name or "\\" in task.file_name:
            yield f"Task {task.name} names a folder among its files. Choose the folder, and write the name alone."
    for name in sorted(named_in(task.file_name, task.new_name).intersection(secure_here(plan, around))):
        yield f"Task {task.name} has {name} in the name of a file, which everyone sees, and its value is secure."
    if task.action is FileAction.DELETE:
        return
    if not task.to_connection:
        yield f"Task {task.name} says no folder to put the files into."
    elif task.to_connection not in around.connections:
        yield f"The folder that task {task.name} puts files into no longer exists. Choose another one."
    there = [f"run.{fact}" for fact in FACTS] + [token(column.name) for column in plan.source.columns]
    shape = task.new_name.replace("[FILE]", "x").replace("[EXT]", ".x")
    if task.new_name and (said := pattern_complaint(shape, there)):
        yield f"The new name of task {task.name} {said}."


def _of_connection(task: Task, around: Surroundings) -> Iterator[str]:
    if not task.connection:
        yield f"Task {task.name} says no connection."
    elif task.connection not in around.connections:
        yield f"The connection of task {task.name} no longer exists. Choose another one."


def _of_texts(task: Task, plan: Plan) -> Iterator[str]:
    """Names in brackets that would stay as they are. Unknown variables are told elsewhere."""
    columns = [token(column.name) for column in plan.all_columns] if task.stage in DOCUMENT_STAGES else []
    for name in dict.fromkeys(name for text in task.texts for name in IN_BRACKETS.findall(text)):
        if name.startswith("run.") and name[4:] not in FACTS:
            yield f"Task {task.name} names [{name}]. A run has {', '.join(f'[run.{fact}]' for fact in FACTS)}."
        elif name.startswith("_") and not columns:
            yield f"Task {task.name} names [{name}], and at its stage there is no document to take a column from."
        elif name.startswith("_") and name not in columns:
            yield f"Task {task.name} names [{name}], which is no column of the source{nearest_hint(name, columns)}."


def _of_child(task: Task, plan: Plan, around: Surroundings) -> Iterator[str]:
    if not task.integration:
        yield f"Task {task.name} says no integration to run."
        return
    if task.integration == around.own:
        yield f"Task {task.name} runs this process itself, for ever. Choose another integration."
        return
    child = around.neighbours.get(task.integration)
    if child is None:
        yield f"The integration that task {task.name} runs no longer exists. Choose another one."
        return
    if child.obstacle:
        yield f"Task {task.name} runs {child.name}, which {child.obstacle}."
    if way := way_back(task.integration, around.own, around.neighbours):
        yield f"Task {task.name} leads back to this process: {', which runs '.join(way)}, which runs this one."
    if child.from_parent and task.parent_data is ParentData.NONE:
        yield f"Task {task.name} runs {child.name}, which reads the rows of its parent. Choose the data to use."
    if task.parent_data is not ParentData.NONE and (reason := unfit(child.columns, plan.source.columns)):
        yield f"Task {task.name} gives this process's data to {child.name}, which {reason}."
    yield from _of_parent_document(task, child, plan)
    if task.parent_data in (ParentData.SUCCEEDED, ParentData.FAILED) and task.stage in NOTHING_SENT_YET:
        yield f"Task {task.name} gives on {task.parent_data} documents, and at its stage nothing was sent yet."
    elif task.parent_data is not ParentData.NONE and task.stage is Stage.INTEGRATION_PRE:
        yield f"Task {task.name} gives on this process's data, and at its stage nothing was read yet. Move it."


def _of_parent_document(task: Task, child: Neighbour, plan: Plan) -> Iterator[str]:
    """What the child takes of its parent's document has to be there, by name."""
    at_a_document = task.stage in DOCUMENT_STAGES
    if not at_a_document and task.parent_data is ParentData.NONE:
        needed = [item.value for item in child.of_the_parent if item.needs_a_parent]
        if needed:
            yield (
                f"Task {task.name} runs {child.name}, which takes {needed[0]} of its parent's document, and at its stage "
                "there is none. Choose the data to use, or move the task to a document's stage."
            )
        return
    names = [column.name for column in (plan.all_columns if at_a_document else plan.source.columns)]
    for name in dict.fromkeys(item.value for item in child.of_the_parent):
        if name and names and name not in names:
            yield (
                f"Task {task.name} runs {child.name}, which takes {name} of its parent's document, and that is no column "
                f"here{nearest_hint(name, names)}."
            )


def unfit(needed: Sequence[Column], there: Sequence[Column]) -> str:
    """Say why a process that reads the columns `needed` cannot read a parent's rows with those `there`; "" if it can.

    The words go on after “which”. Columns are the same when their names and declared types are.
    """
    types = {column.name: column.type for column in there}
    if missing := [column.name for column in needed if column.name not in types]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        are = "a column that this source does" if len(missing) == 1 else "columns that this source does"
        return f"needs {', '.join(missing[:3])}{more}, {are} not have"
    for column in needed:
        if types[column.name] is not column.type:
            return f"reads {column.name} as {column.type}, and here it is {types[column.name]}"
    return ""


def way_back(start: str, own: str, neighbours: Mapping[str, Neighbour]) -> list[str]:
    """Give the names of the processes on the shortest way from `start` back to `own`; empty when there is none."""
    ways: list[tuple[str, list[str]]] = [(start, [])]
    seen: set[str] = set()
    for key, names in ways:
        neighbour = neighbours.get(key)
        if neighbour is None or key in seen:
            continue
        seen.add(key)
        names = [*names, neighbour.name]
        if own in neighbour.calls:
            return names
        ways += [(called, names) for called in sorted(neighbour.calls)]
    return []
