"""What a designer may say of a prompt: a variable that is asked for when the process runs."""

from typing import Any

from django import forms

from integrations.engine.plan import ChoicesFrom, Prompt, PromptType, Variable
from integrations.engine.prompts import complaint_about
from integrations.forms.plain import PlainForm, Tall, WholeNumber
from integrations.forms.process import choice
from integrations.forms.surroundings import query_connections, table_choices
from integrations.runs.choices import MOST, SECONDS

TYPES = [
    (PromptType.TEXT.value, "Text"),
    (PromptType.NUMBER.value, "Number"),
    (PromptType.YES_NO.value, "Yes or no"),
    (PromptType.DATE.value, "Date"),
    (PromptType.DATETIME.value, "Date and time"),
    (PromptType.DATE_RANGE.value, "Date range"),
    (PromptType.PERIOD.value, "Period in words"),
    (PromptType.CHOICE.value, "One of a list"),
    (PromptType.CHOICES.value, "Several of a list"),
]
FROM = [
    (ChoicesFrom.LIST.value, "the list below"),
    (ChoicesFrom.TABLE.value, "the rows of a translation table"),
    (ChoicesFrom.QUERY.value, "a query"),
]
NAMES = ("label", "help", "type", "default", "required", "minimum", "maximum", "length", "pattern", "place")


class PromptForm(PlainForm):
    """Whether and how a variable is asked for when the process runs."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    asked = forms.BooleanField(
        required=False, label="Ask for it when the process runs", widget=forms.CheckboxInput({"role": "switch"})
    )
    label = forms.CharField(
        required=False, max_length=120, label="Label", help_text="What people read. Empty: its name."
    )
    help = forms.CharField(required=False, max_length=400, label="Help", help_text="A sentence below the field.")
    type = forms.ChoiceField(choices=TYPES, label="Type")
    required = forms.BooleanField(required=False, label="Required")
    place = WholeNumber(
        required=False,
        min_value=1,
        max_value=1000,
        label="Place",
        help_text="Where it stands in the panel, where required ones come first. Empty: behind those that have a place.",
    )
    default = forms.CharField(
        required=False,
        max_length=4000,
        label="Default",
        help_text="The answer where nobody gives one. A period by its word, such as last_month.",
    )
    choices = forms.CharField(
        required=False, max_length=20_000, label="List", widget=Tall(3), help_text="What can be chosen, one a line."
    )
    choices_from = forms.ChoiceField(choices=FROM, required=False, label="List from", help_text="What can be chosen.")
    table = forms.ChoiceField(
        required=False,
        label="Translation table",
        help_text="Its keys are the values; what they become is shown beside.",
    )
    connection = forms.ChoiceField(required=False, label="Connection", help_text="The system that is asked.")
    query = forms.CharField(
        required=False,
        max_length=20_000,
        label="Query",
        widget=Tall(3),
        help_text="It gives the value and, in a second column, its label. It is asked when the panel opens, when a run "
        f"is asked for and when it starts, and may take {SECONDS:g} seconds and give {MOST} values. [GBL_NAME] stands for "
        "the value that the process has; secure ones have no place in it, for people see what it gives.",
    )
    minimum = forms.CharField(required=False, max_length=40, label="Least", help_text="For numbers and dates.")
    maximum = forms.CharField(required=False, max_length=40, label="Most", help_text="For numbers and dates.")
    length = WholeNumber(required=False, min_value=1, max_value=4000, label="Longest text", help_text="In characters.")
    pattern = forms.CharField(
        required=False,
        max_length=200,
        label="Pattern of a text",
        help_text="9 is a digit, A a letter, X either, ? any character, * anything; others stand for themselves.",
    )

    def __init__(self, *args: Any, variable: Variable, secure: bool, **kwargs: Any) -> None:
        self.secure = secure
        said = variable.prompt or Prompt()
        initial = {name: getattr(said, name) for name in NAMES} | {
            "asked": variable.prompt is not None,
            "type": said.type.value,
            "choices": "\n".join(said.choices),
            "choices_from": said.choices_from.value,
            "table": said.table,
            "connection": said.connection,
            "query": said.query,
        }
        kwargs["initial"] = initial | kwargs.get("initial", {})
        super().__init__(*args, **kwargs)
        choice(self, "table").choices = _offered(table_choices(), said.table)
        choice(self, "connection").choices = _offered(query_connections(), said.connection)
        if secure:
            self.fields["type"].disabled = True
            self.fields["type"].help_text = "Its value is secure, so it is asked for as a password is."

    def clean(self) -> dict[str, Any]:
        if not self.cleaned_data.get("asked") and set(self.changed_data) - {"asked", "revision"}:
            self.add_error(
                "asked",
                "It is not asked for, so what was changed below would be lost. Switch on “Ask for it when the process "
                "runs”, or put the rest back.",
            )
        said = None if self.errors else self.prompt()
        if said and (complaint := complaint_about(said, secure=self.secure)):
            self.add_error(None, f"It cannot be asked for like this: {complaint}")
        return self.cleaned_data

    def prompt(self) -> Prompt | None:
        """The prompt after validation; None where the variable is not asked for."""
        given = self.cleaned_data
        if not given["asked"]:
            return None
        choices = tuple(dict.fromkeys(filter(None, map(str.strip, given["choices"].splitlines()))))
        parts = {name: given[name] for name in NAMES} | {"type": PromptType(given["type"])}
        return Prompt(**parts, **self._list(given, choices))

    @staticmethod
    def _list(given: dict[str, Any], choices: tuple[str, ...]) -> dict[str, Any]:
        """Give where the list comes from. What belongs to another origin is let go, as it is no longer shown."""
        if given["type"] not in (PromptType.CHOICE, PromptType.CHOICES):
            return {}
        origin = ChoicesFrom(given["choices_from"] or ChoicesFrom.LIST)
        if origin is ChoicesFrom.TABLE:
            return {"choices_from": origin, "table": given["table"]}
        if origin is ChoicesFrom.QUERY:
            query = given["query"].replace("\r\n", "\n").strip()
            return {"choices_from": origin, "connection": given["connection"], "query": query}
        return {"choices": choices}


def _offered(found: list[tuple[str, str]], now: str) -> list[tuple[str, str]]:
    """Give what can be chosen; what is chosen now and gone stays to be seen."""
    gone = [(now, "no longer exists")] if now and now not in dict(found) else []
    return [("", "Choose"), *found, *gone]
