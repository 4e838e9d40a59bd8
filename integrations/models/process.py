"""One integration as its designer defines it: a draft that is edited, and versions that run."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.scoping import CompanyOwned
from integrations.engine.plan import Plan


class Process(CompanyOwned):
    """`draft` is a plan in the making (JSON of `engine.plan.Plan`); `revision` grows with every save (optimistic lock).

    Runs use the newest version. A process in the trash keeps its runs and can be restored.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    draft = models.JSONField(default=dict)
    revision = models.PositiveIntegerField(default=0)
    is_active = models.BooleanField(default=True)
    default_file = models.ForeignKey(
        "integrations.StoredFile", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """What a file source reads when nobody chose another file; also the sample of the editor's previews."""
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)
    trashed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["company", "name"], condition=models.Q(trashed_at=None), name="one_process_of_a_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def newest_version(self) -> "ProcessVersion | None":
        """The version that runs use; None while nothing runnable was saved."""
        return self.versions.order_by("-number").first()


class ProcessVersion(CompanyOwned):
    """A saved definition, never changed afterwards."""

    process = models.ForeignKey(Process, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    plan_json = models.JSONField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["process", "number"], name="one_version_of_a_number"),
        ]

    def __str__(self) -> str:
        return f"{self.process} version {self.number}"

    @property
    def plan(self) -> Plan:
        return Plan.from_json(self.plan_json)
