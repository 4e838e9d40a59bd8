"""What a process asks for when it runs: the parameters step of the panel."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from integrations.engine.plan import Plan, Prompt, PromptType, Variable
from integrations.engine.prompts import PERIODS, answered, unresolved
from integrations.engine.secure import Vault, has_handle, is_handle
from integrations.forms.plain import PlainForm
from integrations.forms.variable import too_short
from integrations.runs.choices import Offer

PREFIX = "given"
SEALED = "sealed-"
CHOOSE = ("", "Choose")


class RangeWidget(forms.MultiWidget):
    """The first and the last day of a range."""

    template_name = "range"
    """Drawn by `forms.rendering`."""

    def __init__(self) -> None:
        days: dict[str, forms.Widget | type[forms.Widget]] = {
            end: forms.DateInput({"type": "date", "class": "form-control"}, "%Y-%m-%d") for end in ("from", "to")
        }
        super().__init__(days)

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        for day, words in zip(context["widget"]["subwidgets"], ("From", "To"), strict=True):
            day["label"] = words
        return context

    def decompress(self, value: Any) -> list[Any]:
        return [value["from"], value["to"]] if value else [None, None]


class RangeField(forms.Field):
    """Gives {"from", "to"} as they were typed in."""

    def clean(self, value: Any) -> Any:
        return {"from": value[0] or "", "to": value[1] or ""} if value else None


class ParametersForm(PlainForm):
    """One field for each prompt of a plan, in the order in which they are asked for.

    `last` is what the run before was given: the form begins with it. A secure answer is typed in and never shown: an
    empty one keeps that of the run before, or the one that was sealed while something else was asked.
    """

    def __init__(
        self,
        data: Any,
        plan: Plan,
        *,
        vault: Vault,
        secure: frozenset[str],
        last: Mapping[str, Any] | None = None,
        offers: Mapping[str, Offer] | None = None,
    ) -> None:
        self._vault, self._secure, self._last, self._offers = vault, secure, last or {}, offers or {}
        self._asked = {item.name: item for item in plan.asked}
        super().__init__(data, prefix=PREFIX)
        for name, item in self._asked.items():
            self.fields[name] = self._field(item)
        self.speak()

    # What is missing is said by the server, beside everything else: *No* and *Change* go on without it.
    use_required_attribute = False

    def given(self) -> dict[str, Any]:
        """The answers after validation, by variable; secure ones sealed."""
        return {name: self.cleaned_data[name] for name in self._asked if self.cleaned_data.get(name) is not None}

    def sealed(self) -> dict[str, str]:
        """Secure answers that were typed in, sealed, by the names that a page sends them back under.

        Those of the run before are another person's: they stay here, and an empty answer keeps them again.
        """
        if not self.is_bound or not self.is_valid():
            return {}
        return {
            f"{SEALED}{name}": value
            for name, value in self.given().items()
            if is_handle(value) and value != self._last.get(name)
        }

    def clean(self) -> dict[str, Any]:
        for name, item in self._asked.items():
            if name in self.errors:
                continue
            assert item.prompt is not None
            try:
                self.cleaned_data[name] = self._answer(item, item.prompt, self.cleaned_data.get(name))
            except ValueError as error:
                self.add_error(name, f"{item.asked_as} {error}")
        return self.cleaned_data

    def _answer(self, item: Variable, prompt: Prompt, typed: Any) -> Any:
        if item.name not in self._secure:
            return answered(prompt, typed)
        if not typed and (kept := self._kept(item.name)):
            return kept
        text = answered(prompt, typed)
        if text and (complaint := too_short(text)):
            raise ValueError(f"is too short: {complaint[0].lower()}{complaint[1:]}")
        return self._vault.sealed(item.name, text) if text else None

    def _kept(self, name: str) -> str:
        """Give the sealed answer that an empty one keeps, or ""."""
        found = (self.data.get(f"{SEALED}{name}"), self._last.get(name)) if name in self._secure else ()
        return next((str(kept) for kept in found if is_handle(kept, of=name)), "")

    def _field(self, item: Variable) -> forms.Field:
        prompt = item.prompt
        assert prompt is not None
        secure = item.name in self._secure
        last = unresolved(self._last.get(item.name))
        common: dict[str, Any] = {
            "label": item.asked_as,
            "help_text": self._help(item, prompt),
            "required": prompt.required and not self._kept(item.name),
            "initial": _shown(prompt, prompt.default if last is None or secure or has_handle(last) else last),
        }
        return _field(prompt, common, secure=secure, offered=self._offered(item, prompt))

    def _offered(self, item: Variable, prompt: Prompt) -> Sequence[tuple[str, str]]:
        if item.name in self._offers:
            return self._offers[item.name].choices
        return [(choice, choice) for choice in prompt.choices]

    def _help(self, item: Variable, prompt: Prompt) -> str:
        if (offer := self._offers.get(item.name)) and offer.trouble:
            return f"{prompt.help} Nothing can be chosen now: {offer.trouble}".strip()
        if item.name in self._secure and is_handle(self._last.get(item.name)):
            return f"{prompt.help} Empty keeps what the last run was given.".strip()
        return prompt.help


def _field(prompt: Prompt, common: dict[str, Any], *, secure: bool, offered: Sequence[tuple[str, str]]) -> forms.Field:
    if secure:
        return forms.CharField(strip=False, widget=forms.PasswordInput({"autocomplete": "new-password"}), **common)
    if prompt.type is PromptType.DATE_RANGE:
        return RangeField(widget=RangeWidget(), **common)
    if prompt.type is PromptType.CHOICES:
        return forms.MultipleChoiceField(choices=offered, widget=forms.CheckboxSelectMultiple, **common)
    if prompt.type is PromptType.TEXT:
        return forms.CharField(strip=False, max_length=prompt.length, **common)
    widgets: dict[PromptType, forms.Widget] = {
        PromptType.NUMBER: forms.TextInput({"inputmode": "decimal"}),
        PromptType.DATE: forms.DateInput({"type": "date"}, "%Y-%m-%d"),
        PromptType.DATETIME: forms.TextInput({"type": "datetime-local", "step": "1"}),
        PromptType.YES_NO: forms.Select(choices=[CHOOSE, ("yes", "Yes"), ("no", "No")]),
        PromptType.PERIOD: forms.Select(choices=[CHOOSE, *((word, words) for word, (words, _) in PERIODS.items())]),
        PromptType.CHOICE: forms.Select(choices=[CHOOSE, *offered]),
    }
    return forms.CharField(widget=widgets[prompt.type], **common)


def _shown(prompt: Prompt, value: Any) -> Any:
    """Give an answer as its field begins with it."""
    if value in (None, ""):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and "period" in value:
        return value["period"]
    if prompt.type is PromptType.DATE_RANGE:
        return value if isinstance(value, dict) else None
    if prompt.type is PromptType.CHOICES:
        return value if isinstance(value, list) else [value]
    return value
