"""Where a plan names global variables: for problems, the Variables tab, and whoever wants to change or delete one."""

from collections.abc import Iterator
from dataclasses import dataclass

from integrations.engine.plan import ColumnType, FieldMap, Plan
from integrations.engine.variables import IN_TEXT, mentioned

KINDS = {ColumnType.CALCULATION: "calculation", ColumnType.LOOKUP: "lookup"}


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A variable's name and the place that names it, in words and as `Problem` names places.

    `acts` is False where the place is switched off, so that no run comes there.
    """

    name: str
    words: str
    tab: str
    line: int | None = None
    part: str = ""
    acts: bool = True


def mentions_of(plan: Plan) -> list[Mention]:
    """Give every mention of a variable in `plan`, in the order of the tabs."""
    return [*_of_the_source(plan), *_of_lines(plan), *_of_tasks(plan), *_of_the_tab(plan)]


def translations_of(plan: Plan) -> list[Mention]:
    """Give every mention of a translation table in `plan`; the name is the table's public id."""
    return [
        Mention(name=item.translation.table, words=words, tab="integration", line=number, part=part)
        for number, part, words, item in _placed(plan)
        if item.translation and item.translation.table
    ] + [
        Mention(name=item.prompt.table, words=f"the list of {item.name}", tab="variables", part=item.name)
        for item in plan.variables
        if item.prompt and item.prompt.lists_from_elsewhere and item.prompt.table
    ]


def numbers_of(plan: Plan) -> list[Mention]:
    """Give every mention of a rolling number in `plan`; the name is its public id."""
    return [
        Mention(name=item.sequence, words=words, tab="integration", line=number, part=part)
        for number, part, words, item in _placed(plan)
        if item.sequence
    ]


def _of_the_source(plan: Plan) -> Iterator[Mention]:
    for option, names in plan.source.named.items():
        for name in sorted(names):
            yield Mention(name=name, words=f"the {option} of the source", tab="source")


def _placed(plan: Plan) -> Iterator[tuple[int, str, str, FieldMap]]:
    """Give every additional column and field with its line, the part of the line it stands in, and words for that."""
    for item in plan.additional:
        yield 1, "additional", f"the additional column {item.target}", item
    for number, line in enumerate(plan.lines, start=1):
        for item in line.fields:
            yield number, "mapping", f"the mapping of {item.target}", item


def _of_lines(plan: Plan) -> Iterator[Mention]:
    for item in plan.additional:
        for name in _read_by(item):
            words = f"the additional column {item.target}"
            yield Mention(name=name, words=words, tab="integration", line=1, part="additional")
    for number, line in enumerate(plan.lines, start=1):
        for name in sorted(set(IN_TEXT.findall(line.target))):
            yield Mention(name=name, words=f"the target of line {line.name}", tab="target", line=number)
        for item in line.fields:
            kind = KINDS.get(item.column_type, "mapping")
            for name in _read_by(item):
                words = f"the {kind} of {item.target}"
                yield Mention(name=name, words=words, tab="integration", line=number, part="mapping")
        for name in _names(line.restriction):
            words = f"the restriction of line {line.name}"
            yield Mention(name=name, words=words, tab="integration", line=number, part="restriction")


def _read_by(item: FieldMap) -> list[str]:
    return _names(item.value if item.column_type is ColumnType.CALCULATION else " ".join(item.variables))


def _of_tasks(plan: Plan) -> Iterator[Mention]:
    for number, task in enumerate(plan.tasks, start=1):
        for name in _names(" ".join((*task.scripts, task.variable, *task.texts, *task.looks_with))):
            yield Mention(name=name, words=f"task {task.name}", tab="tasks", line=number, acts=task.enabled)


def _of_the_tab(plan: Plan) -> Iterator[Mention]:
    for item in plan.variables:
        yield Mention(name=item.name, words="the Variables tab", tab="variables", part=item.name)
        for name in item.asks_with:
            yield Mention(name=name, words=f"the list of {item.name}", tab="variables", part=item.name)


def _names(text: str) -> list[str]:
    return sorted(mentioned([text]))
