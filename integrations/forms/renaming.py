"""A column of the source under another name: what names it in the plan follows, but for scripts and texts."""

from collections.abc import Mapping
from dataclasses import replace

from integrations.engine.plan import READS_A_COLUMN, FieldMap, Line, Lookup, Plan, Task


def renamed(plan: Plan, names: Mapping[str, str]) -> Plan:
    """Give `plan` with the columns called by their new names wherever they are chosen: `names` maps old to new.

    The columns of the source itself stay. What scripts and texts say is people's own: it stays, and the problems of the
    draft name it.
    """
    if not names:
        return plan
    return replace(
        plan,
        source=replace(plan.source, watermark=names.get(plan.source.watermark, plan.source.watermark)),
        key_fields=tuple(names.get(key, key) for key in plan.key_fields),
        additional=tuple(_field(item, names) for item in plan.additional),
        lines=tuple(_line(line, names) for line in plan.lines),
        tasks=tuple(_task(task, names) for task in plan.tasks),
    )


def _line(line: Line, names: Mapping[str, str]) -> Line:
    return replace(
        line,
        aggregates={names.get(name, name): word for name, word in line.aggregates.items()},
        fields=tuple(_field(item, names) for item in line.fields),
    )


def _field(item: FieldMap, names: Mapping[str, str]) -> FieldMap:
    value = names.get(item.value, item.value) if item.column_type in READS_A_COLUMN else item.value
    return replace(item, value=value, lookup=_lookup(item.lookup, names))


def _task(task: Task, names: Mapping[str, str]) -> Task:
    return replace(task, lookup=_lookup(task.lookup, names))


def _lookup(lookup: Lookup | None, names: Mapping[str, str]) -> Lookup | None:
    if lookup is None:
        return None
    matches = (replace(match, column=names.get(match.column, match.column)) for match in lookup.matches)
    return replace(lookup, matches=tuple(matches))
