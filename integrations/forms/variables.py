"""What a designer may say of the global variables that a process uses: the Variables tab."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms

from integrations.engine.plan import Keep, Plan, Variable
from integrations.forms.mentions import Mention, mentions_of
from integrations.forms.plain import PlainForm, Tall

if TYPE_CHECKING:
    _VariableForms = forms.BaseFormSet["VariableForm"]
else:
    # Django's form sets are generic for type checkers only.
    _VariableForms = forms.BaseFormSet

ORIGINS = [("company", "Company"), ("process", "This process")]
KEEPS = [(Keep.NEVER.value, "Never"), (Keep.ON_SUCCESS.value, "On success"), (Keep.ALWAYS.value, "Always")]


@dataclass(frozen=True, kw_only=True)
class Applies:
    """The value that a run of the draft would begin with, and where it comes from. `exists`: the company has it."""

    name: str
    value: str
    origin: str
    exists: bool
    kept: bool
    mentions: Sequence[Mention]


def applying(plan: Plan, company: Mapping[str, str], kept: Mapping[str, Any]) -> list[Applies]:
    """Give every variable that `plan` mentions or has a say on, by name. `kept` is what runs left to later ones."""
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
            Applies(name=name, value=value, origin=origin, exists=name in company, kept=is_kept, mentions=elsewhere)
        )
    return found


def as_text(value: Any) -> str:
    """A variable's value as people read it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class VariableForm(PlainForm):
    """One variable: whether the process has a value of its own, and whether a run leaves its value to the next."""

    name = forms.CharField(widget=forms.HiddenInput)
    origin = forms.ChoiceField(choices=ORIGINS, label="Value from")
    value = forms.CharField(
        required=False, strip=False, max_length=100_000, label="Own value", widget=Tall(1, spellcheck="false")
    )
    keep = forms.ChoiceField(choices=KEEPS, label="Keep after the run")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = self.initial.get("name") or self.data.get(self.add_prefix("name"), "")
        for field, words in (("origin", "Value of"), ("value", "Own value of"), ("keep", "Keep after the run")):
            self.fields[field].widget.attrs["aria-label"] = f"{words}{':' if field == 'keep' else ''} {name}"

    def variable(self) -> Variable:
        """The row after validation. A value that is the company's is not stored."""
        given = self.cleaned_data
        value = given["value"].replace("\r\n", "\n") if given["origin"] == "process" else None
        return Variable(name=given["name"], value=value, keep=Keep(given["keep"]))


class BaseVariableForms(_VariableForms):
    def variables(self) -> tuple[Variable, ...]:
        """What the process has a say on, after validation: variables that it inherits and forgets are not stored."""
        said = (form.variable() for form in self.forms)
        return tuple(item for item in said if item.value is not None or item.keep is not Keep.NEVER)


VariableForms: Any = forms.formset_factory(
    VariableForm, formset=BaseVariableForms, extra=0, max_num=2000, absolute_max=2000
)


def variable_forms(plan: Plan, names: Iterable[str], company: Mapping[str, str], data: Any = None) -> BaseVariableForms:
    """The rows of the Variables tab for these names. One that inherits offers the company's value to begin with."""
    own = {item.name: item for item in plan.variables}
    initial = []
    for name in names:
        said = own.get(name, Variable(name=name))
        initial.append(
            {
                "name": name,
                "origin": "company" if said.value is None else "process",
                "value": company.get(name, "") if said.value is None else said.value,
                "keep": said.keep.value,
            }
        )
    formset: BaseVariableForms = VariableForms(data, initial=initial, prefix="variables")
    return formset


class AddVariableForm(PlainForm):
    """The state a person saw, and a company variable to add to the tab."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    add = forms.ChoiceField(required=False, label="Another global variable")

    def __init__(self, *args: Any, others: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.others = others
        add: Any = self.fields["add"]
        add.choices = [("", "Choose a variable"), *((name, name) for name in others)]
