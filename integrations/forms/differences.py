"""What changed between two plans, in words: for the draft's notice and the list of versions."""

from collections.abc import Iterator

from integrations.engine.plan import (
    ChoicesFrom,
    DayOfMonth,
    FieldMap,
    Line,
    Lookup,
    ManyFound,
    NoMatch,
    NoneFound,
    Options,
    ParentColumn,
    Plan,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Variable,
    WithoutParent,
)
from integrations.forms.stages import ACTIONS, EXPECTS, KEEP, PARENT_DATA, STAGES, THEN, TYPES

OPTIONS = {
    "separator": "the separator",
    "no_data": "what no data means",
    "tasks_without_data": "whether tasks follow a source without data",
    "blank_rows": "what happens to blank rows",
    "repeated_keys": "what becomes of a key that comes twice",
    "when_busy": "what happens when busy",
    "concurrency": "how many documents go at once",
    "retry_times": "how often what was not taken is sent again",
    "retry_seconds": "how long a run waits before it sends again",
    "time_limit": "the time limit",
    "stop_after": "after how many failed documents a run stops",
    "stop_after_percent": "after how many percent failed a run stops",
    "keep_days": "how long runs are kept",
}
HTTP = {"method": "method", "path": "path", "body": "body", "expected": "expected statuses"}
FILES = {"file_name": "files", "new_name": "new name"}
TEXTS = {"to": "To", "cc": "Cc", "subject": "subject", "text": "text", "statement": "SQL", **HTTP, **FILES}
"""Texts of tasks that are too long to be quoted."""
NO_MATCH = {
    NoMatch.ERROR: "or the document fails",
    NoMatch.KEEP: "or the value as it is",
    NoMatch.BLANK: "or blank",
    NoMatch.DEFAULT: "or “{}”",
}
WITHOUT_PARENT = {WithoutParent.FAIL: "or the run fails", WithoutParent.DEFAULT: "or “{}”"}
DAYS = {
    DayOfMonth.SAME: "",
    DayOfMonth.FIRST: ", the first day of the month",
    DayOfMonth.LAST: ", the last day of the month",
}
WORDS = {"source_column": "column", "constant": "constant", "global_variable": "variable", "list_option": "option"}
NONE_FOUND = {
    NoneFound.FAIL: "or the document fails",
    NoneFound.DEFAULT: "or “{}”",
    NoneFound.RESTRICT: "or the record is left out",
}
MANY_FOUND = {
    ManyFound.FAIL: "of several the document fails",
    ManyFound.FIRST: "of several the first",
    ManyFound.DEFAULT: "of several “{}”",
    ManyFound.RESTRICT: "of several the record is left out",
}


def called(line: str, word: str = "Line") -> str:
    """Name a line in a sentence. One that calls itself a line is not called so twice."""
    return line if line.casefold().startswith("line") else f"{word} {line}"


def differences(old: Plan, new: Plan) -> list[str]:
    """Name every change from `old` to `new` in a short sentence; empty when they do the same."""
    return [
        *_source(old.source, new.source),
        *_keys(old, new),
        *_additional(old, new),
        *_target(old, new),
        *_options(old.options, new.options),
        *_tasks(old, new),
        *_variables(old, new),
    ]


def _source(old: SourceSpec, new: SourceSpec) -> Iterator[str]:
    if old.kind != new.kind:
        yield f"Source: {old.kind or 'none'} became {new.kind or 'none'}"
    if old.connection != new.connection:
        yield "Source: another connection"
    for name in sorted({*old.options, *new.options}):
        if old.options.get(name) != new.options.get(name):
            yield f"Source: {name.replace('_', ' ')} changed"
    if (old.mode, old.watermark) != (new.mode, new.watermark):
        yield f"Source: {_mode(new)} instead of {_mode(old)}"
    if old.first_value != new.first_value:
        yield f"Source: the first watermark is {new.first_value or 'empty'} instead of {old.first_value or 'empty'}"
    before, after = ({column.name: column for column in spec.columns} for spec in (old, new))
    yield from (f"Source column {name} added" for name in after if name not in before)
    yield from (f"Source column {name} removed" for name in before if name not in after)
    for name, column in after.items():
        if name in before and before[name] != column:
            yield f"Source column {name}: {before[name].type} became {column.type}"
    if list(before) != list(after) and sorted(before) == sorted(after):
        yield "Source columns in another order"


def _mode(spec: SourceSpec) -> str:
    return f"changes only, by {spec.watermark or 'no column'}" if spec.reads_changes else "everything"


def _keys(old: Plan, new: Plan) -> Iterator[str]:
    if old.key_fields != new.key_fields:
        yield f"Key fields: {', '.join(new.key_fields) or 'none'} instead of {', '.join(old.key_fields) or 'none'}"


