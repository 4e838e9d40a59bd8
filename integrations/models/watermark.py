"""How far a process that reads changes only has come, and what it still has to deliver of what lies behind it."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import User
from accounts.scoping import CompanyOwned
from integrations.models.process import Process
from integrations.models.run import Run
from integrations.models.stored_file import StoredFile


class Watermark(CompanyOwned):
    """The greatest value of `column` that was read, and the rows of the documents that did not arrive since.

    It is moved only in the transaction that ends a run well (`runs.journal`), or by a person. `revision` grows with every
    change, so that a run which began before a person set another value does not move that.
    """

    process = models.OneToOneField(Process, on_delete=models.PROTECT, related_name="+")
    column = models.CharField(max_length=400, blank=True)
    value = models.TextField(blank=True)
    """As it was read; empty: the next run reads from the beginning."""
    moved_at = models.DateTimeField(null=True)
    moved_by = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    """Who set the value, where no run did."""
    carried = models.ForeignKey(StoredFile, on_delete=models.PROTECT, null=True, related_name="+")
    """The spooled rows of the documents that failed, are unknown or were held: the next run reads them first."""
    carried_documents = models.PositiveBigIntegerField(default=0)
    carried_from = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    revision = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(carried=None, carried_documents=0)
                | models.Q(carried__isnull=False, carried_documents__gt=0),
                name="carried_documents_have_rows",
            )
        ]

    def __str__(self) -> str:
        return f"{self.column} {self.value}"

    @classmethod
    def locked(cls, process: Process) -> "Watermark":
        """Give the one of `process`, to be changed in the transaction that is under way. A new one is not saved yet."""
        found = cls.objects.select_for_update().filter(process=process).first()
        return found or cls(company=process.company, process=process)

    def move(self, run: Run, *, column: str, since: int, to: str, carried: StoredFile | None, documents: int) -> bool:
        """Take over what `run` came to, and what it carries on. A value that changed after revision `since`, which the run
        began with, stays. Gives whether the value moved."""
        moves = self.revision == since and (self.column, self.value) != (column, to)
        if moves:
            self.column, self.value = column, to
            self.moved_at, self.moved_by, self.set_by = timezone.now(), run, None
        self._carry(carried, documents, run)
        return moves

    def set(self, column: str, value: str, *, by: User) -> None:
        """Let the next run read what lies behind `value`. What is carried stays."""
        self._put(column, value, by)
        self._carry(self.carried, self.carried_documents, self.carried_from)

    def reset(self, *, by: User) -> None:
        """Let the next run read from the beginning, so that nothing need be carried."""
        self._put("", "", by)
        self._carry(None, 0, None)

    def _put(self, column: str, value: str, by: User) -> None:
        self.column, self.value = column, value
        self.moved_at, self.moved_by, self.set_by = timezone.now(), None, by

    def _carry(self, carried: StoredFile | None, documents: int, run: Run | None) -> None:
        before = self.carried
        self.carried, self.carried_documents, self.carried_from = carried, documents, run if carried else None
        self.revision += 1
        self.save()
        if before is not None and before != carried:
            before.delete()
