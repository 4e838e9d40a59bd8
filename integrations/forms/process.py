"""What a designer may say of a process: its details, source, destination, lines and options."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings

from accounts.models import User
from integrations.connectors.spec import DestinationKind, Setting, SourceKind, TargetField
from integrations.engine.errors import DefinitionError, WaybillError
from integrations.engine.file_name import search_complaint
from integrations.engine.plan import (
    Column,
    DestinationSpec,
    Line,
    Plan,
    SourceMode,
    SourceSpec,
    ValueType,
    WriteMode,
)
from integrations.engine.watermark import typed
from integrations.forms.plain import PlainForm, Tall, WholeNumber, field_for
from integrations.models import Connection, Process

TYPES = [
    (ValueType.TEXT.value, "Text"),
    (ValueType.INTEGER.value, "Whole number"),
    (ValueType.DECIMAL.value, "Decimal"),
    (ValueType.BOOLEAN.value, "Yes / No"),
    (ValueType.DATE.value, "Date"),
    (ValueType.DATETIME.value, "Date and time"),
]
SOURCE_MODES = [(SourceMode.BULK.value, "Everything"), (SourceMode.CHANGES.value, "Changes only")]
OF_CHANGES = ("mode", "watermark", "first_value")
MODES = [
    (WriteMode.UPSERT.value, "Insert or update"),
    (WriteMode.INSERT.value, "Insert only"),
    (WriteMode.UPDATE.value, "Update only"),
    (WriteMode.DELETE.value, "Delete"),
]
if TYPE_CHECKING:
    _LineForms = forms.BaseFormSet["LineForm"]
    _ColumnForms = forms.BaseFormSet["ColumnForm"]
else:
    # Django's form sets are generic for type checkers only.
    _LineForms = _ColumnForms = forms.BaseFormSet

MOST_COLUMNS = 2000
COLUMN_CELLS = {
    "name": "Name of {}",
    "key": "{} is a key field",
    "type": "Type of {}",
    "format": "Format of {}",
    "place": "Place of {}",
    "remove": "Remove {}",
}
"""What each control of a column is called where only its column's head is seen."""

COPIED_NAME = 105
"""Characters of a name that its copies keep, so that “copy” and a number fit behind."""
FROM_UPLOAD = ("", "Uploaded when the integration is run")
PATTERN = Setting(
    name="pattern",
    label="File name pattern",
    help="Such as orders_*.csv or [GBL_NAME].csv. A run fetches the one file that matches; none or several fail it, and "
    "say which.",
)


def places_in(action: str, count: int) -> tuple[str, int, int]:
    """Read “copy-2”, “up-2” or “move-2-5” as word, place and the place it leads to (from 0, of `count`; -1 for none)."""
    word, *numbers = action.split("-")
    places = [int(number) - 1 if number.isdecimal() and len(number) < 9 else -1 for number in numbers]
    at, to = [place if 0 <= place < count else -1 for place in (*places, -1, -1)[:2]]
    if at >= 0 and word in ("up", "down"):
        to = at - 1 if word == "up" else at + 1 if at + 1 < count else -1
    return word, at, to


class NameForm(PlainForm):
    """A name that no other process of the company has."""

    name = forms.CharField(max_length=120, label="Name", help_text="As people will pick it when they run it.")
    description = forms.CharField(
        required=False, max_length=4000, label="Description", widget=Tall(3), help_text="What it moves, and for whom."
    )

    def __init__(self, *args: Any, process: Process | None = None, **kwargs: Any) -> None:
        self.process = process
        super().__init__(*args, **kwargs)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if complaint := name_is_taken(name, but_for=self.process):
            raise forms.ValidationError(complaint)
        return name


def free_copy_name(name: str, taken: Collection[str]) -> str:
    """Give the name of a copy: “… copy”, or with a number behind where that is `taken` (folded)."""
    numbers = range(1, len(taken) + 2)
    names = (f"{name[:COPIED_NAME].rstrip()} copy{f' {number}' if number > 1 else ''}" for number in numbers)
    return next(free for free in names if free.casefold() not in taken)


