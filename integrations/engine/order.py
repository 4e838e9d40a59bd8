"""How far the documents of a run may go together. By default one sees what the one before it did; they go in batches
only where the definition shows that nobody can tell the difference (spec 10, *Tasks*)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from integrations.engine.plan import Plan, Stage, Task
from integrations.engine.variables import mentioned

HANDED_ON = re.compile(r"\bthis\b(?!\s*\.\s*\w)|\b(eval|Function|constructor)\b|\\")
"""`this` without a name behind it: a script that hands it on, or computes the name, may look at anything."""
WRITES = re.compile(r"\bGBL_\w+\s*([+\-*/%&|^?<>]{0,3}=(?!=)|\+\+|--)|(\+\+|--)\s*this\s*\.\s*GBL_")
"""An assignment to a variable. What is inside one cannot be changed: lists and objects are frozen there."""
ASKS_THE_RUN = re.compile(r"\bthis\s*\.\s*run\b")
POST = (Stage.DOCUMENT_POST_SUCCESS, Stage.DOCUMENT_POST_FAILURE)


@dataclass(frozen=True, kw_only=True)
class Order:
    """`send_singly`: a document is sent and followed up before the next one is mapped. `map_singly`: it is mapped and
    its pre tasks are done before the next one is mapped, then a batch is sent. `reason` is for the Run Summary."""

    map_singly: bool = False
    send_singly: bool = False
    writes_before_sending: bool = False
    """True when a restriction, calculation or task before a document may change a variable."""
    reason: str


def order_of(plan: Plan) -> Order:
    """Say how the documents of `plan` go, and why."""
    before = [*plan.line_scripts, *_texts(plan.tasks_at(Stage.DOCUMENT_PRE))]
    sets = any(task.variable for task in plan.tasks_at(Stage.DOCUMENT_PRE))
    writes = sets or any(WRITES.search(text) or HANDED_ON.search(text) for text in before)
    return replace(_together(plan), writes_before_sending=writes)


def _together(plan: Plan) -> Order:
    pre = _texts(plan.tasks_at(Stage.DOCUMENT_PRE))
    post = _texts(task for stage in POST for task in plan.tasks_at(stage))
    lines = plan.line_scripts
    if not pre and not post:
        if not lines:
            return Order(reason="No script: documents are mapped and sent in batches.")
        return Order(reason="No task stands between documents, so whole batches cross to the scripts.")
    if any(map(may_look_at_the_run, post)):
        return Order(
            map_singly=True,
            send_singly=True,
            reason="Document by document: the tasks behind a document look at the counts of the run.",
        )
    if shared := _shared([*lines, *pre], post):
        return Order(
            map_singly=True,
            send_singly=True,
            reason=f"Document by document: the tasks behind a document write what a later one reads ({shared}).",
        )
    if shared := _shared(lines, pre):
        return Order(
            map_singly=True,
            reason=f"Mapped document by document: its tasks and scripts share {shared}. Sent in batches.",
        )
    return Order(reason="Sent in batches, followed up in order: no task writes what a later document reads.")


def may_look_at_the_run(script: str) -> bool:
    """True when a script may read `this.run`."""
    return bool(ASKS_THE_RUN.search(script) or HANDED_ON.search(script))


def _texts(tasks: Iterable[Task]) -> list[str]:
    """Everything of these tasks that may name a variable."""
    return [
        text
        for task in tasks
        for text in (task.condition, task.script, f"[{task.variable}]" if task.variable else "", task.value)
        if text
    ]


def _shared(readers: Iterable[str], writers: Iterable[str]) -> str:
    """Name what both sides may touch; "" when they cannot meet."""
    readers, writers = list(readers), list(writers)
    if not readers or not writers:
        return ""
    if any(HANDED_ON.search(text) for text in readers) and mentioned(writers):
        return "a script that may look at any variable"
    if any(HANDED_ON.search(text) for text in writers):
        return "a script that may write any variable"
    if any(ASKS_THE_RUN.search(text) for text in readers):
        return "the counts of the run"
    return ", ".join(sorted(mentioned(readers) & mentioned(writers)))
