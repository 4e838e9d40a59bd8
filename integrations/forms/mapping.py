"""What a designer may say of one line: grouping, mapping, restriction."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.functional import cached_property

from integrations.connectors.spec import TargetField
from integrations.engine.plan import (
    ROWS_OF,
    Aggregate,
    Column,
    ColumnType,
    DateCalculation,
    DateUnit,
    DayOfMonth,
    FieldMap,
    Line,
    Lookup,
    NoMatch,
    ParentColumn,
    Plan,
    Translation,
    ValueType,
    WithoutParent,
)
from integrations.forms.judging import folded, nearest
from integrations.forms.plain import Code, PlainForm, WholeNumber, spoken
from integrations.forms.process import TYPES
from integrations.scripting.check import mended

if TYPE_CHECKING:
    _FieldMaps = forms.BaseFormSet["FieldMapForm"]
else:
    # Django's form sets are generic for type checkers only.
    _FieldMaps = forms.BaseFormSet

Check = Callable[[str], str]
"""Gives the first complaint about a script that keeps it from running, or ""."""

AGGREGATES = [(word.value, word.value.capitalize()) for word in Aggregate]
COLUMN_TYPES = [
    ("", "Not mapped"),
    (ColumnType.SOURCE_COLUMN.value, "Source Column"),
    (ColumnType.CONSTANT.value, "Constant"),
    (ColumnType.CALCULATION.value, "Calculation"),
    (ColumnType.GLOBAL_VARIABLE.value, "Global Variable"),
    (ColumnType.TRANSLATION.value, "Translation"),
    (ColumnType.DATE_CALCULATION.value, "Date Calculation"),
    (ColumnType.LOOKUP.value, "Lookup"),
    (ColumnType.LIST_OPTION.value, "List Option"),
    (ColumnType.ROLLING_NUMBER.value, "Rolling Number"),
    (ColumnType.PARENT_COLUMN.value, "Parent Source Column"),
]
UNITS = [(unit.value, unit.value) for unit in DateUnit]
DAYS = [
    (DayOfMonth.SAME.value, "that day"),
    (DayOfMonth.FIRST.value, "first day of that month"),
    (DayOfMonth.LAST.value, "last day of that month"),
]
MOST_MOVED = 100_000
OF_START, OF_COLUMN = "start", "column"
BASES = [("", "Choose a date"), (OF_START, "Start of the run"), (OF_COLUMN, "A column")]
NO_MATCH = [
    (NoMatch.ERROR.value, "No match: fail the document"),
    (NoMatch.KEEP.value, "No match: keep the value"),
    (NoMatch.BLANK.value, "No match: send blank"),
    (NoMatch.DEFAULT.value, "No match: send this"),
]
WITHOUT_PARENT = [
    (WithoutParent.FAIL.value, "Without a parent: fail the run"),
    (WithoutParent.DEFAULT.value, "Without a parent: send this"),
]
VALUE_CELLS = {
    ColumnType.SOURCE_COLUMN: "column",
    ColumnType.CONSTANT: "constant",
    ColumnType.CALCULATION: "script",
    ColumnType.GLOBAL_VARIABLE: "variable",
    ColumnType.TRANSLATION: "column",
    ColumnType.DATE_CALCULATION: "dated",
    ColumnType.LIST_OPTION: "option",
    ColumnType.PARENT_COLUMN: "of_parent",
}
"""The cell of the grid that holds the value of each column type; a lookup has a page of its own, and a rolling
number is no value."""
NAMED: Mapping[str, Sequence[str]] = {
    ColumnType.SOURCE_COLUMN: ("column",),
    ColumnType.GLOBAL_VARIABLE: ("variable",),
    ColumnType.TRANSLATION: ("column", "table"),
    ColumnType.DATE_CALCULATION: ("dated",),
    ColumnType.ROLLING_NUMBER: ("sequence",),
}
"""The cells of each column type that name something there has to be."""
SPARE_FIELDS = 3


class GroupingForm(PlainForm):
    """Whether a line sends one record a document, and how each column becomes one value then."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    grouped = forms.ChoiceField(
        label="Records",
        choices=[("yes", "Grouped: one record a document"), ("no", "Every row: one record a row")],
        widget=forms.RadioSelect,
    )
    rows = forms.CharField(
        required=False,
        max_length=400,
        label="Rows of the list",
        help_text="The path of the inner list whose rows this line takes, such as lines. Empty: all rows.",
    )

    def __init__(self, *args: Any, plan: Plan, line: Line, **kwargs: Any) -> None:
        self.columns = [column.name for column in plan.all_columns if column.name not in plan.key_fields]
        self.line = line
        initial: dict[str, Any] = {"grouped": "yes" if line.grouped else "no", "rows": line.rows}
        for index, name in enumerate(self.columns):
            initial[f"aggregate-{index}"] = line.aggregates.get(name, Aggregate.FIRST).value
        super().__init__(*args, initial=initial | kwargs.pop("initial", {}), **kwargs)
        if not line.rows and all(column.name != ROWS_OF for column in plan.source.columns):
            del self.fields["rows"]
        for index, name in enumerate(self.columns):
            self.fields[f"aggregate-{index}"] = forms.ChoiceField(label=name, choices=AGGREGATES)
        self.speak()

    @property
    def aggregate_fields(self) -> list[forms.BoundField]:
        return [self[f"aggregate-{index}"] for index in range(len(self.columns))]

    def result(self) -> Line:
        """The line after validation. First is the default and not stored."""
        chosen = {name: Aggregate(self.cleaned_data[f"aggregate-{i}"]) for i, name in enumerate(self.columns)}
        named = {name: word for name, word in chosen.items() if word is not Aggregate.FIRST}
        rows = self.cleaned_data.get("rows", "").strip()
        return replace(self.line, grouped=self.cleaned_data["grouped"] == "yes", rows=rows, aggregates=named)


