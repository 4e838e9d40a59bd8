"""What a person may say of a rolling number."""

from typing import Any

from django import forms

from integrations.forms.plain import PlainForm, Tall, WholeNumber
from integrations.models import RollingNumber

HIGHEST = 10**15
SAID = ("name", "description", "prefix", "width", "step", "next_number")


class RollingNumberForm(PlainForm):
    """Name, description and how its numbers go on. Numbers only go up, so that none is ever given twice."""

    revision = forms.IntegerField(widget=forms.HiddenInput, required=False)
    shown_next = forms.IntegerField(widget=forms.HiddenInput, required=False)
    name = forms.CharField(max_length=120, label="Name", help_text="Such as Invoice numbers.")
    description = forms.CharField(required=False, max_length=4000, label="Description", widget=Tall(2))
    # Django takes fields out of the class, so that its own `prefix` of a form stays.
    prefix = forms.CharField(  # type: ignore[assignment]
        required=False,
        max_length=40,
        strip=False,
        label="Prefix",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
        help_text="Stands before every number, such as INV-. May be empty.",
    )
    width = WholeNumber(
        label="Width", min_value=1, max_value=15, initial=6, help_text="Digits at least: 42 in a width of 6 is 000042."
    )
    step = WholeNumber(
        label="Step", min_value=1, max_value=1_000_000, initial=1, help_text="How far one number is from the next."
    )
    next_number = WholeNumber(
        label="Next number", min_value=0, max_value=HIGHEST, initial=1, help_text="The number that is given next."
    )

    def __init__(self, *args: Any, sequence: RollingNumber | None = None, **kwargs: Any) -> None:
        self.sequence = sequence
        if sequence is not None:
            told = {name: getattr(sequence, name) for name in (*SAID, "revision")}
            kwargs.setdefault("initial", told | {"shown_next": sequence.next_number})
        super().__init__(*args, **kwargs)
        if sequence is not None:
            self.fields["next_number"].help_text = "It may be raised, never lowered: a number is given once."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = RollingNumber.objects.filter(name__iexact=name)
        if self.sequence is not None:
            others = others.exclude(pk=self.sequence.pk)
        if others.exists():
            raise forms.ValidationError(f"There is already a rolling number {name}. Choose another name.")
        return name

    def clean_prefix(self) -> str:
        prefix: str = self.cleaned_data["prefix"]
        if any(ord(character) < 32 for character in prefix):
            raise forms.ValidationError("Prefix holds a line break, a tab or another control character. Remove it.")
        if self.sequence is not None and _may_meet(prefix, self.sequence.prefix):
            raise forms.ValidationError(
                f"{prefix or 'No prefix'} and {self.sequence.prefix or 'no prefix'} differ in digits alone, so that a "
                "number could come twice. Choose another prefix, or make a new rolling number."
            )
        return prefix

    def clean_next_number(self) -> int:
        given: int = self.cleaned_data["next_number"]
        if self.sequence is not None and self._moves(given) and given < self.sequence.next_number:
            raise forms.ValidationError(
                f"Numbers below {self.sequence.next_number} may have been given. Enter that or a higher one, or make a "
                "new rolling number."
            )
        return given

    def fields_to_store(self) -> dict[str, Any]:
        """Give the fields after validation. A next number that was left alone is not among them: runs move it on."""
        given = {name: self.cleaned_data[name] for name in SAID}
        if self.sequence is not None and not self._moves(given["next_number"]):
            del given["next_number"]
        return given

    def _moves(self, given: int) -> bool:
        return given != self.cleaned_data.get("shown_next")


def _may_meet(one: str, other: str) -> bool:
    """Say whether a number behind one prefix can be written like another number behind the other."""
    short, long = sorted((one, other), key=len)
    return one != other and long.startswith(short) and long[len(short) :].isdecimal()
