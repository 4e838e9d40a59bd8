"""A `Plan` is everything a run needs to know of its process: frozen, plain data, to and from JSON.

It names connections by their public id and never holds a secret. A `ProcessVersion` row stores one plan; a run
points at one, so what ran is known for ever.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from integrations.engine.variables import IN_TEXT


class ValueType(StrEnum):
    """The declared type of a source column or target field. Text stays text: nothing is guessed."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"


DOCUMENT, ROWS_OF = "Document", "Rows of"
"""Columns of a nested source that is read as documents: the number of the record, and the path of the list a row is of."""


class ColumnType(StrEnum):
    """Where a target field's value comes from (the *column type* of the mapping grid)."""

    SOURCE_COLUMN = "source_column"
    CALCULATION = "calculation"
    CONSTANT = "constant"
    GLOBAL_VARIABLE = "global_variable"
    TRANSLATION = "translation"
    DATE_CALCULATION = "date_calculation"
    LOOKUP = "lookup"
    LIST_OPTION = "list_option"
    ROLLING_NUMBER = "rolling_number"
    PARENT_COLUMN = "parent_column"


class NoMatch(StrEnum):
    """What becomes of a value that a translation table has no row for."""

    ERROR = "error"
    KEEP = "keep"
    BLANK = "blank"
    DEFAULT = "default"


class NoneFound(StrEnum):
    """What becomes of a record for which a lookup finds no row."""

    FAIL = "fail"
    DEFAULT = "default"
    RESTRICT = "restrict"


class ManyFound(StrEnum):
    """What becomes of a record for which a lookup finds more than one row."""

    FAIL = "fail"
    FIRST = "first"
    DEFAULT = "default"
    RESTRICT = "restrict"


class WithoutParent(StrEnum):
    """What becomes of a field of the parent's document in a run that no such document started."""

    FAIL = "fail"
    DEFAULT = "default"


READS_A_COLUMN = frozenset({ColumnType.SOURCE_COLUMN, ColumnType.TRANSLATION, ColumnType.DATE_CALCULATION})


