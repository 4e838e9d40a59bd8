"""What a person may say of a global variable."""

import re
from typing import Any

from django import forms

from integrations.forms.plain import PlainForm, Tall
from integrations.models import GlobalVariable
from integrations.models.variable import is_variable_name

PREFIX = "GBL_"


class GlobalVariableForm(PlainForm):
    """Name, value and description. `is_used` keeps the name as it is: scripts know the variable by it.

    After a name that is not allowed, `offered` is the nearest one that is, or "".
    """

    revision = forms.IntegerField(widget=forms.HiddenInput, required=False)
    name = forms.CharField(
        max_length=80,
        label="Name",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "autocapitalize": "characters"}),
        help_text="Begins with GBL_ and goes on with capital letters, digits and _. Scripts write this.GBL_…",
    )
    value = forms.CharField(
        required=False,
        strip=False,
        max_length=100_000,
        label="Value",
        widget=Tall(3, spellcheck="false", **{"class": "mono"}),
        help_text="What every run begins with, unless its process has a value of its own. May be empty.",
    )
    description = forms.CharField(
        required=False,
        max_length=4000,
        label="Description",
        widget=Tall(2),
        help_text="What it is for, and who sets it.",
    )

    def __init__(
        self, *args: Any, variable: GlobalVariable | None = None, is_used: bool = False, **kwargs: Any
    ) -> None:
        self.variable, self.is_used, self.offered = variable, is_used, ""
        if variable is not None:
            names = ("name", "value", "description", "revision")
            kwargs.setdefault("initial", {name: getattr(variable, name) for name in names})
        super().__init__(*args, **kwargs)
        if is_used:
            self.fields["name"].disabled = True
            self.fields["name"].help_text = "It keeps its name while it is used: scripts know it by that."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        try:
            is_variable_name(name)
        except forms.ValidationError as error:
            self.offered = right_form(name)
            offer = f" {name} would be {self.offered}." if self.offered else ""
            raise forms.ValidationError(f"{error.messages[0]}{offer}") from error
        others = GlobalVariable.objects.filter(name=name)
        if self.variable is not None:
            others = others.exclude(pk=self.variable.pk)
        if others.exists():
            raise forms.ValidationError(f"There is already a global variable {name}. Choose another name.")
        return name

    def clean_value(self) -> str:
        # Forms send other line ends than text areas show.
        value: str = self.cleaned_data["value"]
        return value.replace("\r\n", "\n")


def right_form(name: str) -> str:
    """Give the variable name that `name` was meant to be: capitals, the prefix, no other characters. "" if none is."""
    plain = re.sub(r"[^A-Z0-9_]+", "_", name.strip().upper()).strip("_")
    stem = re.sub(r"^GBL(_|$)", "", plain).strip("_")
    return f"{PREFIX}{stem}"[:80] if stem else ""
