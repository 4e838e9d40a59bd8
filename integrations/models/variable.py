"""Company-wide named values that scripts, tasks and queries use: `GBL_…`."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from accounts.scoping import CompanyOwned
from integrations.engine.secret import DOTS
from integrations.engine.secure import set_at

is_variable_name = RegexValidator(
    r"\AGBL_[A-Z0-9_]+\Z",
    "A name begins with GBL_ and goes on with capital letters, digits and _, such as GBL_LAST_RUN.",
)


class GlobalVariable(CompanyOwned):
    """The company's value of a variable. A process inherits it unless it has its own; a run works on a copy.

    That of a secure one is a handle (`engine.secure`), or empty: it is never shown again.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80, validators=[is_variable_name])
    value = models.TextField(blank=True)
    is_secure = models.BooleanField(default=False)
    description = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=0)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["company", "name"], name="one_variable_of_a_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def shown(self) -> str:
        """The value as people see it."""
        return DOTS if self.is_secure and self.value else self.value

    @property
    def set_at(self) -> datetime | None:
        """When the value of a secure variable was set."""
        return set_at(self.value) if self.is_secure else None

    def change(self, *, revision: int, by: User | None, **fields: Any) -> bool:
        """Write `fields`, unless someone saved since `revision` was read: then nothing is written and this is False."""
        changed = GlobalVariable.objects.filter(pk=self.pk, revision=revision).update(
            **fields, revision=F("revision") + 1, updated_by=by, updated_at=timezone.now()
        )
        if changed:
            self.refresh_from_db()
        return bool(changed)