class DateUnit(StrEnum):
    """What a date is moved by."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"


class DayOfMonth(StrEnum):
    """The day that a moved date goes to."""

    SAME = "same"
    FIRST = "first"
    LAST = "last"


class Aggregate(StrEnum):
    """How a column that is not a key becomes one value when a line is grouped."""

    FIRST = "first"
    LAST = "last"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    CONCAT = "concat"


class WriteMode(StrEnum):
    """What a line does to its target. UPSERT decides created, updated or unchanged by the key targets."""

    UPSERT = "upsert"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class Stage(StrEnum):
    """The stages of a run at which tasks stand, in the order a run passes them."""

    INTEGRATION_PRE = "integration_pre"
    VALIDATION = "validation"
    DOCUMENT_PRE = "document_pre"
    DOCUMENT_POST_SUCCESS = "document_post_success"
    DOCUMENT_POST_FAILURE = "document_post_failure"
    INTEGRATION_POST_SUCCESS = "integration_post_success"
    INTEGRATION_POST_FAILURE = "integration_post_failure"
    INTEGRATION_POST_ALWAYS = "integration_post_always"


DOCUMENT_STAGES = frozenset({Stage.DOCUMENT_PRE, Stage.DOCUMENT_POST_SUCCESS, Stage.DOCUMENT_POST_FAILURE})
EVERYTHING_SENT = frozenset(
    {Stage.INTEGRATION_POST_SUCCESS, Stage.INTEGRATION_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS}
)


class TaskType(StrEnum):
    """What a task does."""

    RUN_SCRIPT = "run_script"
    RUN_INTEGRATION = "run_integration"
    SEND_EMAIL = "send_email"
    RUN_SQL = "run_sql"
    CALL_HTTP = "call_http"
    FILE = "file"
    VALIDATION = "validation"
    SET_VARIABLE = "set_variable"


STAYS_INSIDE = frozenset({TaskType.RUN_SCRIPT, TaskType.SET_VARIABLE})
"""Tasks that wait for no other system."""
VALIDATES_AT = frozenset({Stage.INTEGRATION_PRE, Stage.VALIDATION, Stage.DOCUMENT_PRE})
"""Where a validation may stand: while what it finds wrong can still be kept from being sent."""


class FileAction(StrEnum):
    """What a file task does to the files it finds. *Archive* is a move that dates the names."""

    COPY = "copy"
    MOVE = "move"
    DELETE = "delete"
    ARCHIVE = "archive"


class Expects(StrEnum):
    """What the query of a validation has to give."""

    ROW = "row"
    NO_ROW = "no_row"


class ParentData(StrEnum):
    """Which rows of its parent a child run reads instead of its own source (*Use data from parent*)."""

    NONE = "none"
    ALL = "all"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Then(StrEnum):
    """What follows a task (its *On Success* and *On Failure*)."""

    NEXT = "next"
    QUIT = "quit"
    CANCEL = "cancel"


class Keep(StrEnum):
    """Whether the value a run leaves in a variable becomes the value of the process."""

    NEVER = "never"
    ON_SUCCESS = "on_success"
    ALWAYS = "always"


class SourceMode(StrEnum):
    """What of its source a run reads."""

    BULK = "bulk"
    CHANGES = "changes"


class WhenBusy(StrEnum):
    """What a second run of the same process does while the first is not finished."""

    WAIT = "wait"
    REFUSE = "refuse"
    ALLOW = "allow"


class NoData(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"


class BlankRows(StrEnum):
    KEEP = "keep"
    DROP = "drop"
    DROP_BLANK_KEYS = "drop_blank_keys"


class RepeatedKeys(StrEnum):
    """What becomes of a document whose key comes twice in the source."""

    ONE_DOCUMENT = "one_document"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A source column as the process remembers it. `format` is the declared date order or decimal mark, if any."""

    name: str
    type: ValueType = ValueType.TEXT
    format: str = ""


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """Where rows come from: a source `kind` of a connector, its options, and the columns that must be there.

    With the mode *changes only*, a run reads what lies behind the greatest value that earlier runs met in the column
    `watermark`; the first one reads what lies behind `first_value`, or everything.
    """

    kind: str
    connection: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    mode: SourceMode = SourceMode.BULK
    watermark: str = ""
    first_value: str = ""

    @property
    def reads_changes(self) -> bool:
        return self.mode is SourceMode.CHANGES

    @property
    def watermark_column(self) -> Column | None:
        """The column of the watermark with its declared type; None while it is not among the columns."""
        return next((column for column in self.columns if column.name == self.watermark), None)

    @property
    def named(self) -> dict[str, list[str]]:
        """The variables that the options name in brackets, by the option in words."""
        texts = {name: value for name, value in self.options.items() if isinstance(value, str)}
        found = {name.replace("_", " "): IN_TEXT.findall(text) for name, text in texts.items()}
        found = {option: [name.partition(".")[0] for name in names] for option, names in found.items()}
        return {option: list(dict.fromkeys(names)) for option, names in found.items() if names}


@dataclass(frozen=True, kw_only=True)
class DestinationSpec:
    """Where documents go: a destination `kind` of a connector and the public id of its connection."""

    kind: str
    connection: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Translation:
    """How a translated field finds its value: the public id of the table, and what becomes of what is not in it."""

    table: str = ""
    no_match: NoMatch = NoMatch.ERROR
    default: str = ""


@dataclass(frozen=True, kw_only=True)
class ParentColumn:
    """What a field of the parent's document is in a run that no such document started."""

    alone: WithoutParent = WithoutParent.FAIL
    default: str = ""


@dataclass(frozen=True, kw_only=True)
class DateCalculation:
    """How a date is calculated: from the start of the run (`of_start`) or a source column, moved by `amount`."""

    of_start: bool = False
    amount: int = 0
    unit: DateUnit = DateUnit.DAYS
    day: DayOfMonth = DayOfMonth.SAME


@dataclass(frozen=True, kw_only=True)
class Match:
    """What a lookup compares: a field of the table with a column of the record, or with a global variable."""

    field: str
    column: str = ""
    variable: str = ""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """How a value is looked up: in `table` at a connection, in the row where all `matches` hold, its field `result`.

    Of several rows the first is the one with the smallest result.
    """

    connection: str = ""
    table: str = ""
    matches: tuple[Match, ...] = ()
    result: str = ""
    none: NoneFound = NoneFound.FAIL
    many: ManyFound = ManyFound.FAIL
    default: str = ""

    @property
    def is_complete(self) -> bool:
        """True when it says where to look, what to match and what to take."""
        return self.asks and bool(self.result)

    @property
    def asks(self) -> bool:
        """True when it says where to look and what to match."""
        return bool(self.connection and self.table and self.matches)

    @property
    def restricts(self) -> bool:
        """True when it may leave records out."""
        return self.none is NoneFound.RESTRICT or self.many is ManyFound.RESTRICT


