"""What people enter about themselves, their companies and each other."""

import zoneinfo
from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import Company, Role, User

NO_PLACES = {"Etc", "SystemV", "posix", "right"}


def zones(kept: str = "") -> list[tuple[str, str]]:
    """Offer the time zones of places, and UTC. `kept` is one that was chosen before, whatever its name."""
    places = {
        name for name in zoneinfo.available_timezones() if "/" in name and name.partition("/")[0] not in NO_PLACES
    }
    return [(name, name) for name in sorted(places | {"UTC"} | ({kept} if kept else set()))]


def _offer(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    assert isinstance(field, forms.ChoiceField)
    field.choices = choices


class PersonForm(forms.Form):
    """A new person: of the first visit, or who accepts an invitation."""

    name = forms.CharField(max_length=120, label="Your name", widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "username"}))
    password = forms.CharField(
        label="Password",
        help_text="At least 12 characters.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    time_zone = forms.ChoiceField(choices=zones, initial="UTC", label="Time zone")

    def __init__(self, *args: Any, email: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if email:
            self.fields["email"].initial = email
            self.fields["email"].disabled = True

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        if User.objects.filter(email=email).exists():
            raise ValidationError("This e-mail belongs to a user already. Sign in, then open the link again.")
        return email

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if password := given.get("password"):
            person = User(email=given.get("email", ""), name=given.get("name", ""))
            try:
                validate_password(password, person)
            except ValidationError as error:
                self.add_error("password", error)
        return given


class CompanyForm(forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(initial="UTC", label="Time zone")

    class Meta:
        model = Company
        fields = ("name", "time_zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer(self.fields["time_zone"], zones(self.instance.time_zone))


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(required=False, label="Time zone")

    class Meta:
        model = User
        fields = ("name", "time_zone", "theme")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer(self.fields["time_zone"], [("", "As the company"), *zones(self.instance.time_zone)])


class InvitationForm(forms.Form):
    email = forms.EmailField(label="E-mail")
    role = forms.ChoiceField(choices=Role.choices, initial=Role.OPERATOR, label="Role")

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices, label="Role")
