"""One execution of a process: its row is the truth, and every status write in the product stands here.

Each move is one guarded statement. A worker's writes carry the epoch it claimed: once another epoch holds the run,
or it has ended, they change nothing and the worker learns it (`engine.errors.Fenced`).
"""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.scoping import CompanyOwned
from integrations.models.process import Process, ProcessVersion
from integrations.models.stored_file import StoredFile


class RunStatus(models.TextChoices):
    """The stored words. Queued and in progress both show as In-Progress; the text says which."""

    QUEUED = "queued", "In-Progress"
    """Requested, not claimed. Leaves to in_progress, cancelled, skipped."""
    IN_PROGRESS = "in_progress", "In-Progress"
    """Claimed by a worker under a lease. Leaves to any ended status, or to itself under the next epoch."""
    COMPLETED = "completed", "Completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors", "Completed with Errors"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    SKIPPED = "skipped", "Skipped"


ENDED = (
    RunStatus.COMPLETED,
    RunStatus.COMPLETED_WITH_ERRORS,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
    RunStatus.SKIPPED,
)


class Trigger(models.TextChoices):
    MANUAL = "manual", "manual"
    RERUN = "rerun", "re-run"
    PARENT = "parent", "parent"


class Waiting(models.TextChoices):
    """What an unfinished run waits for."""

    LOCK = "lock", "waiting for an earlier run of this integration"
    CHILD = "child", "waiting for a child run"


class Run(CompanyOwned):
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    number = models.PositiveBigIntegerField()
    process = models.ForeignKey(Process, on_delete=models.PROTECT, related_name="runs")
    version = models.ForeignKey(ProcessVersion, on_delete=models.PROTECT, related_name="runs")
    name = models.CharField(max_length=200)
    trigger = models.CharField(max_length=12, choices=Trigger.choices, default=Trigger.MANUAL)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    source_file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, null=True, related_name="runs")
    """The pinned source: the upload itself, or the spooled rows of a query or folder file."""

    status = models.CharField(max_length=24, choices=RunStatus.choices, default=RunStatus.QUEUED)
    waiting_for = models.CharField(max_length=12, choices=Waiting.choices, blank=True)
    reason = models.TextField(blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    exclusive = models.BooleanField(default=True)
    """False where the process allows several runs at once; the constraint below is the lock of all others."""

    queued_at = models.DateTimeField(default=timezone.now, editable=False)
    dispatched_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    epoch = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    deaths = models.PositiveSmallIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    yield_requested_at = models.DateTimeField(null=True)

    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    parent_key = models.CharField(max_length=200, blank=True)
    """(task, stage, document) within the parent: a resumed parent never starts the same child twice."""

    stage = models.CharField(max_length=40, blank=True)
    batching = models.TextField(blank=True)
    """In words: whether scripts ran batch by batch or document by document, and why."""

    source_rows = models.PositiveBigIntegerField(null=True)
    source_documents = models.PositiveBigIntegerField(null=True)
    segments = models.PositiveIntegerField(default=0)
    sending_segment = models.PositiveIntegerField(null=True)
    """The segment whose intent is written: it may have left. Null when nothing is under way."""

    documents_created = models.PositiveBigIntegerField(default=0)
    documents_updated = models.PositiveBigIntegerField(default=0)
    documents_unchanged = models.PositiveBigIntegerField(default=0)
    documents_restricted = models.PositiveBigIntegerField(default=0)
    documents_failed = models.PositiveBigIntegerField(default=0)
    documents_unknown = models.PositiveBigIntegerField(default=0)
    documents_held = models.PositiveBigIntegerField(default=0)
    rows_created = models.PositiveBigIntegerField(default=0)
    rows_updated = models.PositiveBigIntegerField(default=0)
    rows_unchanged = models.PositiveBigIntegerField(default=0)
    rows_restricted = models.PositiveBigIntegerField(default=0)
    rows_failed = models.PositiveBigIntegerField(default=0)
    rows_unknown = models.PositiveBigIntegerField(default=0)
    rows_held = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "number"], name="one_run_of_a_number"),
            models.UniqueConstraint(
                fields=["process"], condition=Q(status="in_progress", exclusive=True), name="one_exclusive_run_at_once"
            ),
            models.UniqueConstraint(
                fields=["parent", "parent_key"], condition=~Q(parent_key=""), name="one_child_of_a_place"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "in_progress"], ended_at=None)
                | (~Q(status__in=["queued", "in_progress"]) & Q(ended_at__isnull=False)),
                name="ended_runs_say_when",
            ),
            models.CheckConstraint(
                condition=~Q(status="in_progress") | Q(lease_until__isnull=False), name="in_progress_has_a_lease"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["company", "-queued_at", "-id"], name="runs_newest_first"),
            models.Index(fields=["process", "-id"], name="runs_of_a_process"),
            models.Index(
                fields=["status", "id"], condition=Q(status__in=["queued", "in_progress"]), name="runs_unfinished"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name}"

    @property
    def is_open(self) -> bool:
        return self.status in (RunStatus.QUEUED, RunStatus.IN_PROGRESS)