class RevisionForm(PlainForm):
    """Which state of the process a person was looking at."""

    revision = forms.IntegerField(widget=forms.HiddenInput)


class ScriptForm(PlainForm):
    """A form with scripts. After one that does not parse, `can_mend` says that plain quotes and dashes would help;
    the answer `mend` makes them plain."""

    check: Check
    can_mend = False

    def written(self, script: str) -> str:
        """A script as it was typed, or with plain quotes and dashes where that was asked for."""
        script = as_written(script)
        return mended(script) if self.data.get("mend") else script

    def complaint(self, script: str) -> str:
        """What keeps a script from running, or ""."""
        said = self.check(script) if script else ""
        self.can_mend |= bool(said) and mended(script) != script
        return said


class FieldMapForm(ScriptForm):
    """One row of the mapping grid. Each column type has a value of its own; the others are kept out of the way."""

    target = forms.CharField(max_length=200, required=False, strip=False)
    type = forms.ChoiceField(choices=TYPES, required=False)
    column_type = forms.ChoiceField(choices=COLUMN_TYPES, required=False)
    column = forms.CharField(required=False, strip=False)
    constant = forms.CharField(required=False, max_length=4000, strip=False)
    script = forms.CharField(required=False, max_length=100_000, strip=False)
    variable = forms.CharField(required=False)
    table = forms.CharField(required=False)
    no_match = forms.ChoiceField(choices=NO_MATCH, required=False)
    default = forms.CharField(required=False, max_length=4000, strip=False)
    base = forms.ChoiceField(choices=BASES, required=False)
    dated = forms.CharField(required=False, strip=False)
    amount = WholeNumber(required=False, label="How many", min_value=-MOST_MOVED, max_value=MOST_MOVED)
    unit = forms.ChoiceField(choices=UNITS, required=False)
    day = forms.ChoiceField(choices=DAYS, required=False)
    option = forms.CharField(required=False, max_length=4000, strip=False)
    choices = forms.CharField(required=False, max_length=20_000, strip=False)
    sequence = forms.CharField(required=False)
    of_parent = forms.CharField(required=False, max_length=200, strip=False)
    alone = forms.ChoiceField(choices=WITHOUT_PARENT, required=False)

    def __init__(self, *args: Any, offered: "Offered", **kwargs: Any) -> None:
        # Hundreds of rows, each with a copy of these fields, would cost more than all the rest of their page.
        self.base_fields = {}  # type: ignore[misc]  # these are for the class, and here for this row
        super().__init__(*args, **kwargs)
        self.fields = offered.fields
        self.offered, self.check = offered, offered.check

    def has_changed(self) -> bool:
        """Every row is read: what it shows may have been saved by someone else meanwhile."""
        return True

    @cached_property
    def shown(self) -> dict[str, str]:
        """What stands in each cell: what was typed, or what is saved."""
        if self.is_bound:
            return {name: self.data.get(self.add_prefix(name), "") for name in self.fields}
        found = ((name, self.initial.get(name)) for name in self.fields)
        return {name: "" if value is None else str(value) for name, value in found}

    def clean_script(self) -> str:
        return self.written(self.cleaned_data["script"])

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("target") and not given.get("column_type") and not self.initial.get("target"):
            name = given["target"]
            self.add_error("column_type", f"{name} is not mapped. Choose its column type, or clear its name.")
        if given.get("column_type") and not given.get("target"):
            self.add_error("target", "The added field has no name. Type the name that the destination expects.")
        for cell, complaint in self._not_offered(given):
            self.add_error(cell, f"{given.get('target')}: {complaint}")
        if given.get("column_type") == ColumnType.CALCULATION and (
            complaint := self.complaint(given.get("script", ""))
        ):
            self.add_error("script", f"{given.get('target')}: {complaint}")
        if given.get("column_type") == ColumnType.LIST_OPTION and given.get("option"):
            offered = options_in(given.get("choices", ""))
            if given["option"] not in offered:
                listed = ", ".join(offered[:12]) or "none yet"
                self.add_error("option", f"{given['option']} is no option of {given.get('target')}. Options: {listed}.")
        return given

    def _not_offered(self, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Complain of names that are not there. One that is saved may stay, though it is gone meanwhile."""
        offered, saved = self.offered, self.offered.saved.get(given.get("target", ""))
        for cell in NAMED.get(given.get("column_type", ""), ()):
            name = given.get(cell, "")
            there, complaint = offered.choices[cell]
            if (
                not name
                or name in there
                or (saved and name in (saved.value, saved.sequence, saved.translation and saved.translation.table))
            ):
                continue
            near = nearest(name, list(there)) if cell not in ("table", "sequence") else ""
            yield cell, f"{complaint.format(name)} {f'Nearest name: {near}.' if near else 'Choose another one.'}"

    def field_map(self) -> FieldMap | None:
        """The row after validation; None when it is not mapped."""
        given = self.cleaned_data
        if not given.get("column_type"):
            return None
        about = self.offered.known.get(given["target"])
        saved = self.offered.saved.get(given["target"])
        column_type = ColumnType(given["column_type"])
        return FieldMap(
            target=given["target"],
            column_type=column_type,
            value=self._value(column_type),
            type=about.type if about else ValueType(given["type"] or ValueType.TEXT),
            format=saved.format if saved else "",
            required=about.required if about else False,
            translation=self._translation() if column_type is ColumnType.TRANSLATION else None,
            date=self._date() if column_type is ColumnType.DATE_CALCULATION else None,
            # The lookup as its own page left it.
            lookup=((saved and saved.lookup) or Lookup()) if column_type is ColumnType.LOOKUP else None,
            choices=options_in(given["choices"]) if column_type is ColumnType.LIST_OPTION else (),
            parent=self._parent() if column_type is ColumnType.PARENT_COLUMN else None,
            sequence=given["sequence"] if column_type is ColumnType.ROLLING_NUMBER else "",
        )

    def _value(self, column_type: ColumnType) -> str:
        if column_type not in VALUE_CELLS:
            return ""
        value: str = self.cleaned_data[VALUE_CELLS[column_type]]
        return "" if column_type is ColumnType.DATE_CALCULATION and self.cleaned_data["base"] != OF_COLUMN else value

    def _date(self) -> DateCalculation:
        given = self.cleaned_data
        return DateCalculation(
            of_start=given["base"] == OF_START,
            amount=given["amount"] or 0,
            unit=DateUnit(given["unit"] or DateUnit.DAYS),
            day=DayOfMonth(given["day"] or DayOfMonth.SAME),
        )

    def _parent(self) -> ParentColumn:
        rule = WithoutParent(self.cleaned_data["alone"] or WithoutParent.FAIL)
        return ParentColumn(alone=rule, default=self.cleaned_data["default"] if rule is WithoutParent.DEFAULT else "")

    def _translation(self) -> Translation:
        given = self.cleaned_data
        rule = NoMatch(given["no_match"] or NoMatch.ERROR)
        default = given["default"] if rule is NoMatch.DEFAULT else ""
        return Translation(table=given["table"], no_match=rule, default=default)


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What all rows of a grid share: names to choose from, what the target says of its fields, what is saved."""

    columns: Sequence[str]
    variables: Sequence[str]
    tables: Mapping[str, str]
    sequences: Mapping[str, str]
    known: Mapping[str, TargetField]
    keys: Collection[str]
    saved: Mapping[str, FieldMap]
    """What is mapped, by target."""
    check: Check
    fields: dict[str, forms.Field] = field(default_factory=lambda: spoken(deepcopy(FieldMapForm.base_fields)))

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Which of the line's fields (from 1) a target is."""
        return {target: at for at, target in enumerate(self.saved, start=1)}

    @cached_property
    def choices(self) -> Mapping[str, tuple[Collection[str], str]]:
        """For each cell that names something the names there are, and what is said of one that is not among them."""
        columns = dict.fromkeys(self.columns), "{} is no column of the source."
        return {
            "column": columns,
            "dated": columns,
            "variable": (dict.fromkeys(self.variables), "{} is no global variable."),
            "table": (self.tables, "its translation table no longer exists."),
            "sequence": (self.sequences, "its rolling number no longer exists."),
        }


def options_in(text: str) -> tuple[str, ...]:
    """Read the options of a list as they are typed: with semicolons between them."""
    return tuple(dict.fromkeys(option for part in text.split(";") if (option := part.strip())))


class BaseFieldMaps(_FieldMaps):
    @property
    def offered(self) -> "Offered":
        """What its rows share."""
        offered: Offered = self.form_kwargs["offered"]
        return offered

    def clean(self) -> None:
        """Refuse two rows for one target: the second would silently win."""
        seen: set[str] = set()
        for form in self.forms:
            given = getattr(form, "cleaned_data", {})
            target = given.get("target")
            if target and given.get("column_type") and target in seen:
                form.add_error("target", f"{target} is there twice. Keep one of the two.")
            seen.add(target or "")

    @property
    def can_mend(self) -> bool:
        """True when plain quotes and dashes would help one of the calculations."""
        return any(form.can_mend for form in self.forms)

    def field_maps(self) -> tuple[FieldMap, ...]:
        """What is mapped, after validation, in the order of the grid."""
        return tuple(item for form in self.forms if (item := form.field_map()))


FieldMaps: Any = forms.formset_factory(FieldMapForm, formset=BaseFieldMaps, extra=0, max_num=2000, absolute_max=2000)


def field_map_forms(
    plan: Plan,
    line: Line,
    fields: Sequence[TargetField],
    check: Check,
    data: Any = None,
    *,
    variables: Sequence[str] = (),
    tables: Mapping[str, str] | None = None,
    sequences: Mapping[str, str] | None = None,
) -> BaseFieldMaps:
    """The mapping grid of a line: required and unmapped first, then mapped, then the rest.

    A target that does not list its fields gets spare rows, to name fields in. `variables`, `tables` and `sequences`
    (names by public id) are those of the company.
    """
    rows = grid_rows(line, fields)
    if not fields:
        rows += [{} for _ in range(SPARE_FIELDS)]
    offered = Offered(
        columns=[column.name for column in plan.all_columns],
        variables=variables,
        tables=tables or {},
        sequences=sequences or {},
        known={item.name: item for item in fields},
        keys=line.keys,
        saved={item.target: item for item in line.fields},
        check=check,
    )
    grid: BaseFieldMaps = FieldMaps(data, initial=rows, prefix="fields", form_kwargs={"offered": offered})
    return grid


def grid_rows(line: Line, fields: Sequence[TargetField]) -> list[dict[str, Any]]:
    """Give what each row of the grid shows, in its order; `group` names the part of the grid it stands in."""
    mapped = {item.target: item for item in line.fields}
    known = {item.name for item in fields}
    strangers = [
        TargetField(name=m.target, type=m.type, required=m.required) for m in line.fields if m.target not in known
    ]
    rows = [_row(about, mapped.get(about.name)) for about in (*fields, *strangers)]
    order = {"missing": 0, "mapped": 1, "rest": 2}
    return sorted(rows, key=lambda row: order[row["group"]])


def _row(about: TargetField, item: FieldMap | None) -> dict[str, Any]:
    row: dict[str, Any] = {"about": about, "target": about.name, "type": about.type.value}
    if item is None:
        return {**row, "group": "missing" if about.required else "rest", "column_type": ""}
    of_start = item.date is not None and item.date.of_start
    says = item.value or of_start or item.sequence or (item.lookup and item.lookup.table)
    empty = item.column_type is not ColumnType.CONSTANT and not says
    group = "missing" if about.required and empty else "mapped"
    row |= {"group": group, "column_type": item.column_type.value, "format": item.format}
    if item.column_type in VALUE_CELLS:
        row[VALUE_CELLS[item.column_type]] = item.value
    row |= {"choices": "; ".join(item.choices), "lookup": item.lookup, "sequence": item.sequence}
    if item.translation:
        how = item.translation
        row |= {"table": how.table, "no_match": how.no_match.value, "default": how.default}
    if item.parent:
        row |= {"alone": item.parent.alone.value, "default": item.parent.default}
    if item.date:
        base = OF_START if item.date.of_start else OF_COLUMN if item.value else ""
        row |= {"base": base, "amount": item.date.amount, "unit": item.date.unit.value, "day": item.date.day.value}
    return row


def matched_by_name(line: Line, fields: Sequence[TargetField], columns: Sequence[Column]) -> tuple[Line, list[str]]:
    """Map every unmapped target to the source column of the same name (letters and digits, without case).

    Gives the line and the names of the targets it mapped. A target that does not list its fields is offered all
    columns under their own names.
    """
    taken = {item.target for item in line.fields}
    wanted = fields or [TargetField(name=column.name, type=column.type) for column in columns]
    by_name = {folded(column.name): column.name for column in reversed(columns)}
    found = tuple(
        FieldMap(target=about.name, value=by_name[folded(about.name)], type=about.type, required=about.required)
        for about in wanted
        if about.name not in taken and folded(about.name) in by_name
    )
    return replace(line, fields=(*line.fields, *found)), [item.target for item in found]


class RestrictionForm(ScriptForm):
    """The script that says whether a line's record is sent."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    script = forms.CharField(
        required=False,
        max_length=100_000,
        strip=False,
        label="JavaScript Code",
        widget=Code(14, **{"aria-describedby": "code-hint"}),
    )

    def __init__(self, *args: Any, check: Check, **kwargs: Any) -> None:
        self.check = check
        super().__init__(*args, **kwargs)

    def clean_script(self) -> str:
        script = self.written(self.cleaned_data["script"])
        if complaint := self.complaint(script):
            raise forms.ValidationError(complaint)
        return script


def as_written(script: str) -> str:
    """A script as it was typed: forms send other line ends than text areas show. Only blanks is no script."""
    return script.replace("\r\n", "\n") if script.strip() else ""