def _additional(old: Plan, new: Plan) -> Iterator[str]:
    before, after = ({item.target: item for item in plan.additional} for plan in (old, new))
    yield from (f"Additional column {name} added: {_words(item)}" for name, item in after.items() if name not in before)
    yield from (f"Additional column {name} removed" for name in before if name not in after)
    for name, item in after.items():
        if name in before and before[name] != item:
            yield f"Additional column {name}: {_words(item)}"
    if list(before) != list(after) and sorted(before) == sorted(after):
        yield "Additional columns in another order"


def _target(old: Plan, new: Plan) -> Iterator[str]:
    if old.destination.connection != new.destination.connection or old.destination.kind != new.destination.kind:
        yield "Destination: another connection"
    if old.destination.kind == new.destination.kind:
        for name in sorted({*old.destination.options, *new.destination.options}):
            if old.destination.options.get(name) != new.destination.options.get(name):
                yield f"Destination: {name.replace('_', ' ')} changed"
    before, after = ({line.name: line for line in plan.lines} for plan in (old, new))
    yield from (f"{called(name)} added" for name in after if name not in before)
    yield from (f"{called(name)} removed" for name in before if name not in after)
    for name, line in after.items():
        if name in before:
            yield from (f"{called(name)}: {change}" for change in _line(before[name], line))
    if list(before) != list(after) and sorted(before) == sorted(after):
        yield "Lines in another order"


def _line(old: Line, new: Line) -> Iterator[str]:
    if old.target != new.target:
        yield f"{new.target or 'no target'} instead of {old.target or 'no target'}"
    if old.mode != new.mode:
        yield f"{new.mode} instead of {old.mode}"
    if old.keys != new.keys:
        yield f"key targets {', '.join(new.keys) or 'none'} instead of {', '.join(old.keys) or 'none'}"
    if old.update_blanks != new.update_blanks:
        yield f"blank values {'overwrite' if new.update_blanks else 'leave'} what is there"
    yield from _grouping(old, new)
    if old.restriction != new.restriction:
        yield "restriction changed" if new.restriction else "restriction removed"
    before, after = ({item.target: item for item in line.fields} for line in (old, new))
    yield from (f"{name} mapped to {_words(item)}" for name, item in after.items() if name not in before)
    yield from (f"{name} no longer mapped" for name in before if name not in after)
    for name, item in after.items():
        if name in before and before[name] != item:
            yield f"{name} mapped to {_words(item)}"


def _grouping(old: Line, new: Line) -> Iterator[str]:
    if old.grouped != new.grouped:
        yield "grouped" if new.grouped else "every row"
    if old.rows != new.rows:
        yield f"takes {f'the rows of {new.rows}' if new.rows else 'all rows'}"
    if dict(old.aggregates) != dict(new.aggregates):
        yield "aggregates changed"


def _words(item: FieldMap) -> str:
    if item.column_type == "calculation":
        return "a calculation"
    if item.column_type == "rolling_number":
        return "a rolling number" if item.sequence else "a rolling number, none chosen"
    if item.column_type == "parent_column":
        alone = item.parent or ParentColumn()
        rule = WITHOUT_PARENT[alone.alone].format(alone.default)
        return f"{item.value or 'no column'} of the parent's document, {rule}"
    if item.translation:
        rule = NO_MATCH[item.translation.no_match].format(item.translation.default)
        return f"a translation of {item.value or 'no column'}, {rule}"
    if item.lookup:
        how = item.lookup
        none, many = NONE_FOUND[how.none].format(how.default), MANY_FOUND[how.many].format(how.default)
        return (
            f"a lookup of {how.result or 'no field'} in {how.table or 'no table'} where {_matched(how)}, {none}, {many}"
        )
    if item.date:
        moved = f" {item.date.amount:+d} {item.date.unit}" if item.date.amount else ""
        base = "the start of the run" if item.date.of_start else item.value or "no date"
        return f"{base}{moved}{DAYS[item.date.day]}"
    return f"{WORDS[item.column_type]} {item.value}".strip()


def _options(old: Options, new: Options) -> Iterator[str]:
    for name, words in OPTIONS.items():
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield f"Options: {words}{_limits(was, now) if type(now) is int else ''}"


def _limits(was: int, now: int) -> str:
    return f", {now or 'none'} instead of {was or 'none'}"


def _tasks(old: Plan, new: Plan) -> Iterator[str]:
    before, after = ({task.name: task for task in plan.tasks} for plan in (old, new))
    yield from (
        f"Task {name} added to {STAGES[task.stage].label}" for name, task in after.items() if name not in before
    )
    yield from (f"Task {name} removed" for name in before if name not in after)
    for name, task in after.items():
        if name in before:
            yield from (f"Task {name}: {change}" for change in _task(before[name], task))
    for stage in Stage:
        there = [[task.name for task in plan.tasks if task.stage is stage] for plan in (old, new)]
        stayed = [[name for name in names if all(name in others for others in there)] for names in there]
        if stayed[0] != stayed[1]:
            yield f"{STAGES[stage].label} in another order"


