"""What keeps a draft from being runnable, in sentences that lead to the place to change.

Pure: it looks at the plan and at what is known of its surroundings, never at a database or another system.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from integrations.connectors.spec import DestinationKind, SourceKind, TargetField
from integrations.engine.dates import DATED
from integrations.engine.errors import DefinitionError, SourceError
from integrations.engine.file_name import search_complaint
from integrations.engine.order import HANDED_ON
from integrations.engine.plan import (
    DOCUMENT,
    MOST,
    ROWS_OF,
    ChoicesFrom,
    ColumnType,
    FieldMap,
    Line,
    Lookup,
    NoMatch,
    Plan,
    Prompt,
    SourceSpec,
    ValueType,
    WhenBusy,
    WriteMode,
)
from integrations.engine.prompts import complaint_about
from integrations.engine.secure import is_handle
from integrations.engine.typed import converter
from integrations.engine.variables import IN_BRACKETS, named_in
from integrations.engine.watermark import WATERMARK, typed
from integrations.forms.differences import OPTIONS, called
from integrations.forms.judging import QUOTED, Problem, Surroundings, nearest_hint, of_script, of_where, secure_here
from integrations.forms.mentions import mentions_of
from integrations.forms.task_problems import of_tasks
from integrations.scripting.names import mentioned, token

NEEDS_KEYS = frozenset({WriteMode.UPSERT, WriteMode.UPDATE, WriteMode.DELETE})


def problems_of(plan: Plan, around: Surroundings) -> list[Problem]:
    """Give everything that keeps `plan` from being runnable, in the order of the tabs; empty when it is."""
    unknown = list(_unknown_variables(plan, around))

    def variables_of(tab: str) -> Iterator[Problem]:
        return (problem for problem in unknown if problem.tab == tab)

    return [
        *_source(plan, around),
        *variables_of("source"),
        *_target(plan, around),
        *_additional(plan, around),
        *_lines(plan, around),
        *variables_of("target"),
        *variables_of("integration"),
        *_options(plan),
        *of_tasks(plan, around),
        *variables_of("tasks"),
        *variables_of("variables"),
        *_unsealed(plan, around),
        *_prompts(plan, around),
    ]


def _pattern(source: SourceSpec) -> str:
    pattern = str(source.options.get("pattern") or "")
    return search_complaint(pattern) if pattern else "No file name pattern says which file to fetch."


def _source(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    source, kind = plan.source, around.sources.get(plan.source.kind)
    if kind is None:
        yield Problem(sentence="No kind of source is chosen.", tab="source")
        return
    if source.connection and source.connection not in around.connections:
        yield Problem(sentence="The connection of the source no longer exists. Choose another one.", tab="source")
    elif not source.connection and kind.needs_connection:
        yield Problem(sentence=f"{kind.title} needs a connection to read from.", tab="source")
    if source.connection and kind.takes_file and (said := _pattern(source)):
        yield Problem(sentence=said, tab="source")
    for setting in kind.settings:
        if setting.required and source.options.get(setting.name) in (None, ""):
            yield Problem(sentence=f"{setting.label} of the source is empty.", tab="source")
        text = str(source.options.get(setting.name) or "")
        for quoted in QUOTED.findall(text) if setting.name == "query" else ():
            if name := IN_BRACKETS.search(quoted):
                sentence = f"The query has [{name[1]}] inside a text. Write it alone, without quotes."
                yield Problem(sentence=sentence, tab="source")
    yield from _changes(plan, kind)
    names = [column.name for column in source.columns]
    if not names:
        how = "Upload a sample file" if kind.takes_file else "Read them from the connection"
        how = "Name those that the parent has to have" if kind.from_parent else how
        yield Problem(sentence=f"The columns of the source are not known yet. {how}.", tab="source")
        return
    yield from _columns(plan, names)


def _changes(plan: Plan, kind: SourceKind) -> Iterator[Problem]:
    source = plan.source

    def problem(sentence: str) -> Problem:
        return Problem(sentence=sentence, tab="source")

    place = kind.watermark_in
    names_it = bool(place) and WATERMARK in str(source.options.get(place) or "")
    if not source.reads_changes:
        if names_it:
            yield problem(
                f"The {place} names {WATERMARK}, and everything is read. Choose Changes only, or take it out."
            )
        return
    if not kind.reads_changes:
        yield problem(f"{kind.title} cannot be read for changes only. Choose Everything.")
        return
    if place and not names_it:
        yield problem(f"Only changes are read, and the {place} does not say where {WATERMARK} goes. Write it there.")
    if complaint := _of_watermark(source):
        yield problem(complaint)
    if source.options.get("shape") == "documents" and (not plan.key_fields or DOCUMENT in plan.key_fields):
        yield problem(
            f"Only changes are read, and {DOCUMENT} numbers the records anew in every run. Choose key fields that stay."
        )
    if plan.options.when_busy is WhenBusy.ALLOW:
        sentence = "Only changes are read, which one run does at a time. Let a second run wait or refuse it."
        yield Problem(sentence=sentence, tab="options")


def _of_watermark(source: SourceSpec) -> str:
    names = [column.name for column in source.columns]
    if not source.watermark:
        return "Only changes are read, and no column is chosen that the watermark is taken from."
    column = source.watermark_column
    if column is None:
        return (
            f"Watermark column {source.watermark} is not a column of the source{nearest_hint(source.watermark, names)}."
        )
    if column.type is ValueType.BOOLEAN:
        return f"Watermark column {column.name} is Yes / No, which has no greatest value. Choose another one."
    try:
        typed(column, source.first_value)
    except DefinitionError:
        # The format itself is wrong, which is said of the column.
        return ""
    except SourceError as error:
        return f"The first watermark: {error.sentence}"
    return ""


def _columns(plan: Plan, names: Sequence[str]) -> Iterator[Problem]:
    for key in plan.key_fields:
        if key not in names:
            yield Problem(
                sentence=f"Key field {key} is not a column of the source{nearest_hint(key, names)}.", tab="source"
            )
    read_as: dict[str, list[ValueType]] = {}
    for item in plan.fields:
        read_as.setdefault(item.column, []).append(_read_as(item))
    for column in plan.source.columns:
        kinds = dict.fromkeys([column.type, *read_as.get(column.name, ())])
        if complaint := next(filter(None, (_format_complaint(kind, column.format) for kind in kinds)), ""):
            yield Problem(sentence=f"Column {column.name}: {complaint}", tab="source")
    yield from _namesakes(plan, [*names, *plan.additional_names])


def _namesakes(plan: Plan, names: Sequence[str]) -> Iterator[Problem]:
    """Two columns that a script knows by one name: it could not say which one it means."""
    known: dict[str, str] = {}
    scripts = plan.line_scripts
    looked_at = {names[index] for index in mentioned(scripts, names)}
    for name in names:
        other = known.setdefault(token(name), name)
        if other != name and looked_at & {name, other}:
            sentence = f"Scripts know {other} and {name} by one name, this.{token(name)}. Rename one in the source."
            yield Problem(sentence=sentence, tab="source")


def _read_as(item: FieldMap) -> ValueType:
    """Give the type that a field reads its column as, in the form that the column declares."""
    if item.column_type is ColumnType.DATE_CALCULATION:
        return ValueType.DATETIME
    if item.translation is not None and item.translation.no_match is not NoMatch.KEEP:
        return ValueType.TEXT
    return item.type


def _format_complaint(kind: ValueType, form: str) -> str:
    try:
        converter(kind, form)
    except DefinitionError as error:
        return error.sentence
    return ""


def _target(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    destination = plan.destination
    kind = around.destinations.get(destination.kind)
    if kind is None or (kind.needs_connection and not destination.connection):
        yield Problem(sentence="No connection is chosen for the destination.", tab="target")
        return
    if kind.needs_connection and destination.connection not in around.connections:
        yield Problem(sentence="The connection of the destination no longer exists. Choose another one.", tab="target")
    for setting in kind.settings:
        if setting.required and destination.options.get(setting.name) in (None, ""):
            yield Problem(sentence=f"{setting.label} of the destination is empty.", tab="target")
    for sentence in kind.complaints(destination.options, plan.lines):
        yield Problem(sentence=sentence, tab="target")
    if not plan.lines:
        yield Problem(sentence="There is no line: nothing would be sent. Add one.", tab="target")


def _additional(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    """Each may read what stands before it, so that none can lead back to itself."""
    before = [column.name for column in plan.source.columns]
    # They have their page under each line; without a line there is a greater problem.
    for item in plan.additional if plan.lines else ():
        for sentence in filter(None, _of_additional(item, before, plan, around)):
            yield Problem(sentence=sentence, tab="integration", line=1, part="additional")
        before.append(item.target)


def _of_additional(item: FieldMap, before: Sequence[str], plan: Plan, around: Surroundings) -> Iterator[str]:
    names = [column.name for column in plan.all_columns]
    called = f"Additional column {item.target}"
    if item.target in before:
        yield f"{called} has the name of a column before it. Rename it."
    scripts = [item.value] if item.column_type is ColumnType.CALCULATION else []
    looked_at = [names[at] for at in mentioned(scripts, names)] if any(map(_says_what_it_reads, scripts)) else []
    later = [name for name in (*item.columns, *looked_at) if name in names and name not in before]
    if later:
        yield f"{called} reads {later[0]}, which does not stand before it. Remove one and add it again behind the other."
    elif complaint := _complaint(item, before, around) or _into_text_alone(item, secure_here(plan, around)):
        yield f"{called}: {complaint}"
    if item.lookup and item.lookup.restricts:
        yield f"{called} would leave a line out, and it belongs to all lines. Choose another rule, or map the lookup."


def _says_what_it_reads(script: str) -> bool:
    return not HANDED_ON.search(script)


def _lines(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    names = [column.name for column in plan.all_columns]
    kind = around.destinations.get(plan.destination.kind)
    seen: set[str] = set()
    for number, line in enumerate(plan.lines, start=1):
        if line.name in seen:
            yield Problem(sentence=f"Two lines are named {line.name}. Rename one.", tab="target", line=number)
        seen.add(line.name)
        if not line.target:
            what = kind.target_label.lower() if kind else "target"
            yield Problem(sentence=f"{called(line.name)} has no {what}.", tab="target", line=number)
            continue
        if kind and line.mode not in kind.modes:
            sentence = f"{called(line.name)} says {line.mode}, which its destination does not do. Save the Target tab."
            yield Problem(sentence=sentence, tab="target", line=number)
        for name in sorted(named_in(line.target).intersection(secure_here(plan, around))):
            sentence = f"{called(line.name)} has {name} in its target, which everyone sees, and its value is secure."
            yield Problem(sentence=f"{sentence} Take it out.", tab="target", line=number)
        fields = around.targets.get(line.target)
        if around.targets and fields is None:
            sentence = f"Target {line.target} of {called(line.name, 'line')} is not found at the destination."
            yield Problem(sentence=sentence, tab="target", line=number)
        if line.rows and ROWS_OF not in names:
            sentence = f"{called(line.name)} takes the rows of {line.rows}, and the source is not read as documents."
            yield Problem(sentence=sentence, tab="integration", line=number, part="grouping")
        yield from _keys(number, line)
        yield from _mapping(plan, number, line, names, fields or (), around)
        if line.restriction and (complaint := of_script(line.restriction, names, around)):
            sentence = f"Restriction of {called(line.name, 'line')}: {complaint}"
            yield Problem(sentence=sentence, tab="integration", line=number, part="restriction")


def _keys(number: int, line: Line) -> Iterator[Problem]:
    mapped = {item.target for item in line.fields}
    if line.mode in NEEDS_KEYS and not line.keys:
        sentence = f"{called(line.name)} has no key target to find its record by."
        yield Problem(sentence=sentence, tab="target", line=number)
    for key in line.keys:
        if key not in mapped:
            sentence = f"{key} is a key of {called(line.name, 'line')} and not mapped."
            yield Problem(sentence=sentence, tab="integration", line=number, part="mapping")


def _mapping(
    plan: Plan, number: int, line: Line, columns: Sequence[str], fields: Sequence[TargetField], around: Surroundings
) -> Iterator[Problem]:
    def problem(sentence: str) -> Problem:
        return Problem(sentence=sentence, tab="integration", line=number, part="mapping")

    if not line.fields:
        yield problem(f"No field of {called(line.name, 'line')} is mapped.")
        return
    mapped = {item.target for item in line.fields}
    secure = secure_here(plan, around)
    kind = around.destinations.get(plan.destination.kind)
    known = {item.name for item in fields}
    for target in fields:
        if target.required and target.name not in mapped and target.name not in line.keys and _writes_new(line):
            yield problem(f"{target.name} of {called(line.name, 'line')} is required and not mapped.")
    for item in line.fields:
        if known and item.target not in known:
            yield problem(f"{item.target} is not a field of {line.target}{nearest_hint(item.target, sorted(known))}.")
        complaint = _complaint(item, columns, around) or _into_text_alone(item, secure)
        if complaint := complaint or _into_a_file(item, kind, secure):
            yield problem(f"{item.target} of {called(line.name, 'line')}: {complaint}")


def _writes_new(line: Line) -> bool:
    return line.mode in (WriteMode.UPSERT, WriteMode.INSERT)


def _complaint(item: FieldMap, columns: Sequence[str], around: Surroundings) -> str:
    if item.column_type is ColumnType.DATE_CALCULATION and (complaint := _of_date(item)):
        return complaint
    if item.column_type in (ColumnType.SOURCE_COLUMN, ColumnType.TRANSLATION) and not item.value:
        return "no source column is chosen."
    if columns and (missing := next((name for name in item.columns if name not in columns), "")):
        return f"{missing} is not a column of the source{nearest_hint(missing, columns)}."
    match item.column_type:
        case ColumnType.GLOBAL_VARIABLE if not item.value:
            return "no global variable is chosen."
        case ColumnType.CALCULATION:
            return of_script(item.value, columns, around) if item.value.strip() else "the calculation is empty."
    judge = OF_COLUMN_TYPE.get(item.column_type)
    return judge(item, around) if judge else ""


def _of_date(item: FieldMap) -> str:
    if item.type not in DATED:
        return f"a date calculation gives a date, and the field is {item.type}."
    if not item.value and not (item.date and item.date.of_start):
        return "no date to begin with is chosen."
    return ""


def _of_translation(item: FieldMap, around: Surroundings) -> str:
    table = item.translation.table if item.translation else ""
    if not table:
        return "no translation table is chosen."
    return "" if table in around.tables else "its translation table no longer exists. Choose another one."


def _of_option(item: FieldMap, around: Surroundings) -> str:
    if not item.value:
        return "no option is chosen."
    return "" if item.value in item.choices else f"{item.value} is no option of its list."


def _of_number(item: FieldMap, around: Surroundings) -> str:
    if not item.sequence:
        return "no rolling number is chosen."
    prefix = around.sequences.get(item.sequence)
    if prefix is None:
        return "its rolling number no longer exists. Choose another one."
    if item.type not in (ValueType.TEXT, ValueType.INTEGER, ValueType.DECIMAL):
        return f"a rolling number is no {item.type}."
    if prefix and item.type is not ValueType.TEXT:
        return f"its rolling number begins with {prefix}, and the field is {item.type}."
    return ""


def _of_parent_column(item: FieldMap, around: Surroundings) -> str:
    if not item.value:
        return "no column of the parent is named."
    convert = converter(item.type, item.format)
    if convert is None or item.parent is None or item.needs_a_parent:
        return ""
    try:
        convert(item.parent.default)
    except ValueError as error:
        return f"its default “{item.parent.default[:80]}” is not {error}."
    return ""


def _of_lookup(item: FieldMap, around: Surroundings) -> str:
    how = item.lookup or Lookup()
    if complaint := of_where(how, around):
        return complaint
    return "" if how.result else "the lookup says no field to take."


OF_COLUMN_TYPE: Mapping[ColumnType, Callable[[FieldMap, Surroundings], str]] = {
    ColumnType.TRANSLATION: _of_translation,
    ColumnType.LOOKUP: _of_lookup,
    ColumnType.LIST_OPTION: _of_option,
    ColumnType.ROLLING_NUMBER: _of_number,
    ColumnType.PARENT_COLUMN: _of_parent_column,
}
"""What is said of the fields of these types, or ""."""


def _into_text_alone(item: FieldMap, secure: Collection[str]) -> str:
    if item.column_type is ColumnType.LOOKUP and (named := next(filter(secure.__contains__, item.variables), "")):
        return f"{named} is secure and cannot be looked up."
    if item.column_type is not ColumnType.GLOBAL_VARIABLE or item.value not in secure or item.type is ValueType.TEXT:
        return ""
    return f"{item.value} is secure and goes into text alone, and the field is {item.type}."


def _into_a_file(item: FieldMap, kind: DestinationKind | None, secure: Collection[str]) -> str:
    takes = kind is None or kind.takes_secrets
    if takes or item.column_type is not ColumnType.GLOBAL_VARIABLE or item.value not in secure:
        return ""
    return f"{item.value} is secure, and a file is read by whoever opens it. Choose another column type."


def _unknown_variables(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    for mention in mentions_of(plan):
        if not mention.acts or mention.name in around.variables:
            continue
        where = mention.words[:1].upper() + mention.words[1:]
        sentence = f"{where} names {mention.name}, which is no global variable"
        hint = nearest_hint(mention.name, sorted(around.variables)) or ". Create it under Global Variables"
        yield Problem(sentence=f"{sentence}{hint}.", tab=mention.tab, line=mention.line, part=mention.part)


def _unsealed(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    """Own values from before their variable became secure: they lie in the clear."""
    for item in plan.variables:
        if item.name in around.secure and item.value and not is_handle(item.value):
            sentence = f"{item.name} is secure now, and this process's own value of it is not. Enter it again."
            yield Problem(sentence=sentence, tab="variables", part=item.name)


def _prompts(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    secure = secure_here(plan, around)
    for item in plan.variables:
        if item.prompt and (complaint := complaint_about(item.prompt, secure=item.name in secure)):
            sentence = f"{item.name} cannot be asked for when this runs: {complaint}"
            yield Problem(sentence=sentence, tab="variables", part=item.name)
        elif item.prompt and item.prompt.lists_from_elsewhere and (gone := _gone(item.prompt, around)):
            sentence = f"{item.name} cannot be asked for when this runs: the {gone} of its list no longer exists. Choose another one."
            yield Problem(sentence=sentence, tab="variables", part=item.name)
        for name in sorted(secure.intersection(item.asks_with)):
            sentence = f"The list of {item.name} is asked with {name}, whose value is secure. Take it out: people see the list."
            yield Problem(sentence=sentence, tab="variables", part=item.name)


def _gone(prompt: Prompt, around: Surroundings) -> str:
    if prompt.choices_from is ChoicesFrom.TABLE:
        return "" if prompt.table in around.tables else "translation table"
    return "" if prompt.connection in around.connections else "connection"


def _options(plan: Plan) -> Iterator[Problem]:
    for name, most in MOST.items():
        if not 0 <= (limit := getattr(plan.options, name)) <= most:
            words = OPTIONS[name][:1].upper() + OPTIONS[name][1:]
            sentence = f"{words} is {limit:,}. Enter a number from 1 to {most:,}, or nothing for no limit."
            yield Problem(sentence=sentence, tab="options", part=name)
