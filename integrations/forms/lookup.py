"""What a designer may say of one lookup: where it looks, what has to match, what it takes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django import forms

from integrations.engine.plan import ColumnType, FieldMap, Lookup, ManyFound, Match, NoneFound
from integrations.forms.plain import PlainForm
from integrations.forms.process import choice

NONE_FOUND = [
    (NoneFound.FAIL.value, "Fail the document"),
    (NoneFound.DEFAULT.value, "Send the default value"),
    (NoneFound.RESTRICT.value, "Leave the record out"),
]
MANY_FOUND = [
    (ManyFound.FAIL.value, "Fail the document"),
    (ManyFound.FIRST.value, "Take the first"),
    (ManyFound.DEFAULT.value, "Send the default value"),
    (ManyFound.RESTRICT.value, "Leave the record out"),
]
MATCHES = 4
"""Rows in which something to match can be said."""
OF_COLUMN, OF_VARIABLE = "column:", "variable:"


class MatchesForm(PlainForm):
    """What of a table has to match: rows of a field of it and a column or variable each."""

    def offer_matches(self, how: Lookup, columns: Sequence[str], variables: Sequence[str]) -> None:
        offered = [
            ("Columns", [(f"{OF_COLUMN}{name}", name) for name in columns]),
            ("Global Variables", [(f"{OF_VARIABLE}{name}", name) for name in variables]),
        ]
        known = {key for _, some in offered for key, _ in some}
        for at in range(max(MATCHES, len(how.matches))):
            stored = self.initial.get(f"with-{at}", "")
            gone = [(stored, f"{stored.partition(':')[2]} (no longer there)")] if stored and stored not in known else []
            self.fields[f"field-{at}"] = forms.CharField(
                required=False,
                max_length=200,
                label=f"Field {at + 1}",
                widget=forms.TextInput(attrs={"list": "lookup-fields", "autocomplete": "off", "spellcheck": "false"}),
            )
            self.fields[f"with-{at}"] = forms.ChoiceField(
                required=False, label=f"Value {at + 1}", choices=[("", "Choose a column or variable"), *offered, *gone]
            )

    @property
    def matches(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """The rows in which it is said what has to match."""
        count = sum(name.startswith("field-") for name in self.fields)
        return [(self[f"field-{at}"], self[f"with-{at}"]) for at in range(count)]

    def check_matches(self, given: dict[str, Any]) -> None:
        """Complain of a field or a value that stands alone."""
        for at in range(len(self.matches)):
            field, value = given.get(f"field-{at}", ""), given.get(f"with-{at}", "")
            if field and not value:
                self.add_error(f"with-{at}", f"{field} has nothing to be compared with. Choose a column or variable.")
            if value and not field:
                name = value.partition(":")[2]
                self.add_error(f"field-{at}", f"{name} has no field to be compared with. Name one of the table.")

    def given_matches(self) -> tuple[Match, ...]:
        """What has to match, after validation."""
        return tuple(filter(None, (self._match(at) for at in range(len(self.matches)))))

    def _match(self, at: int) -> Match | None:
        field, value = self.cleaned_data[f"field-{at}"], self.cleaned_data[f"with-{at}"]
        if not field:
            return None
        if value.startswith(OF_VARIABLE):
            return Match(field=field, variable=value.removeprefix(OF_VARIABLE))
        return Match(field=field, column=value.removeprefix(OF_COLUMN))


class LookupForm(MatchesForm):
    """The lookup of one field, or of one additional column, which belongs to all lines and so leaves nothing out."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    connection = forms.ChoiceField(label="Connection", required=False)
    table = forms.CharField(
        label="Table or path",
        required=False,
        max_length=200,
        help_text="A table or view of a database, with its schema if it has one; for a web service a path such as "
        "customers/{code}, with the fields below in braces.",
        widget=forms.TextInput(attrs={"list": "lookup-tables", "autocomplete": "off", "spellcheck": "false"}),
    )
    result = forms.CharField(
        label="Field to take",
        required=False,
        max_length=200,
        help_text="For a web service where it stands in the answer, such as items.name; 404 and an empty list are no row.",
        widget=forms.TextInput(attrs={"list": "lookup-fields", "autocomplete": "off", "spellcheck": "false"}),
    )
    none = forms.ChoiceField(label="No row is found", choices=NONE_FOUND)
    many = forms.ChoiceField(
        label="More than one is found",
        choices=MANY_FOUND,
        help_text="The first of a table is the one with the smallest value in the field to take.",
    )
    default = forms.CharField(label="Default value", required=False, max_length=4_000, strip=False)

    def __init__(
        self,
        *args: Any,
        field: FieldMap,
        columns: Sequence[str],
        variables: Sequence[str],
        connections: Sequence[tuple[str, str]],
        restricts: bool,
        **kwargs: Any,
    ) -> None:
        how = field.lookup or Lookup()
        self.field_map = field
        kwargs["initial"] = _answers(how) | kwargs.pop("initial", {})
        super().__init__(*args, **kwargs)
        known = dict(connections)
        gone = [(how.connection, "A connection that no longer exists")] if how.connection not in ("", *known) else []
        choice(self, "connection").choices = [("", "Choose a connection"), *connections, *gone]
        if not restricts:
            for name, stored in (("none", how.none), ("many", how.many)):
                rules = choice(self, name)
                rules.choices = [rule for rule in _rules(name) if rule[0] != NoneFound.RESTRICT or stored == rule[0]]
        self.offer_matches(how, columns, variables)
        self.speak()

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        self.check_matches(given)
        return given

    def result_field(self) -> FieldMap:
        """The field with its lookup, after validation."""
        given = self.cleaned_data
        rules = NoneFound(given["none"]), ManyFound(given["many"])
        uses_default = NoneFound.DEFAULT in rules or ManyFound.DEFAULT in rules
        how = Lookup(
            connection=given["connection"],
            table=given["table"],
            matches=self.given_matches(),
            result=given["result"],
            none=rules[0],
            many=rules[1],
            default=given["default"] if uses_default else "",
        )
        return replace(self.field_map, column_type=ColumnType.LOOKUP, lookup=how)


def _rules(name: str) -> list[tuple[str, str]]:
    return NONE_FOUND if name == "none" else MANY_FOUND


def _answers(how: Lookup) -> dict[str, Any]:
    answers = {name: getattr(value, "value", value) for name, value in vars(how).items() if name != "matches"}
    return answers | matches_as_answers(how)


def matches_as_answers(how: Lookup) -> dict[str, Any]:
    """Give what has to match as the rows of a form show it."""
    answers: dict[str, Any] = {}
    for at, match in enumerate(how.matches):
        answers[f"field-{at}"] = match.field
        answers[f"with-{at}"] = f"{OF_VARIABLE}{match.variable}" if match.variable else f"{OF_COLUMN}{match.column}"
    return answers
