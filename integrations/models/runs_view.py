"""How a person likes to see the list of runs: the columns, and views that are saved by name."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.scoping import CompanyOwned


class RunsColumns(CompanyOwned):
    """The columns that a person chose for the list of runs of a company. No row: the usual ones."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    columns = models.JSONField()
    """[key of a column], as `web.runs_columns` knows them."""

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["company", "user"], name="one_choice_of_columns")]

    def __str__(self) -> str:
        return f"columns of {self.user}"


class RunsView(CompanyOwned):
    """A view of the list of runs that a person saved: filters, order and columns, as an address tells them."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2_000)
    is_default = models.BooleanField(default=False)
    """True for the one that Runs opens with."""

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "user", "name"], name="one_view_of_a_name"),
            models.UniqueConstraint(
                fields=["company", "user"], condition=Q(is_default=True), name="one_default_view_a_person"
            ),
        ]

    def __str__(self) -> str:
        return self.name
