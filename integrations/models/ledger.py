"""The account of a run: which bucket every row and document went to.

A delivered document costs a few bytes: a segment keeps its batch's keys compressed, with a Bloom filter to find one.
A document that is failed or unknown has a row of its own with everything needed to repair it.
"""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.scoping import CompanyOwned
from integrations.models.run import Run

HANDOVER = "handover"
"""The stage of those lines of a run's log that tell how another worker came to continue it."""


class LedgerSegment(CompanyOwned):
    """One delivered batch: documents first..last, counts by bucket (documents, rows, and records per line)."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="ledger")
    number = models.PositiveIntegerField()
    epoch = models.PositiveIntegerField()
    first_document = models.PositiveBigIntegerField()
    last_document = models.PositiveBigIntegerField()
    documents = models.JSONField()
    rows = models.JSONField()
    lines = models.JSONField()
    keys = models.BinaryField()
    """zlib of the document keys as a JSON list and, after a NUL, a letter for the bucket of each (`runs.journal`)."""
    key_filter = models.BinaryField()
    settled_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "number"], name="one_segment_of_a_number")]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.number}"


class DocumentOutcome(CompanyOwned):
    """One document that is failed or unknown, with its source rows, mapped values and the answer it got."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outcomes")
    document = models.PositiveBigIntegerField()
    key = models.CharField(max_length=400)
    bucket = models.CharField(max_length=10)
    rows = models.JSONField()
    """[{"number": source row, "values": {column: text}}]"""
    records = models.JSONField()
    """[{"line": name, "values": {target: value}}], as far as mapping came."""
    sentence = models.TextField()
    cause = models.CharField(max_length=300)
    code = models.CharField(max_length=60)
    stage = models.CharField(max_length=40, blank=True)
    column = models.CharField(max_length=200, blank=True)
    answer = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "document"], name="one_outcome_a_document")]
        indexes: ClassVar = [
            models.Index(fields=["run", "cause"], name="outcomes_by_cause"),
            models.Index(fields=["company", "key"], name="outcomes_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.sentence}"


class StageEntry(CompanyOwned):
    """When a run passed a stage: the timeline of the Run Summary."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="stages")
    epoch = models.PositiveIntegerField()
    stage = models.CharField(max_length=40)
    message = models.TextField(blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.stage


class TaskDeed(CompanyOwned):
    """What a task does outside of Waybill: written before it is done and again after, under the run's fence, so that
    whoever continues a run knows what not to do a second time."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="deeds")
    place = models.CharField(max_length=200)
    """"stage/task", and "/document" (its number) at a document's stage."""
    done = models.BooleanField(default=False)
    """False: it was begun, and may have been done."""
    value = models.JSONField(null=True)
    """What it gave for the task's variable; while a file task is not done, the steps it planned."""

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "place"], name="one_deed_of_a_place")]

    def __str__(self) -> str:
        return self.place


class LogEntry(CompanyOwned):
    """A line of a run's log, secrets masked before it is written."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField(default=timezone.now)
    level = models.CharField(max_length=8)
    stage = models.CharField(max_length=40, blank=True)
    document = models.CharField(max_length=400, blank=True)
    message = models.TextField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["run", "id"], name="log_of_a_run")]

    def __str__(self) -> str:
        return self.message
