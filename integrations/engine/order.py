"""How far the documents of a run may go together. By default one sees what the one before it did; they go in batches
only where the definition shows that nobody can tell the difference (spec 10, *Tasks*)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from integrations.engine.plan import DOCUMENT_STAGES, Plan, Stage, Task, TaskType
from integrations.engine.variables import ASKS_THE_RUN as TEXT_ASKS_THE_RUN
from integrations.engine.variables import IN_TEXT, mentioned

HANDED_ON = re.compile(r"\bthis\b(?!\s*\.\s*\w)|\b(eval|Function|constructor)\b|\\")
"""`this` without a name behind it: a script that hands it on, or computes the name, may look at anything."""
MENTION = re.compile(r"\bthis\s*\.\s*GBL_\w+")
CHANGES_WHAT_FOLLOWS = re.compile(r"(\+\+|--)\s*(/|\W*this\b)|\bdelete\b")
"""`++`, also before a parenthesis or a comment. What is inside a variable cannot be changed: lists and objects are frozen."""
READ_FROM = re.compile(
    r"\s*(\Z|[;.(\[]|[=!]==?|[<>]=|(\*\*?|<<?|>{1,3}|&&?|\|\|?)(?![=*<>&|!])|[+\-%^](?![+\-=])|/(?![/*=])|\?(?!\?=)"
    r"|instanceof\b)"
)
"""What no assignment has behind its target: a variable before it is read, whatever stands around."""
OPERAND = re.compile(r"(\b(return|typeof|throw|case|of|in)[ \t]+|[=!<>&|?+\-*%^~][ \t]*)\Z")
ENDS_AN_OPERAND = re.compile(r"\s*([),:}\]]|(?!(of|in)\b)[A-Za-z_$])")
ARGUMENT = re.compile(
    r"(\b(?!(return|else|do|void|typeof|throw|case|of|in|await|yield)\b)\w+[ \t]{0,9}\([ \t]{0,9}|[,:][ \t]*)\Z"
)
ENDS_THE_ARGUMENTS = re.compile(r"\s*\)")
PART_OF_A_TEXT = re.compile(r"\$\{[ \t]*\Z")
ENDS_THE_PART = re.compile(r"\s*\}")
READ_BETWEEN = ((OPERAND, ENDS_AN_OPERAND), (ARGUMENT, ENDS_THE_ARGUMENTS), (PART_OF_A_TEXT, ENDS_THE_PART))
"""A variable between two such is read: `return this.GBL_A }`, `f(this.GBL_A)`, `${this.GBL_A}`. Without them it may be part
of a pattern that is assigned to: `[this.GBL_A] = …`. A comment or a line end before it proves nothing."""
LOOKS_BACK = 40
ASKS_THE_RUN = re.compile(r"\bthis\s*\.\s*run\b")
SEES_OTHER_SYSTEMS = frozenset(
    {TaskType.RUN_SQL, TaskType.CALL_HTTP, TaskType.VALIDATION, TaskType.RUN_INTEGRATION, TaskType.FILE}
)
"""What such a task finds there may be what the document before it left there."""
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
    writes = sets or any(map(_may_write, before))
    return replace(_together(plan), writes_before_sending=writes)


def _together(plan: Plan) -> Order:
    pre = _texts(plan.tasks_at(Stage.DOCUMENT_PRE))
    post = _texts(task for stage in POST for task in plan.tasks_at(stage))
    tasks = [task for task in plan.active_tasks if task.stage in DOCUMENT_STAGES]
    if outside := next((task for task in tasks if task.type in SEES_OTHER_SYSTEMS), None):
        return Order(
            map_singly=True,
            send_singly=True,
            reason=f"Document by document: {outside.name} may see what a document before it left in another system.",
        )
    scripts, lines = plan.line_scripts, [*plan.line_scripts, *plan.mapped_variables]
    # A field of a variable is read behind the scripts of its batch, so that one of a later document must not write it.
    shared_in_lines = _shared(plan.mapped_variables, filter(_may_write, scripts))
    # The additional columns of a batch are computed before its lines.
    crosses = bool(plan.additional_scripts) and any(map(_may_write, scripts))
    if not pre and not post and not shared_in_lines and not crosses:
        if not scripts:
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
    if shared_in_lines:
        return Order(
            map_singly=True,
            reason=f"Mapped document by document: scripts write what a field takes ({shared_in_lines}). "
            "Sent in batches.",
        )
    if crosses:
        return Order(
            map_singly=True,
            reason="Mapped document by document: calculations of additional columns stand before the scripts of the "
            "lines, and some of them write variables. Sent in batches.",
        )
    return Order(reason="Sent in batches, followed up in order: no task writes what a later document reads.")


def may_look_at_the_run(script: str) -> bool:
    """True when a script may read `this.run`."""
    return bool(ASKS_THE_RUN.search(script) or HANDED_ON.search(script))


def _may_write(script: str) -> bool:
    """True when a script may change a variable: it mentions one where it does not evidently read it."""
    if HANDED_ON.search(script):
        return True
    mentions = list(MENTION.finditer(script))
    return bool(mentions and CHANGES_WHAT_FOLLOWS.search(script)) or not all(map(_is_read, mentions))


def _is_read(mention: re.Match[str]) -> bool:
    script, end = mention.string, mention.end()
    if READ_FROM.match(script, end):
        return True
    before = script[max(0, mention.start() - LOOKS_BACK) : mention.start()]
    return any(left.search(before) and right.match(script, end) for left, right in READ_BETWEEN)


def _texts(tasks: Iterable[Task]) -> list[str]:
    """Everything of these tasks that may name a variable, or that reads or writes as if it did."""
    return [text for task in tasks for text in (*task.scripts, _beside_scripts(task)) if text]


def _beside_scripts(task: Task) -> str:
    """Say as a script would what the rest of a task reads and writes; its words mean nothing here."""
    names = [f"[{task.variable}]"] if task.variable else []
    names += [found[0] for text in task.texts for found in IN_TEXT.finditer(text)]
    if any(map(TEXT_ASKS_THE_RUN.search, task.texts)):
        names.append("this.run")
    names += [f"[{name}]" for name in task.looks_with]
    if task.hand_back:
        names.append("this")
    return " ".join(names)


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
