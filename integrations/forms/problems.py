"""What keeps a draft from being runnable, in sentences that lead to the place to change.

Pure: it looks at the plan and at what is known of its surroundings, never at a database or another system.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from integrations.connectors.spec import DestinationKind, SourceKind, TargetField
from integrations.engine.errors import DefinitionError
from integrations.engine.plan import ColumnType, FieldMap, Line, Plan, ValueType, WriteMode
from integrations.engine.typed import converter
from integrations.scripting.names import mentioned, token

NEEDS_KEYS = frozenset({WriteMode.UPSERT, WriteMode.UPDATE, WriteMode.DELETE})


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A sentence and the place that it is about: a tab, and on the Integration tab a line (from 1) and its part."""

    sentence: str
    tab: str
    line: int | None = None
    part: str = ""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is known outside the plan.

    `connections` maps public ids to names. `targets` is the target profile: the fields of each target, empty where
    the destination does not list its fields. `check` gives the first complaint about a script, or "".
    """

    sources: Mapping[str, SourceKind]
    destinations: Mapping[str, DestinationKind]
    connections: Mapping[str, str]
    targets: Mapping[str, Sequence[TargetField]] = field(default_factory=dict)
    check: Callable[[str], str] = lambda script: ""


def problems_of(plan: Plan, around: Surroundings) -> list[Problem]:
    """Give everything that keeps `plan` from being runnable, in the order of the tabs; empty when it is."""
    return [*_source(plan, around), *_target(plan, around), *_lines(plan, around)]


def nearest(name: str, names: Sequence[str]) -> str:
    """Give the name most like `name`, or ""."""
    by_folded = {folded(candidate): candidate for candidate in reversed(names)}
    found = get_close_matches(folded(name), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else ""


def folded(name: str) -> str:
    """Give a name as matching by name sees it: letters and digits only, without case."""
    return "".join(character for character in name.casefold() if character.isalnum())


def _source(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    source, kind = plan.source, around.sources.get(plan.source.kind)
    if kind is None:
        yield Problem(sentence="No kind of source is chosen.", tab="source")
        return
    if source.connection and source.connection not in around.connections:
        yield Problem(sentence="The connection of the source no longer exists. Choose another one.", tab="source")
    elif not source.connection and not kind.takes_file:
        yield Problem(sentence=f"{kind.title} needs a connection to read from.", tab="source")
    if source.connection and kind.takes_file and not source.options.get("pattern"):
        yield Problem(sentence="No file name pattern says which file to fetch.", tab="source")
    for setting in kind.settings:
        if setting.required and source.options.get(setting.name) in (None, ""):
            yield Problem(sentence=f"{setting.label} of the source is empty.", tab="source")
    names = [column.name for column in source.columns]
    if not names:
        how = "Upload a sample file" if kind.takes_file else "Read them from the connection"
        yield Problem(sentence=f"The columns of the source are not known yet. {how}.", tab="source")
        return
    yield from _columns(plan, names)


def _columns(plan: Plan, names: Sequence[str]) -> Iterator[Problem]:
    for key in plan.key_fields:
        if key not in names:
            yield Problem(sentence=f"Key field {key} is not a column of the source{_hint(key, names)}.", tab="source")
    for column in plan.source.columns:
        kinds = [
            column.type,
            *(item.type for item in _fields(plan, ColumnType.SOURCE_COLUMN) if item.value == column.name),
        ]
        if complaint := next(filter(None, (_format_complaint(kind, column.format) for kind in kinds)), ""):
            yield Problem(sentence=f"Column {column.name}: {complaint}", tab="source")
    yield from _namesakes(plan, names)


def _namesakes(plan: Plan, names: Sequence[str]) -> Iterator[Problem]:
    """Two columns that a script knows by one name: it could not say which one it means."""
    known: dict[str, str] = {}
    scripts = [item.value for item in _fields(plan, ColumnType.CALCULATION)]
    scripts += [line.restriction for line in plan.lines if line.restriction]
    looked_at = {names[index] for index in mentioned(scripts, names)}
    for name in names:
        other = known.setdefault(token(name), name)
        if other != name and looked_at & {name, other}:
            sentence = f"Scripts know {other} and {name} by one name, this.{token(name)}. Rename one in the source."
            yield Problem(sentence=sentence, tab="source")


def _fields(plan: Plan, kind: ColumnType) -> list[FieldMap]:
    return [item for line in plan.lines for item in line.fields if item.column_type is kind]


def _format_complaint(kind: ValueType, form: str) -> str:
    try:
        converter(kind, form)
    except DefinitionError as error:
        return error.sentence
    return ""


def _target(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    destination = plan.destination
    kind = around.destinations.get(destination.kind)
    if kind is None or not destination.connection:
        yield Problem(sentence="No connection is chosen for the destination.", tab="target")
        return
    if destination.connection not in around.connections:
        yield Problem(sentence="The connection of the destination no longer exists. Choose another one.", tab="target")
    for setting in kind.settings:
        if setting.required and destination.options.get(setting.name) in (None, ""):
            yield Problem(sentence=f"{setting.label} of the destination is empty.", tab="target")
    if not plan.lines:
        yield Problem(sentence="There is no line: nothing would be sent. Add one.", tab="target")


def _lines(plan: Plan, around: Surroundings) -> Iterator[Problem]:
    names = [column.name for column in plan.source.columns]
    seen: set[str] = set()
    for number, line in enumerate(plan.lines, start=1):
        if line.name in seen:
            yield Problem(sentence=f"Two lines are named {line.name}. Rename one.", tab="target", line=number)
        seen.add(line.name)
        if not line.target:
            yield Problem(sentence=f"Line {line.name} has no target.", tab="target", line=number)
            continue
        fields = around.targets.get(line.target)
        if around.targets and fields is None:
            sentence = f"Target {line.target} of line {line.name} is not found at the destination."
            yield Problem(sentence=sentence, tab="target", line=number)
        yield from _keys(number, line)
        yield from _mapping(number, line, names, fields or (), around)
        if line.restriction and (complaint := around.check(line.restriction)):
            sentence = f"Restriction of line {line.name}: {complaint}"
            yield Problem(sentence=sentence, tab="integration", line=number, part="restriction")


def _keys(number: int, line: Line) -> Iterator[Problem]:
    mapped = {item.target for item in line.fields}
    if line.mode in NEEDS_KEYS and not line.keys:
        sentence = f"Line {line.name} has no key target to find its record by."
        yield Problem(sentence=sentence, tab="target", line=number)
    for key in line.keys:
        if key not in mapped:
            sentence = f"{key} is a key of line {line.name} and not mapped."
            yield Problem(sentence=sentence, tab="integration", line=number, part="mapping")


def _mapping(
    number: int, line: Line, columns: Sequence[str], fields: Sequence[TargetField], around: Surroundings
) -> Iterator[Problem]:
    def problem(sentence: str) -> Problem:
        return Problem(sentence=sentence, tab="integration", line=number, part="mapping")

    if not line.fields:
        yield problem(f"No field of line {line.name} is mapped.")
        return
    mapped = {item.target for item in line.fields}
    known = {item.name for item in fields}
    for target in fields:
        if target.required and target.name not in mapped and target.name not in line.keys and _writes_new(line):
            yield problem(f"{target.name} of line {line.name} is required and not mapped.")
    for item in line.fields:
        if known and item.target not in known:
            yield problem(f"{item.target} is not a field of {line.target}{_hint(item.target, sorted(known))}.")
        if complaint := _complaint(item, columns, around):
            yield problem(f"{item.target} of line {line.name}: {complaint}")


def _writes_new(line: Line) -> bool:
    return line.mode in (WriteMode.UPSERT, WriteMode.INSERT)


def _complaint(item: FieldMap, columns: Sequence[str], around: Surroundings) -> str:
    match item.column_type:
        case ColumnType.SOURCE_COLUMN if not item.value:
            return "no source column is chosen."
        case ColumnType.SOURCE_COLUMN if columns and item.value not in columns:
            return f"{item.value} is not a column of the source{_hint(item.value, columns)}."
        case ColumnType.CALCULATION if not item.value.strip():
            return "the calculation is empty."
        case ColumnType.CALCULATION:
            return around.check(item.value)
    return ""


def _hint(name: str, names: Sequence[str]) -> str:
    close = nearest(name, names)
    return f". Nearest name: {close}" if close else ""