@dataclass(frozen=True, kw_only=True)
class FieldMap:
    """One target field. `value` is, by `column_type`, a column name, a script body, the constant itself, the name of
    a global variable, of a column of the parent, or the option chosen of a list. A translated field has its `translation` besides the column, a
    calculated date its `date`, one that is looked up its `lookup`, one of a list the `choices` of that list, one of the
    parent's document its `parent`. A rolling
    number is the next one of its `sequence`, a public id."""

    target: str
    column_type: ColumnType = ColumnType.SOURCE_COLUMN
    value: str = ""
    type: ValueType = ValueType.TEXT
    format: str = ""
    required: bool = False
    translation: Translation | None = None
    date: DateCalculation | None = None
    lookup: Lookup | None = None
    choices: tuple[str, ...] = ()
    sequence: str = ""
    parent: ParentColumn | None = None

    @property
    def column(self) -> str:
        """The column that this field takes its value from, or ""."""
        return self.value if self.column_type in READS_A_COLUMN else ""

    @property
    def needs_a_parent(self) -> bool:
        """True when it takes a value of the parent's document and says none that stands without one."""
        has_default = self.parent is not None and self.parent.alone is WithoutParent.DEFAULT
        return self.column_type is ColumnType.PARENT_COLUMN and not has_default

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that this field reads."""
        matched = self.lookup.matches if self.lookup else ()
        return tuple(name for name in (self.column, *(match.column for match in matched)) if name)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every global variable that this field reads, but for what scripts say."""
        own = self.value if self.column_type is ColumnType.GLOBAL_VARIABLE else ""
        matched = self.lookup.matches if self.lookup else ()
        return tuple(name for name in (own, *(match.variable for match in matched)) if name)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One target of a document inside the destination (a header line, an item line …).

    `grouped` sends one record a document, its columns reduced by `aggregates` (First where none is named);
    otherwise every row is a record. `rows` is the path of the list whose rows it takes, where a nested source is read as
    documents; empty takes all. `keys` are target fields that identify a record at the destination.
    `restriction` is a script body: true sends, false leaves the record out; empty sends everything. Without
    `update_blanks`, a blank value leaves what a record that is there already has.
    """

    name: str
    target: str
    mode: WriteMode = WriteMode.UPSERT
    keys: tuple[str, ...] = ()
    grouped: bool = True
    rows: str = ""
    aggregates: Mapping[str, Aggregate] = field(default_factory=dict)
    fields: tuple[FieldMap, ...] = ()
    restriction: str = ""
    update_blanks: bool = True


@dataclass(frozen=True, kw_only=True)
class Header:
    """A header of a request. Its value may hold names in brackets."""

    name: str
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A step at a stage of a run. `condition` is a script body: false skips the task; empty never does.

    `script` is the body of a *Run Script* task; `variable` and `value` belong to *Set Variable*, whose value may name
    other variables as `[GBL_NAME]`. *Run Integration* names a process by its public id; the child reads `parent_data`,
    takes the parent's variables with `use_variables` and hands its own back with `hand_back`.
    *Send E-mail* sends `text` to the addresses in `to` and `cc`, with the failed documents if `attach_failed`.

    *Run SQL* executes `statement` at `connection`; `variable` takes the first value it gives, if there is one.

    *Call HTTP* sends `body` with its `headers` to `path` at `connection` and goes well for the `expected` statuses; `variable` takes the
    answer's body. *Validation* asks the query `statement` at `connection`, or its `lookup` about
    every row, and fails unless it finds what it `expects`.

    *File* does its `action` to the files at `connection` whose names match `file_name`, or to the `own_file` that the
    run has read; they go to the folder `to_connection` under their `new_name`, over another file with `overwrite`.

    Texts that are no scripts may hold names in brackets (`engine.variables.filled`).
    """

    name: str
    type: TaskType
    stage: Stage
    enabled: bool = True
    condition: str = ""
    on_success: Then = Then.NEXT
    on_failure: Then = Then.QUIT
    script: str = ""
    variable: str = ""
    value: str = ""
    integration: str = ""
    parent_data: ParentData = ParentData.NONE
    use_variables: bool = False
    hand_back: bool = False
    to: str = ""
    cc: str = ""
    subject: str = ""
    text: str = ""
    attach_failed: bool = False
    connection: str = ""
    statement: str = ""
    method: str = "POST"
    path: str = ""
    body: str = ""
    headers: tuple[Header, ...] = ()
    expected: str = ""
    expects: Expects = Expects.ROW
    lookup: Lookup | None = None
    action: FileAction = FileAction.COPY
    own_file: bool = False
    file_name: str = ""
    to_connection: str = ""
    new_name: str = ""
    overwrite: bool = False

    @property
    def scripts(self) -> tuple[str, ...]:
        return (self.condition, self.script)

    @property
    def looks_with(self) -> tuple[str, ...]:
        """The variables that its lookup compares."""
        return tuple(match.variable for match in self.lookup.matches if match.variable) if self.lookup else ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is filled in when the task is done."""
        headers = (header.value for header in self.headers)
        email = (self.to, self.cc, self.subject, self.text)
        return (self.value, *email, self.statement, self.path, self.body, *headers, self.file_name, self.new_name)


class PromptType(StrEnum):
    """What is asked for when a process runs."""

    TEXT = "text"
    NUMBER = "number"
    YES_NO = "yes_no"
    DATE = "date"
    DATETIME = "datetime"
    DATE_RANGE = "date_range"
    PERIOD = "period"
    CHOICE = "choice"
    CHOICES = "choices"


class ChoicesFrom(StrEnum):
    """Where the list of a prompt comes from."""

    LIST = "list"
    TABLE = "translation"
    QUERY = "query"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A variable is asked for when the process runs. `label` is what people read, or the variable's name.

    `place` is where it stands in the panel, where required ones come first; None is behind those that have one.
    `default` is the answer where nobody gives one. `minimum` and `maximum` limit numbers and dates, `length` and
    `pattern` (`engine.prompts.SIGNS`) limit text. A list offers its `choices`, the keys of the translation `table`, or
    what `query` gives at `connection`: a value, and in a second column its label.
    """

    label: str = ""
    help: str = ""
    type: PromptType = PromptType.TEXT
    default: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    choices_from: ChoicesFrom = ChoicesFrom.LIST
    table: str = ""
    connection: str = ""
    query: str = ""
    minimum: str = ""
    maximum: str = ""
    length: int | None = None
    pattern: str = ""
    place: int | None = None

    @property
    def lists_from_elsewhere(self) -> bool:
        """True where what is offered is not written here."""
        return self.type in (PromptType.CHOICE, PromptType.CHOICES) and self.choices_from is not ChoicesFrom.LIST


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A global variable as the process uses it. `value` overrides the company's; None inherits it. That of a `secure`
    one is a handle (`engine.secure`)."""

    name: str
    value: str | None = None
    keep: Keep = Keep.NEVER
    secure: bool = False
    prompt: Prompt | None = None

    @property
    def asked_as(self) -> str:
        """What people read where it is asked for."""
        return (self.prompt and self.prompt.label) or self.name

    @property
    def asks_with(self) -> list[str]:
        """The variables that the query of its list names in brackets."""
        query = self.prompt.query if self.prompt and self.prompt.lists_from_elsewhere else ""
        return list(dict.fromkeys(name.partition(".")[0] for name in IN_TEXT.findall(query)))


MOST: Mapping[str, int] = {
    "time_limit": 7 * 24 * 60,
    "stop_after": 10_000_000,
    "stop_after_percent": 100,
    "concurrency": 100,
    "retry_times": 20,
    "retry_seconds": 3_600,
    "keep_days": 3_650,
}
"""The most that each limit of `Options` may be."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The Options tab. A limit of 0 is none.

    `tasks_without_data`: the tasks behind everything follow a source without a row, too. `time_limit` is in minutes
    from the start of the run. `stop_after` counts documents that failed, `stop_after_percent` is of all documents of
    the source. `concurrency` is how many documents may be under way to the destination at once; 0 leaves it to the
    connection. What was not taken for a reason that passes is sent again `retry_times` times, `retry_seconds` apart, while
    the run waits. `keep_days` is how long a run that has ended is kept; 0 keeps it for ever.
    """

    separator: str = "|"
    no_data: NoData = NoData.SUCCESS
    tasks_without_data: bool = True
    blank_rows: BlankRows = BlankRows.KEEP
    repeated_keys: RepeatedKeys = RepeatedKeys.ONE_DOCUMENT
    when_busy: WhenBusy = WhenBusy.WAIT
    time_limit: int = 0
    stop_after: int = 0
    stop_after_percent: int = 0
    concurrency: int = 0
    retry_times: int = 0
    retry_seconds: int = 60
    keep_days: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one run does, from source to destination.

    `additional` columns stand behind those of the source in every row, in their order; each may read the ones before
    it. Their `target` is their name.
    """

    process: str
    source: SourceSpec
    destination: DestinationSpec
    key_fields: tuple[str, ...] = ()
    additional: tuple[FieldMap, ...] = ()
    lines: tuple[Line, ...] = ()
    tasks: tuple[Task, ...] = ()
    variables: tuple[Variable, ...] = ()
    options: Options = Options()

    @property
    def has_scripts(self) -> bool:
        """True when anything needs the script child: a restriction, a calculation, a task's script or condition."""
        return bool(self.line_scripts) or any(task.script or task.condition for task in self.active_tasks)

    @property
    def line_scripts(self) -> tuple[str, ...]:
        """The restrictions and calculations of all lines and the additional columns, as far as there are any."""
        found = list(self.additional_scripts)
        for line in self.lines:
            found += [line.restriction, *(f.value for f in line.fields if f.column_type is ColumnType.CALCULATION)]
        return tuple(script for script in found if script)

    @property
    def additional_scripts(self) -> tuple[str, ...]:
        """The calculations of the additional columns."""
        return tuple(f.value for f in self.additional if f.column_type is ColumnType.CALCULATION and f.value)

    @property
    def additional_names(self) -> tuple[str, ...]:
        return tuple(item.target for item in self.additional)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns that a line has to choose from: those of the source, then the additional ones."""
        return (*self.source.columns, *(Column(name=item.target, type=item.type) for item in self.additional))

    @property
    def script_lines(self) -> tuple[Line, ...]:
        """The lines as scripts see them: one for each calculated additional column, then those of the process."""
        calculated = (item for item in self.additional if item.column_type is ColumnType.CALCULATION)
        return (*(Line(name=item.target, target="", fields=(item,)) for item in calculated), *self.lines)

    @property
    def fields(self) -> tuple[FieldMap, ...]:
        """The additional columns and the mapped fields of all lines."""
        return (*self.additional, *(item for line in self.lines for item in line.fields))

    @property
    def mapped_variables(self) -> tuple[str, ...]:
        """The global variables that fields take their values from."""
        return tuple(name for item in self.fields for name in item.variables)

    @property
    def translations(self) -> tuple[Translation, ...]:
        """How the translated fields find their values."""
        found = (f.translation for f in self.fields if f.column_type is ColumnType.TRANSLATION)
        return tuple(item for item in found if item is not None)

    @property
    def numbered(self) -> tuple[FieldMap, ...]:
        """The fields that are rolling numbers."""
        return tuple(f for f in self.fields if f.column_type is ColumnType.ROLLING_NUMBER)

    @property
    def of_the_parent(self) -> tuple[FieldMap, ...]:
        """The fields that take a value of the parent's document."""
        return tuple(f for f in self.fields if f.column_type is ColumnType.PARENT_COLUMN)

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """How the fields that are looked up find their values."""
        found = (f.lookup for f in self.fields if f.column_type is ColumnType.LOOKUP)
        return tuple(item for item in found if item is not None)

    @property
    def active_tasks(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.enabled)

    @property
    def asked(self) -> tuple[Variable, ...]:
        """The variables that are asked for, as they stand in the panel: required ones first, then by their places."""

        def order(item: Variable) -> tuple[bool, bool, int]:
            prompt = item.prompt or Prompt()
            return not prompt.required, prompt.place is None, prompt.place or 0

        return tuple(sorted((item for item in self.variables if item.prompt), key=order))

    def tasks_at(self, stage: Stage) -> tuple[Task, ...]:
        """The enabled tasks of a stage, in their order."""
        return tuple(task for task in self.active_tasks if task.stage is stage)

    def to_json(self) -> dict[str, Any]:
        """Give the plan as JSON-ready data; `from_json` of it is equal to this plan."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build a plan from stored JSON. Unknown words raise `ValueError`: a plan is never read approximately."""
        return cls(
            process=data["process"],
            source=_source(data["source"]),
            destination=DestinationSpec(**data["destination"]),
            key_fields=tuple(data.get("key_fields", ())),
            additional=tuple(_field(item) for item in data.get("additional", ())),
            lines=tuple(_line(item) for item in data.get("lines", ())),
            tasks=tuple(_task(item) for item in data.get("tasks", ())),
            variables=tuple(_variable(item) for item in data.get("variables", ())),
            options=_options(data.get("options", {})),
        )


