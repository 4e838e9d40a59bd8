"""The base of every form: its messages name the thing and the next step."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from integrations.connectors.spec import FieldKind, Setting


class PlainForm(forms.Form):
    """A form whose fields say what is wrong with which of them, in a sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        self.speak()

    def speak(self) -> None:
        """Give every field its sentences; call it again after adding fields."""
        spoken(self.fields)

    def build_on(self, revision: int) -> None:
        """After another person's save: keep what was typed, and build on the newer state when it is sent again."""
        answers = cast(QueryDict, self.data).copy()
        answers["revision"] = str(revision)
        self.data = answers

    def forget(self, name: str) -> None:
        """Let the page not repeat what was typed into a field."""
        answers = cast(QueryDict, self.data).copy()
        answers[self.add_prefix(name)] = ""
        self.data = answers

    def disable(self) -> None:
        """Show the form to a person who may look and not change."""
        for field in self.fields.values():
            field.disabled = True


def spoken(fields: dict[str, forms.Field]) -> dict[str, forms.Field]:
    """Give every field its sentences."""
    for name, field in fields.items():
        label = field.label or name.replace("_", " ").capitalize()
        field.error_messages["required"] = f"{label} is empty. Fill it in."
        field.error_messages["invalid_choice"] = f"{label}: the choice is no longer offered. Choose another one."
        if isinstance(field, forms.CharField):
            field.error_messages["null_characters_not_allowed"] = f"{label} holds a NUL character. Remove it."
    return fields


class Tall(forms.Textarea):
    """A text area that grows with its text, in the browsers that can."""

    def __init__(self, rows: int = 3, **attrs: Any) -> None:
        super().__init__(attrs={"rows": rows, **attrs})


class Code(Tall):
    """A text area for a script, which pages make a code box: a `cell` of a grid only while it is edited."""

    def __init__(self, rows: int, *, kind: str = "box", **attrs: Any) -> None:
        plain = {"spellcheck": "false", "autocapitalize": "off", "autocomplete": "off", "class": "mono"}
        super().__init__(rows, **plain, **attrs, **{"data-code": kind})


class WholeNumber(forms.IntegerField):
    def to_python(self, value: Any) -> int | None:
        try:
            return super().to_python(value)
        except ValidationError as error:
            raise ValidationError(f"{self.label} is not a whole number. Enter digits only.", code="invalid") from error


class SecretField(forms.CharField):
    """A secret: typed in, never shown again. `kept` says that one is stored, which an empty answer keeps."""

    def __init__(self, *, kept: bool, **kwargs: Any) -> None:
        self.kept = kept
        super().__init__(strip=False, **kwargs)


def field_for(setting: Setting, *, kept: bool = False) -> forms.Field:
    """Give the form field that asks for a connector's setting. `kept`: a secret is stored already."""
    common: dict[str, Any] = {"label": setting.label, "help_text": setting.help, "required": setting.required}
    match setting.kind:
        case FieldKind.NUMBER:
            return WholeNumber(**common)
        case FieldKind.SWITCH:
            return forms.BooleanField(**{**common, "required": False})
        case FieldKind.CHOICE:
            choices = setting.choices if setting.required else _with_default(setting)
            return forms.ChoiceField(choices=choices, **common)
        case FieldKind.SECRET:
            widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
            return SecretField(kept=kept, widget=widget, **{**common, "required": setting.required and not kept})
        case FieldKind.LONG_TEXT:
            return forms.CharField(widget=Tall(6, spellcheck="false", **{"class": "mono"}), **common)
        case FieldKind.TEXT:
            return forms.CharField(max_length=2000, strip=False, **common)


def _with_default(setting: Setting) -> Iterable[tuple[str, str]]:
    if any(value == setting.default for value, _ in setting.choices):
        return setting.choices
    return (("", "not set"), *setting.choices)
