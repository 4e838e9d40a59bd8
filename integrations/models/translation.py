"""Translation tables: what a value of the source is called at the destination."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import Company, User
from accounts.scoping import CompanyOwned

Pairs = list[tuple[str, str]]
"""(from, to) in the order in which people gave them; every *from* once."""


class TranslationRows(CompanyOwned):
    """The rows of a table as they were at a time: never changed, so that a run may hold on to them by their id."""

    pairs = models.JSONField(default=list)
    count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.count} rows"


class TranslationTable(CompanyOwned):
    """A table of the company. Every change of its rows puts other `rows` in their place."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    rows = models.ForeignKey(TranslationRows, on_delete=models.PROTECT, related_name="+")
    revision = models.PositiveIntegerField(default=0)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "name"], name="one_translation_table_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def pairs(self) -> Pairs:
        return [(given, becomes) for given, becomes in self.rows.pairs]

    @classmethod
    def make(cls, company: Company, *, by: User | None, pairs: Pairs, **fields: Any) -> "TranslationTable":
        """Create a table with its rows."""
        with transaction.atomic():
            return cls.objects.create(company=company, rows=rows_of(company, pairs), updated_by=by, **fields)

    def change(self, *, revision: int, by: User | None, pairs: Pairs, **fields: Any) -> bool:
        """Write rows and `fields`, unless someone saved since `revision` was read: then nothing is, and this is False."""
        with transaction.atomic():
            rows = self.rows if pairs == self.pairs else rows_of(self.company, pairs)
            changed = TranslationTable.objects.filter(pk=self.pk, revision=revision).update(
                **fields, rows=rows, revision=F("revision") + 1, updated_by=by, updated_at=timezone.now()
            )
            if not changed and rows != self.rows:
                rows.delete()
        if changed:
            self.refresh_from_db()
        return bool(changed)


def rows_of(company: Company, pairs: Pairs) -> TranslationRows:
    """Keep these rows."""
    return TranslationRows.objects.create(company=company, pairs=[list(pair) for pair in pairs], count=len(pairs))