def _source(data: Mapping[str, Any]) -> SourceSpec:
    columns = tuple(Column(**{**item, "type": ValueType(item["type"])}) for item in data.get("columns", ()))
    return SourceSpec(**{**data, "columns": columns, "mode": SourceMode(data.get("mode", "bulk"))})


def _line(data: Mapping[str, Any]) -> Line:
    return Line(
        **{
            **data,
            "mode": WriteMode(data["mode"]),
            "keys": tuple(data.get("keys", ())),
            "aggregates": {name: Aggregate(word) for name, word in data.get("aggregates", {}).items()},
            "fields": tuple(_field(item) for item in data.get("fields", ())),
        }
    )


def _field(data: Mapping[str, Any]) -> FieldMap:
    translation, date, parent = data.get("translation"), data.get("date"), data.get("parent")
    return FieldMap(
        **{
            **data,
            "column_type": ColumnType(data["column_type"]),
            "type": ValueType(data.get("type", "text")),
            "translation": translation and Translation(**{**translation, "no_match": NoMatch(translation["no_match"])}),
            "date": date
            and DateCalculation(**{**date, "unit": DateUnit(date["unit"]), "day": DayOfMonth(date["day"])}),
            "lookup": _lookup(data.get("lookup")),
            "choices": tuple(data.get("choices", ())),
            "parent": parent and ParentColumn(**{**parent, "alone": WithoutParent(parent["alone"])}),
        }
    )


