"""What a definition names, seen to be there before a run does or reads anything.

Saving as runnable refused all of this; what was deleted or changed since is found here.
"""

from collections.abc import Iterator

from integrations.engine.errors import DefinitionError
from integrations.engine.inputs import Parent
from integrations.engine.mapping import without_parent
from integrations.engine.plan import Plan, TaskType
from integrations.models import Process, ProcessVersion
from integrations.runs.connections import connection_of


def see_that_all_is_there(process: Process, plan: Plan) -> None:
    """Raise `DefinitionError` for a connection that is gone, or a task that would run its own process for ever."""
    for key in (plan.source.connection, plan.destination.connection):
        if key:
            connection_of(key)
    for task in plan.active_tasks:
        for key in (task.connection, task.to_connection, task.lookup.connection if task.lookup else ""):
            if key:
                _see_connection(task.name, key)
        if task.type is TaskType.RUN_INTEGRATION:
            _see_that_it_ends(task.name, task.integration, process)


def see_that_the_parent_gives(plan: Plan, parent: Parent) -> None:
    """Raise `DefinitionError` for a field that takes a value of the parent's document where there is none. Which columns
    the rows of a parent have shows once they are read."""
    if parent.gives_rows:
        return
    for item in plan.of_the_parent:
        if item.needs_a_parent and item.value not in (parent.document or {}):
            raise without_parent(item)


def _see_connection(task: str, key: str) -> None:
    try:
        connection_of(key)
    except DefinitionError as error:
        raise DefinitionError(
            f"The connection of task {task} no longer exists. Choose another one on the Tasks tab and save.",
            code=error.code,
        ) from None


def _see_that_it_ends(task: str, key: str, process: Process) -> None:
    """Follow the newest versions from the child on: none may lead back to `process`."""
    own = str(process.public_id)
    seen: set[str] = set()
    waiting = [key]
    while waiting:
        now = waiting.pop()
        if now == own:
            raise DefinitionError(
                f"Task {task} leads back to {process.name} itself, which would run for ever. Choose another "
                "integration on the Tasks tab and save.",
                code="definition.cycle",
            )
        if now not in seen:
            seen.add(now)
            waiting += _children_of(now)


def _children_of(key: str) -> Iterator[str]:
    versions = ProcessVersion.objects.filter(process__public_id=key).order_by("-number")[:1]
    for version in versions:
        for task in version.plan.active_tasks:
            if task.type is TaskType.RUN_INTEGRATION and task.integration:
                yield task.integration