def name_is_taken(name: str, *, but_for: Process | None = None) -> str:
    """Give the sentence that says so, or ""."""
    others = Process.objects.kept().filter(name__iexact=name)
    if but_for is not None:
        others = others.exclude(pk=but_for.pk)
    return f"There is already a process named “{name}”. Choose another name." if others.exists() else ""


class NewProcessForm(NameForm):
    """What it takes to open the editor: a name, a kind of source and, if it exists already, where documents go."""

    kind = forms.ChoiceField(label="Source", widget=forms.RadioSelect)
    source_connection = forms.ChoiceField(
        label="Connection to read from",
        required=False,
        help_text="A database query needs one; a file may come from one.",
    )
    destination = forms.ChoiceField(
        label="Destination", required=False, help_text="May also be chosen later, on the Target tab."
    )

    def __init__(
        self,
        *args: Any,
        sources: Mapping[str, SourceKind],
        connections_of: Mapping[str, Sequence[Connection]],
        destinations: Sequence[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sources, self.connections_of = sources, connections_of
        every = {str(c.public_id): c.name for offered in connections_of.values() for c in offered}
        choice(self, "kind").choices = [(key, kind.title) for key, kind in sources.items()]
        choice(self, "source_connection").choices = [("", "None: the file is uploaded"), *every.items()]
        choice(self, "destination").choices = [("", "Not chosen yet"), *destinations]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        kind = self.sources.get(given.get("kind", ""))
        if kind is None:
            return given
        offered = {str(c.public_id): c.name for c in self.connections_of[kind.key]}
        connection = given.get("source_connection", "")
        if connection and connection not in offered:
            fitting = ", ".join(offered.values()) or "none exists yet"
            self.add_error(
                "source_connection", f"This connection has no source “{kind.title}”. Choose a fitting one: {fitting}."
            )
        elif not connection and kind.needs_connection:
            self.add_error("source_connection", f"{kind.title} needs a connection to read from. Choose one.")
        return given

    def plan(self) -> Plan:
        """The first draft: defaults of the chosen kind, nothing mapped."""
        given = self.cleaned_data
        kind = self.sources[given["kind"]]
        options = {setting.name: setting.default for setting in kind.settings}
        return Plan(
            process=given["name"],
            source=SourceSpec(kind=kind.key, connection=given["source_connection"], options=options),
            destination=destination_spec(given["destination"]),
        )


def group_field() -> forms.CharField:
    return forms.CharField(
        required=False,
        max_length=80,
        label="Group",
        widget=forms.TextInput(attrs={"list": "groups", "autocomplete": "off"}),
        help_text="What it is listed under. Choose one that there is, or write a new one.",
    )


class ImportedProcessForm(NameForm):
    """What an export says of a process beside its plans."""

    group = group_field()


class DetailsForm(NameForm):
    """What a process is called and where it is listed. `people` are the members of its company: one may be its owner."""

    group = group_field()
    owner = forms.ChoiceField(required=False, label="Owner", help_text="Whom to ask about it.")
    is_active = forms.BooleanField(
        required=False, label="Active", help_text="An inactive process keeps its runs and cannot be started."
    )
    revision = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, people: Sequence[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.people = {str(person.pk): person for person in people}
        owner = self.process.owner if self.process else None
        if owner is not None and str(owner.pk) not in self.people:
            # Whoever left the company stays its owner until there is another one.
            self.people[str(owner.pk)] = owner
        choice(self, "owner").choices = [("", "Nobody"), *((key, str(person)) for key, person in self.people.items())]
        self.speak()

    def clean_owner(self) -> User | None:
        return self.people.get(self.cleaned_data["owner"])


class SourceForm(PlainForm):
    """How rows are read: the connection and the options that the kind of source declares."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    connection = forms.ChoiceField(required=False, label="Connection")
    mode = forms.ChoiceField(required=False, choices=SOURCE_MODES, label="What a run reads")
    watermark = forms.ChoiceField(
        required=False,
        label="Watermark column",
        help_text="A run reads what lies behind its greatest value so far. Choose one that only grows, and that all rows "
        "of a document share: one that comes again takes the place of what was carried of it.",
    )
    first_value = forms.CharField(
        required=False,
        max_length=200,
        label="First watermark",
        help_text="Where the first run begins. Empty: from the beginning.",
    )

    def __init__(
        self, *args: Any, kind: SourceKind, connections: Sequence[Connection], spec: SourceSpec, **kwargs: Any
    ) -> None:
        self.kind, self.spec = kind, spec
        self.asked = asked_of(kind)
        stored = spec.options if spec.kind == kind.key else {}
        values = {setting.name: stored.get(setting.name, setting.default) for setting in self.asked}
        own = {name: getattr(spec, name) for name in ("connection", *OF_CHANGES)}
        initial = {option(name): value for name, value in values.items()} | own
        super().__init__(*args, initial=initial | kwargs.pop("initial", {}), **kwargs)
        field = choice(self, "connection")
        field.choices = [(str(c.public_id), c.name) for c in connections]
        if kind.takes_file:
            field.label, field.choices = "File", [FROM_UPLOAD, *field.choices]
        elif kind.from_parent:
            del self.fields["connection"]
        else:
            field.required = True
            field.choices = [("", "Choose a connection"), *field.choices]
        self._ask_for_changes()
        for setting in self.asked:
            # An incomplete draft may be kept; what is missing is listed on the page.
            self.fields[option(setting.name)] = field_for(replace(setting, required=False))
        self.speak()

    def _ask_for_changes(self) -> None:
        if not self.kind.reads_changes:
            for name in OF_CHANGES:
                del self.fields[name]
            return
        names = dict.fromkeys(column.name for column in self.spec.columns)
        if self.spec.watermark:
            # One that is gone stays chosen, and the page says so.
            names.setdefault(self.spec.watermark)
        choice(self, "watermark").choices = [("", "Choose a column"), *((name, name) for name in names)]

    @property
    def option_fields(self) -> list[forms.BoundField]:
        return [self[option(setting.name)] for setting in self.asked]

    @property
    def change_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in OF_CHANGES if name in self.fields]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        pattern = option("pattern")
        if given.get("connection") and (said := search_complaint(given.get(pattern, ""))):
            self.add_error(pattern, said)
        return given

    def source(self, columns: Iterable[Column]) -> SourceSpec:
        """The source after validation, with the given columns."""
        options = {s.name: self.cleaned_data[option(s.name)] for s in self.asked}
        connection = self.cleaned_data.get("connection", "")
        if not connection:
            options.pop("pattern", None)
        return SourceSpec(
            kind=self.kind.key,
            connection=connection,
            options=options,
            columns=tuple(columns),
            mode=SourceMode(self.cleaned_data.get("mode") or SourceMode.BULK),
            watermark=self.cleaned_data.get("watermark", ""),
            first_value=self.cleaned_data.get("first_value", ""),
        )


def asked_of(kind: SourceKind) -> tuple[Setting, ...]:
    """The settings of a kind; a kind that takes files is also asked for the pattern of its file door."""
    if kind.takes_file and all(setting.name != "pattern" for setting in kind.settings):
        return (*kind.settings, PATTERN)
    return kind.settings


class WatermarkForm(PlainForm):
    """A value that the next run begins behind, of the type of the watermark's column."""

    value = forms.CharField(max_length=200, label="New watermark")

    def __init__(self, *args: Any, spec: SourceSpec, **kwargs: Any) -> None:
        self.column = spec.watermark_column or Column(name=spec.watermark)
        super().__init__(*args, **kwargs)

    def clean_value(self) -> str:
        value: str = self.cleaned_data["value"]
        try:
            typed(self.column, value)
        except WaybillError as error:
            raise forms.ValidationError(error.sentence) from error
        return value


class ColumnForm(PlainForm):
    """One column of the source profile: as the draft has it under the name in `was`, or a new one."""

    was = forms.CharField(max_length=400, strip=False, required=False, widget=forms.HiddenInput)
    name = forms.CharField(max_length=400, strip=False, required=False, label="Column")
    key = forms.BooleanField(required=False, label="Key field")
    type = forms.ChoiceField(choices=TYPES, label="Type")
    format = forms.CharField(required=False, max_length=40, label="Format")
    place = WholeNumber(required=False, min_value=1, max_value=MOST_COLUMNS, label="Place")
    remove = forms.BooleanField(required=False, label="Remove")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.called = self.initial.get("name") or self.data.get(self.add_prefix("was")) or "the added column"
        for name, words in COLUMN_CELLS.items():
            self.fields[name].widget.attrs["aria-label"] = words.format(self.called)
        self.fields["name"].widget.attrs["placeholder"] = "Add a column"

    @property
    def is_kept(self) -> bool:
        """True for a column that has a name and is not to be removed, once the form is valid."""
        given = self.cleaned_data
        return bool(given.get("name")) and not given["remove"]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not (given.get("name") or given.get("remove") or "name" in self.errors or self.empty_permitted):
            self.add_error("name", f"{given.get('was') or 'A column'} has no name. Type one, or tick Remove.")
        return given

    def column(self) -> Column:
        given = self.cleaned_data
        return Column(name=given["name"], type=ValueType(given["type"]), format=given["format"])


class BaseColumnForms(_ColumnForms):
    def clean(self) -> None:
        """Refuse two columns of one name: each is known by its name."""
        seen: set[str] = set()
        for form in self.forms:
            if form.is_valid() and form.is_kept:
                name = form.cleaned_data["name"]
                if name in seen:
                    form.add_error("name", f"Two columns are named {name}. Rename one.")
                seen.add(name)

    @property
    def kept(self) -> "list[ColumnForm]":
        """The columns after validation, in the order of their places; one that was moved goes before the one there."""

        def order(item: tuple[int, ColumnForm]) -> tuple[int, int]:
            number, form = item
            place = form.cleaned_data["place"] or number
            # Whatever lies between moves up when a column goes down.
            return place, (place > number) - (place < number)

        numbered = [(number, form) for number, form in enumerate(self.forms, start=1) if form.is_kept]
        return [form for _, form in sorted(numbered, key=order)]

    @property
    def renamed(self) -> dict[str, str]:
        """The columns that have another name than the draft knows: old to new."""
        given = (form.cleaned_data for form in self.kept)
        return {item["was"]: item["name"] for item in given if item["was"] and item["was"] != item["name"]}


ColumnForms: Any = forms.formset_factory(
    ColumnForm, formset=BaseColumnForms, extra=0, max_num=MOST_COLUMNS, absolute_max=MOST_COLUMNS
)


def column_forms(plan: Plan, data: Any = None, *, spare: int = 0) -> BaseColumnForms:
    """The columns of a draft as forms, in source order, with `spare` rows behind them to name more in."""
    initial: list[dict[str, Any]] = [
        {
            "was": column.name,
            "name": column.name,
            "type": column.type.value,
            "format": column.format,
            "key": column.name in plan.key_fields,
            "place": place,
        }
        for place, column in enumerate(plan.source.columns, start=1)
    ]
    columns: BaseColumnForms = ColumnForms(data, initial=initial, prefix="columns")
    columns.extra = spare
    return columns


class SampleForm(PlainForm):
    """The file that previews read."""

    # The tab may be saved without one.
    use_required_attribute = False

    file = forms.FileField(label="Sample file", max_length=255)
    keep_as_default = forms.BooleanField(
        required=False,
        label="Also keep it as the default file",
        help_text="A run that is given no file takes the default file.",
    )

    def __init__(self, *args: Any, kind: SourceKind, is_wanted: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].required = is_wanted
        for field in self.fields.values():
            # They stand beside the tab's form, and are sent with it.
            field.widget.attrs["form"] = "tab-form"
        self.fields["file"].error_messages |= {
            "required": "No file was chosen. Choose the sample file first.",
            "empty": "The file is empty. Choose one with a header and a few rows.",
        }
        if kind.extensions:
            self.fields["file"].widget.attrs["accept"] = ",".join(
                ending if ending.startswith(".") else f".{ending}" for ending in kind.extensions
            )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file and file.size > settings.UPLOAD_LIMIT_BYTES:
            limit = f"{settings.UPLOAD_LIMIT_BYTES:,}"
            raise forms.ValidationError(
                f"{file.name} has {file.size:,} bytes; {limit} are allowed. Take a sample with fewer rows."
            )
        return file


@dataclass(frozen=True, kw_only=True)
class OptionGroup:
    """Options that are shown together, each with what is told of it. `only` is the value that the choice `only_with`
    has to have; empty: always."""

    only_with: str
    only: str
    title: str
    fields: list[tuple[forms.BoundField, Sequence[str]]]


class DestinationForm(PlainForm):
    """Where documents go: a connection together with one of its kinds of destination, and that kind's options."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    destination = forms.ChoiceField(required=False, label="Destination")

    def __init__(
        self,
        *args: Any,
        destinations: Sequence[tuple[str, str]],
        spec: DestinationSpec,
        kind: DestinationKind | None,
        **kwargs: Any,
    ) -> None:
        self.spec, self.kind = spec, kind
        self.asked = kind.settings if kind else ()
        values = {s.name: spec.options.get(s.name, s.default) for s in self.asked}
        initial = {option(name): value for name, value in values.items()}
        is_chosen = spec.connection or (kind and not kind.needs_connection)
        initial["destination"] = f"{spec.kind}@{spec.connection}" if is_chosen else ""
        super().__init__(*args, initial=initial | kwargs.pop("initial", {}), **kwargs)
        choice(self, "destination").choices = [("", "Not chosen yet"), *destinations]
        for setting in self.asked:
            self.fields[option(setting.name)] = field_for(replace(setting, required=False))
        self.speak()

    @property
    def option_groups(self) -> list["OptionGroup"]:
        """The options as they are asked for, in groups that belong to one choice."""
        return [
            OptionGroup(
                only_with=option(only[0]) if only else "",
                only=only[1] if only else "",
                title=next((dict(s.choices)[only[1]] for s in self.asked if s.name == only[0]), "") if only else "",
                fields=[(self[option(setting.name)], self._told(setting)) for setting in settings],
            )
            for only, settings in groupby(self.asked, lambda setting: setting.only_with)
        ]

    def _told(self, setting: Setting) -> Sequence[str]:
        """What is to be said of a text that is stored."""
        text = str(self.spec.options.get(setting.name) or "")
        if setting.read is None or not text:
            return ()
        try:
            return setting.read(text)
        except DefinitionError:
            # Listed among what is missing.
            return ()

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("destination") and destination_spec(given["destination"]).kind == self.spec.kind:
            for setting in self.asked:
                text = str(given.get(option(setting.name)) or "")
                if setting.read is not None and text:
                    try:
                        setting.read(text)
                    except DefinitionError as error:
                        self.add_error(option(setting.name), error.sentence)
        return given

    def result(self) -> DestinationSpec:
        """The destination after validation; options of another kind are dropped."""
        chosen = destination_spec(self.cleaned_data["destination"])
        if chosen.kind != self.spec.kind:
            return chosen
        return replace(chosen, options={s.name: self.cleaned_data[option(s.name)] for s in self.asked})


def destination_spec(answer: str) -> DestinationSpec:
    """Read the answer “kind@connection”."""
    kind, _, connection = answer.partition("@")
    return DestinationSpec(kind=kind, connection=connection)


class LineForm(PlainForm):
    """One line: what it is called, where it writes, how, and by which target fields it finds a record."""

    was = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)
    name = forms.CharField(required=False, max_length=120, label="Line name", help_text="Empty: as its target.")
    target = forms.CharField(required=False, max_length=200, label="Target")
    mode = forms.ChoiceField(choices=MODES, label="Write mode")
    keys = forms.MultipleChoiceField(required=False, label="Key targets", widget=forms.CheckboxSelectMultiple)
    update_blanks = forms.BooleanField(
        required=False,
        label="Blank values overwrite what is there",
        help_text="Off: a blank value leaves what the record at the destination has; a web service is not sent it.",
    )

    def __init__(
        self,
        *args: Any,
        lines: Sequence[Line],
        targets: Mapping[str, Sequence[TargetField]],
        kind: DestinationKind | None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.lines, self.targets = lines, targets
        self.modes = kind.modes if kind else tuple(WriteMode)
        choice(self, "mode").choices = [(word, label) for word, label in MODES if word in self.modes]
        if kind:
            self.fields["target"].label, self.fields["target"].help_text = kind.target_label, kind.target_help
        if not self.asks_how:
            for name in ("mode", "keys"):
                self.fields[name].required = False
        if targets:
            offered = [("", "Choose a target"), *((name, name) for name in targets)]
            stored = self.initial.get("target")
            if stored and stored not in targets:
                offered.append((stored, f"{stored} (not found)"))
            self.fields["target"] = forms.ChoiceField(required=False, label="Target", choices=offered)
        choice(self, "keys").choices = [(name, name) for name in self._key_names()]
        self.speak()

    @property
    def asks_how(self) -> bool:
        """False where a line can do one thing only, for which it need find no record."""
        return self.modes != (WriteMode.INSERT,)

    def _key_names(self) -> list[str]:
        """Fields of the target, or where it does not list them, those that are mapped; kept keys stay on offer."""
        target = self.data.get(self.add_prefix("target")) if self.is_bound else self.initial.get("target")
        names = [item.name for item in self.targets.get(target or "", ())]
        before = self.before
        if not names and before:
            names = [item.target for item in before.fields]
        widget = self.fields["keys"].widget
        posted = widget.value_from_datadict(self.data, self.files, self.add_prefix("keys")) if self.is_bound else []
        return list(dict.fromkeys([*names, *(before.keys if before else ()), *posted]))

    @property
    def before(self) -> Line | None:
        """The line as the draft has it, known by its name; None for a new one."""
        was = self.data.get(self.add_prefix("was")) if self.is_bound else self.initial.get("was")
        return next((line for line in self.lines if line.name == was), None)

    def line(self) -> Line:
        """The line after validation. A new target brings its own key fields and drops keys it does not have."""
        given = self.cleaned_data
        before = self.before or Line(name="", target="")
        fields = self.targets.get(given["target"], ())
        keys = tuple(given["keys"])
        if given["target"] != before.target and fields:
            names = {item.name for item in fields}
            keys = tuple(item.name for item in fields if item.key) or tuple(key for key in keys if key in names)
        name = given["name"] or given["target"] or "Line"
        if not self.asks_how:
            return replace(before, name=name, target=given["target"], mode=self.modes[0], keys=())
        return replace(
            before,
            name=name,
            target=given["target"],
            mode=WriteMode(given["mode"]),
            keys=keys,
            update_blanks=given["update_blanks"],
        )


class BaseLineForms(_LineForms):
    def clean(self) -> None:
        """Refuse two lines of one name: results and errors are told by line name."""
        seen: set[str] = set()
        for form in self.forms:
            if form.is_valid() and (name := form.line().name):
                if name in seen:
                    form.add_error("name", f"Two lines are named {name}. Rename one.")
                seen.add(name)

    def lines(self) -> tuple[Line, ...]:
        """The lines after validation, in their sequence."""
        return tuple(form.line() for form in self.forms)


LineForms: Any = forms.formset_factory(LineForm, formset=BaseLineForms, extra=0, max_num=500, absolute_max=500)


def line_forms(
    lines: Sequence[Line],
    targets: Mapping[str, Sequence[TargetField]],
    data: Any = None,
    *,
    kind: DestinationKind | None = None,
) -> BaseLineForms:
    """The lines of a draft as forms, in their sequence."""
    initial = [
        {
            "was": line.name,
            "name": line.name,
            "target": line.target,
            "mode": line.mode.value,
            "keys": list(line.keys),
            "update_blanks": line.update_blanks,
        }
        for line in lines
    ]
    formset: BaseLineForms = LineForms(
        data,
        initial=initial,
        prefix="lines",
        form_kwargs={"lines": lines, "targets": targets, "kind": kind, "empty_permitted": False},
    )
    return formset


def option(name: str) -> str:
    """The form name of a connector's setting, which may be called like one of the form's own fields."""
    return f"option-{name}"


def choice(form: forms.Form, name: str) -> Any:
    """A field with choices, which are filled in when the form is made."""
    return form.fields[name]
