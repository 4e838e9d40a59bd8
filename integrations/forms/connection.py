"""What a person may say of a connection."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings

from accounts.models import Company
from integrations.connectors.spec import Connector
from integrations.forms.plain import PlainForm, field_for
from integrations.models import Connection


class ConnectionForm(PlainForm):
    """Name and settings of a connection, asked as its connector declares them.

    A secret that is stored shows nothing: an empty answer keeps it, a new text replaces it, `forget-…` removes it.
    """

    name = forms.CharField(max_length=120, label="Name", help_text="As people will find it in lists.")
    revision = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(
        self,
        *args: Any,
        connector: Connector,
        company: Company,
        connection: Connection | None = None,
        **kwargs: Any,
    ) -> None:
        self.connector, self.company, self.connection = connector, company, connection
        kwargs.setdefault("initial", self._stored())
        super().__init__(*args, **kwargs)
        kept = connection.secrets if connection else {}
        for setting in connector.settings:
            self.fields[setting.name] = field_for(setting, kept=setting.name in kept)
            if setting.is_path:
                opened = ", ".join(map(str, settings.FOLDERS))
                self.fields[setting.name].help_text = f"{setting.help} It may lie in: {opened}."
            if setting.secret and setting.name in kept and not setting.required:
                self.fields[f"forget-{setting.name}"] = forms.BooleanField(
                    required=False, label=f"Remove the stored {setting.label.lower()}"
                )
            elif connection and setting.name in connection.missing_secrets and not setting.required:
                self.fields[f"forget-{setting.name}"] = forms.BooleanField(
                    required=False, label=f"It needs no {setting.label.lower()}"
                )
        self.speak()

    def _stored(self) -> dict[str, Any]:
        defaults = {setting.name: setting.default for setting in self.connector.settings if not setting.secret}
        if self.connection is None:
            return defaults
        stored = {"name": self.connection.name, "revision": self.connection.revision}
        return {**defaults, **self.connection.settings, **stored}

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = Connection.objects.filter(name__iexact=name)
        if self.connection:
            others = others.exclude(pk=self.connection.pk)
        if others.exists():
            raise forms.ValidationError(f"There is already a connection named “{name}”. Choose another name.")
        return name

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        stored = self._stored()
        moved = [
            s.label
            for s in self.connector.settings
            if s.leads and (given.get(s.name) or s.default or "") not in ("", stored.get(s.name) or s.default)
        ]
        for setting in self.connector.settings:
            left = not given.get(setting.name) and not given.get(f"forget-{setting.name}")
            if self.connection and moved and setting.name in self.connection.secrets and left:
                self.add_error(
                    setting.name,
                    f"{' and '.join(moved)} changed, and the stored {setting.label.lower()} would be sent there. "
                    "Type it in anew.",
                )
        return given

    @property
    def settings(self) -> Mapping[str, Any]:
        """The open settings, after validation."""
        names = [setting.name for setting in self.connector.settings if not setting.secret]
        return {name: self.cleaned_data[name] for name in names}

    @property
    def new_secrets(self) -> Mapping[str, str]:
        """Secrets that were typed in, by name."""
        names = [setting.name for setting in self.connector.settings if setting.secret]
        return {name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name)}

    @property
    def forgotten(self) -> set[str]:
        """Names of stored secrets that the person wants removed."""
        return {s.name for s in self.connector.settings if self.cleaned_data.get(f"forget-{s.name}")}