def _task(old: Task, new: Task) -> Iterator[str]:
    if old.type != new.type:
        yield f"{TYPES[new.type]} instead of {TYPES[old.type]}"
    if old.stage != new.stage:
        yield f"moved to {STAGES[new.stage].label}"
    if old.enabled != new.enabled:
        yield "switched on" if new.enabled else "switched off"
    for words, before, after in (("condition", old.condition, new.condition), ("script", old.script, new.script)):
        if before != after:
            yield f"{words} {'changed' if before and after else 'added' if after else 'removed'}"
    ends = (("On Success", old.on_success, new.on_success), ("On Failure", old.on_failure, new.on_failure))
    yield from (f"{words}: {THEN[now]} instead of {THEN[was]}" for words, was, now in ends if was != now)
    if (old.variable, old.value) != (new.variable, new.value):
        sets = TaskType.SET_VARIABLE in (old.type, new.type)
        given = f" to {new.value or 'an empty text'}"
        yield f"{'sets' if sets else 'keeps its answer in'} {new.variable or 'no variable'}{given if sets else ''}"
    if old.connection != new.connection:
        yield "another connection"
    yield from _files(old, new)
    yield from _child(old, new)
    yield from (f"{words} changed" for name, words in TEXTS.items() if getattr(old, name) != getattr(new, name))
    yield from _headers(old, new)
    yield from _validation(old, new)
    if old.attach_failed != new.attach_failed:
        yield f"{'attaches' if new.attach_failed else 'no longer attaches'} the failed documents"


def _validation(old: Task, new: Task) -> Iterator[str]:
    if old.lookup != new.lookup:
        yield f"validates by {_looked_with(new.lookup)}" if new.lookup else "validates by its query"
    if old.expects != new.expects:
        yield f"valid when {EXPECTS[new.expects][:1].lower()}{EXPECTS[new.expects][1:]}"


def _looked_with(how: Lookup) -> str:
    return f"a lookup in {how.table or 'no table'} where {_matched(how)}"


def _matched(how: Lookup) -> str:
    return " and ".join(f"{match.field} is {match.column or match.variable}" for match in how.matches) or "nothing"


def _headers(old: Task, new: Task) -> Iterator[str]:
    """Name what changed; a value may hold what nobody should read."""
    before, after = ({header.name: header.value for header in task.headers} for task in (old, new))
    yield from (f"header {name} added" for name in after if name not in before)
    yield from (f"header {name} removed" for name in before if name not in after)
    yield from (f"header {name} changed" for name in after if name in before and before[name] != after[name])


def _files(old: Task, new: Task) -> Iterator[str]:
    if old.action != new.action:
        yield f"{ACTIONS[new.action].lower()} instead of {ACTIONS[old.action].lower()}"
    if old.own_file != new.own_file:
        yield "the run's own file" if new.own_file else "no longer the run's own file"
    if old.to_connection != new.to_connection:
        yield "to another folder"
    if old.overwrite != new.overwrite:
        yield f"{'replaces' if new.overwrite else 'no longer replaces'} a file that is there"


def _child(old: Task, new: Task) -> Iterator[str]:
    if old.integration != new.integration:
        yield "runs another integration"
    if old.parent_data != new.parent_data:
        yield f"data from parent: {PARENT_DATA[new.parent_data].lower()}"
    if old.use_variables != new.use_variables:
        yield f"{'uses' if new.use_variables else 'no longer uses'} the parent's variables"
    if old.hand_back != new.hand_back:
        yield f"{'hands' if new.hand_back else 'no longer hands'} its variables back"


LISTS = {
    ChoicesFrom.LIST: "its definition",
    ChoicesFrom.TABLE: "a translation table",
    ChoicesFrom.QUERY: "a query",
}


def _variables(old: Plan, new: Plan) -> Iterator[str]:
    before, after = ({item.name: item for item in plan.variables} for plan in (old, new))
    for name in sorted({*before, *after}):
        was, now = before.get(name, Variable(name=name)), after.get(name, Variable(name=name))
        if was.value != now.value:
            yield f"Variable {name}: {_value(now)}"
        if was.secure != now.secure:
            yield f"Variable {name}: {'secure' if now.secure else 'no longer secure'}"
        if was.keep != now.keep:
            yield f"Variable {name}: {KEEP[now.keep]}"
        if was.prompt != now.prompt:
            change = (
                "asked for" if was.prompt is None else "asked for in another way" if now.prompt else "not asked for"
            )
            yield f"Variable {name}: {change} when the process runs"
            if now.prompt and was.prompt and was.prompt.choices_from != now.prompt.choices_from:
                yield f"Variable {name}: its list comes from {LISTS[now.prompt.choices_from]}"


def _value(item: Variable) -> str:
    if item.value is None:
        return "the company value"
    return "another secure value" if item.secure and item.value else item.value or "an empty text"
