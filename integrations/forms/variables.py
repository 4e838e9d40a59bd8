"""What a designer may say of the global variables that a process uses: the Variables tab."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms

from integrations.engine.plan import Keep, Plan, Variable
from integrations.engine.secret import DOTS
from integrations.engine.secure import Vault, is_handle, masked, set_at
from integrations.forms.mentions import Mention, mentions_of
from integrations.forms.plain import PlainForm, Tall
from integrations.forms.variable import too_short

if TYPE_CHECKING:
    _VariableForms = forms.BaseFormSet["VariableForm"]
else:
    # Django's form sets are generic for type checkers only.
    _VariableForms = forms.BaseFormSet

ORIGINS = [("company", "Company"), ("process", "This process")]
KEEPS = [(Keep.NEVER.value, "Never"), (Keep.ON_SUCCESS.value, "On success"), (Keep.ALWAYS.value, "Always")]


@dataclass(frozen=True, kw_only=True)
class Applies:
    """The value that a run of the draft would begin with, and where it comes from. `exists`: the company has it.

    A secure one is shown as dots; `set_at` says since when it is what it is.
    """

    name: str
    value: str
    origin: str
    exists: bool
    kept: bool
    secure: bool
    set_at: datetime | None
    mentions: Sequence[Mention]


def applying(
    plan: Plan, company: Mapping[str, str], kept: Mapping[str, Any], secure: Collection[str] = ()
) -> list[Applies]:
    """Give every variable that `plan` mentions or has a say on, by name. `kept` is what runs left to later ones,
    `secure` are the variables that are secure in the whole company."""
    own = {item.name: item for item in plan.variables}
    places: dict[str, list[Mention]] = {}
    for mention in mentions_of(plan):
        places.setdefault(mention.name, []).append(mention)
    found = []
    for name in sorted(places):
        said = own.get(name, Variable(name=name))
        is_kept = said.keep is not Keep.NEVER and name in kept
        value = as_text(kept[name]) if is_kept else company.get(name, "") if said.value is None else said.value
        origin = "kept from an earlier run" if is_kept else "company" if said.value is None else "this process"
        elsewhere = [mention for mention in places[name] if mention.tab != "variables"]
        found.append(
            Applies(
                name=name,
                value=(DOTS if value else "") if name in secure else masked(value),
                origin=origin,
                exists=name in company,
                kept=is_kept,
                secure=name in secure or said.secure or is_handle(value),
                set_at=set_at(value),
                mentions=elsewhere,
            )
        )
    return found


def as_text(value: Any) -> str:
    """A variable's value as people read it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class VariableForm(PlainForm):
    """One variable: whether the process has a value of its own, and whether a run leaves its value to the next.

    `own` is what the process says of it now; `always_secure` is one that is secure in the whole company. A secure value
    is typed in and never shown again; an empty answer keeps it.
    """

    name = forms.CharField(widget=forms.HiddenInput)
    origin = forms.ChoiceField(choices=ORIGINS, label="Value from")
    value = forms.CharField(
        required=False, strip=False, max_length=100_000, label="Own value", widget=Tall(1, spellcheck="false")
    )
    secure = forms.BooleanField(required=False, label="Secure")
    keep = forms.ChoiceField(choices=KEEPS, label="Keep after the run")

    def __init__(self, *args: Any, plan: Plan, secure: Collection[str], vault: Vault, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._vault = vault
        name = self.initial.get("name") or self.data.get(self.add_prefix("name"), "")
        self.own = next((item for item in plan.variables if item.name == name), Variable(name=name))
        self.always_secure = name in secure
        words = {"origin": "Value of", "value": "Own value of", "secure": "Secure:", "keep": "Keep after the run:"}
        for field, label in words.items():
            self.fields[field].widget.attrs["aria-label"] = f"{label} {name}"
        if self.always_secure:
            self.fields["secure"].disabled = True
        if self.keeps:
            self.fields["value"].widget.attrs["placeholder"] = "empty keeps it"

    @property
    def keeps(self) -> bool:
        """True where a secure value of the process's own is set, which is not shown."""
        return self.own.secure and bool(self.own.value)

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("origin") == "process":
            if self._is_secure:
                complaint = too_short(given.get("value", ""))
            elif self.keeps and not given.get("value"):
                complaint = "The value was secure, so it is not shown. Enter the one that it has from now on."
            else:
                complaint = ""
            if complaint:
                self.add_error("value", complaint)
        return given

    def variable(self) -> Variable:
        """The row after validation. A value that is the company's is not stored, a secure one is sealed."""
        given = self.cleaned_data
        value, secure = None, False
        if given["origin"] == "process":
            value, secure = given["value"].replace("\r\n", "\n"), self._is_secure
        if secure and value is not None:
            value = self.own.value if self.keeps and not value else self._vault.sealed(given["name"], value)
        return replace(self.own, value=value, keep=Keep(given["keep"]), secure=secure)

    def forget_secure(self) -> None:
        """Let the page not repeat a secure value that was typed in."""
        if self.is_bound and (self.always_secure or self["secure"].value()):
            self.forget("value")

    @property
    def _is_secure(self) -> bool:
        return self.always_secure or bool(self.cleaned_data.get("secure"))


class BaseVariableForms(_VariableForms):
    def variables(self) -> tuple[Variable, ...]:
        """What the process has a say on, after validation: one that it only inherits is not stored."""
        said = (form.variable() for form in self.forms)
        return tuple(item for item in said if item != Variable(name=item.name))


VariableForms: Any = forms.formset_factory(
    VariableForm, formset=BaseVariableForms, extra=0, max_num=2000, absolute_max=2000
)


def variable_forms(
    plan: Plan,
    names: Iterable[str],
    company: Mapping[str, str],
    data: Any = None,
    *,
    vault: Vault,
    secure: Collection[str] = (),
) -> BaseVariableForms:
    """The rows of the Variables tab for these names. One that inherits offers the company's value to begin with."""
    own = {item.name: item for item in plan.variables}
    initial = []
    for name in names:
        said = own.get(name, Variable(name=name))
        initial.append(
            {
                "name": name,
                "origin": "company" if said.value is None else "process",
                "value": _offered(said, company, secure),
                "secure": said.secure or name in secure,
                "keep": said.keep.value,
            }
        )
    context = {"plan": plan, "secure": secure, "vault": vault}
    formset: BaseVariableForms = VariableForms(data, initial=initial, prefix="variables", form_kwargs=context)
    return formset


def _offered(said: Variable, company: Mapping[str, str], secure: Collection[str]) -> str:
    value = company.get(said.name, "") if said.value is None else said.value
    return "" if said.name in secure or is_handle(value) else value


class AddVariableForm(PlainForm):
    """The state a person saw, and a company variable to add to the tab."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    add = forms.ChoiceField(required=False, label="Another global variable")

    def __init__(self, *args: Any, others: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.others = others
        add: Any = self.fields["add"]
        add.choices = [("", "Choose a variable"), *((name, name) for name in others)]
