"""Named settings and secrets for one outside system, made from a connector."""

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings as django_settings
from django.db import models
from django.db.models import F
from django.utils import timezone

from accounts.keys import open_sealed, seal
from accounts.models import User
from accounts.scoping import CompanyOwned
from integrations.engine.secret import Secret


class Connection(CompanyOwned):
    """`settings` holds what may be shown; `secrets` maps a setting's name to its sealed value, never shown again."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120)
    connector = models.CharField(max_length=40)
    settings = models.JSONField(default=dict)
    secrets = models.JSONField(default=dict, editable=False)
    missing_secrets = models.JSONField(default=list, editable=False)
    """Names of secrets that it has elsewhere and that an import could not bring: they wait to be typed in."""
    revision = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_by = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "name"], name="one_connection_of_a_name"),
        ]

    def __str__(self) -> str:
        return self.name

    def seal_secret(self, name: str, text: str) -> None:
        """Keep a secret in memory as sealed text; the caller saves `secrets`."""
        self.secrets = {**self.secrets, name: seal(bytes(self.company.data_key), self._place(name), text)}

    def opened_settings(self) -> Mapping[str, Any]:
        """Give all settings for use, secrets as `Secret`. Raises `CannotOpen` when a key is missing."""
        opened = {
            name: Secret(open_sealed(bytes(self.company.data_key), self._place(name), sealed))
            for name, sealed in self.secrets.items()
        }
        return {**self.settings, **opened}

    def change(self, *, revision: int, by: User | None, **fields: Any) -> bool:
        """Write `fields`, unless someone saved since `revision` was read: then nothing is written and this is False."""
        changed = Connection.objects.filter(pk=self.pk, revision=revision).update(
            **fields, revision=F("revision") + 1, updated_by=by, updated_at=timezone.now()
        )
        if changed:
            self.refresh_from_db()
        return bool(changed)

    def _place(self, name: str) -> str:
        return f"connection/{self.public_id}/{name}"
