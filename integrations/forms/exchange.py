"""What a person may say of an import: the file, and then what of it is taken."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings

from integrations.forms.plain import PlainForm


class ImportFileForm(PlainForm):
    """The export to look into."""

    file = forms.FileField(
        label="Exported file",
        max_length=255,
        widget=forms.FileInput(attrs={"accept": ".yaml,.yml,.zip"}),
        help_text="A .yaml of one thing, or a .zip of several.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].error_messages |= {
            "required": "No file was chosen. Choose an export first.",
            "empty": "The file is empty. Export again.",
        }

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.UPLOAD_LIMIT_BYTES:
            raise forms.ValidationError(
                f"{file.name} has {file.size:,} bytes; an upload may have {settings.UPLOAD_LIMIT_BYTES:,}. "
                "Import it in parts, or by manage.py import."
            )
        return file


class TakeForm(PlainForm):
    """Which things of the kept file are taken, by their numbers. `seen` marks what they met when they were looked at."""

    kept = forms.UUIDField(widget=forms.HiddenInput)
    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)
    take = forms.TypedMultipleChoiceField(required=False, coerce=int)

    def __init__(self, *args: Any, count: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        take: Any = self.fields["take"]
        take.choices = [(number, number) for number in range(count)]


def typed_secrets(data: Any, needed: Sequence[tuple[int, str]]) -> dict[tuple[int, str], str]:
    """Give the secrets that were typed in, by the number of their connection and the name of their setting."""
    typed = {(number, name): str(data.get(f"secret-{number}-{name}", "")) for number, name in needed}
    return {place: text for place, text in typed.items() if text}