def _lookup(data: Mapping[str, Any] | None) -> Lookup | None:
    if not data:
        return None
    matches = tuple(Match(**item) for item in data["matches"])
    return Lookup(**{**data, "matches": matches, "none": NoneFound(data["none"]), "many": ManyFound(data["many"])})


def _variable(data: Mapping[str, Any]) -> Variable:
    prompt = data.get("prompt")
    if prompt is not None:
        words = {
            "type": PromptType(prompt.get("type", "text")),
            "choices": tuple(prompt.get("choices", ())),
            "choices_from": ChoicesFrom(prompt.get("choices_from", "list")),
        }
        prompt = Prompt(**{**prompt, **words})
    return Variable(**{**data, "keep": Keep(data["keep"]), "prompt": prompt})


def _task(data: Mapping[str, Any]) -> Task:
    words: dict[str, type[StrEnum]] = {
        "type": TaskType,
        "stage": Stage,
        "on_success": Then,
        "on_failure": Then,
        "parent_data": ParentData,
        "expects": Expects,
        "action": FileAction,
    }
    given: dict[str, Any] = {name: words[name](value) if name in words else value for name, value in data.items()}
    headers = tuple(Header(**item) for item in data.get("headers", ()))
    return Task(**{**given, "headers": headers, "lookup": _lookup(data.get("lookup"))})


def _options(data: Mapping[str, Any]) -> Options:
    words: dict[str, type[StrEnum]] = {
        "no_data": NoData,
        "blank_rows": BlankRows,
        "repeated_keys": RepeatedKeys,
        "when_busy": WhenBusy,
    }
    given: dict[str, Any] = {name: words[name](value) if name in words else value for name, value in data.items()}
    return Options(**given)
