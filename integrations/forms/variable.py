"""What a person may say of a global variable."""

import re
from typing import Any

from django import forms

from integrations.engine.secure import Vault, set_at
from integrations.forms.plain import PlainForm, Tall
from integrations.models import GlobalVariable
from integrations.models.variable import is_variable_name
from integrations.runs.redaction import LEAST_LETTERS

PREFIX = "GBL_"


class GlobalVariableForm(PlainForm):
    """Name, value and description. `is_used` keeps the name as it is: scripts know the variable by it.

    After a name that is not allowed, `offered` is the nearest one that is, or "". A secure value is typed in and never
    shown again; an empty answer keeps it.
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
    is_secure = forms.BooleanField(
        required=False,
        label="Secure",
        widget=forms.CheckboxInput(attrs={"role": "switch"}),
        help_text="Kept encrypted and never shown again. Requests and queries get it; scripts, e-mail and logs do not.",
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
            names = ("name", "value", "is_secure", "description", "revision")
            kwargs.setdefault("initial", {name: getattr(variable, name) for name in names} | self._kept(variable))
        super().__init__(*args, **kwargs)
        if self.keeps:
            self.fields["value"].help_text = "An empty answer keeps the value that is set."
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

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        value = given.get("value", "")
        if given.get("is_secure"):
            complain = too_short(value)
        elif self.keeps and not value:
            complain = "The value was secure, so it is not shown. Enter the one that it has from now on."
        else:
            complain = ""
        if complain:
            self.add_error("value", complain)
        return given

    @property
    def keeps(self) -> bool:
        """True where a secure value is set, which is not shown."""
        return self.variable is not None and self.variable.is_secure and bool(self.variable.value)

    def fields_to_store(self, vault: Vault) -> dict[str, Any]:
        """Give the fields of the variable after validation, a secure value sealed for its name."""
        given = {name: self.cleaned_data[name] for name in ("name", "value", "is_secure", "description")}
        if not given["is_secure"]:
            return given
        at = None
        if self.keeps and not given["value"]:
            assert self.variable is not None
            if given["name"] == self.variable.name:
                return given | {"value": self.variable.value}
            given["value"], at = vault.opened(self.variable.value), set_at(self.variable.value)
        return given | {"value": vault.sealed(given["name"], given["value"], at=at)}

    def forget_secure(self) -> None:
        """Let the page not repeat a secure value that was typed in."""
        if self.is_bound and self["is_secure"].value():
            self.forget("value")

    def _kept(self, variable: GlobalVariable) -> dict[str, str]:
        return {"value": ""} if variable.is_secure else {}


def too_short(value: str) -> str:
    """Say why a value cannot be secure; "" when it can."""
    if not value or len(value) >= LEAST_LETTERS:
        return ""
    return f"A secure value has at least {LEAST_LETTERS} characters: a shorter one could not be kept out of logs."


def right_form(name: str) -> str:
    """Give the variable name that `name` was meant to be: capitals, the prefix, no other characters. "" if none is."""
    plain = re.sub(r"[^A-Z0-9_]+", "_", name.strip().upper()).strip("_")
    stem = re.sub(r"^GBL(_|$)", "", plain).strip("_")
    return f"{PREFIX}{stem}"[:80] if stem else ""
