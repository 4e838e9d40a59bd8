"""Rolling numbers: the sequences that a company numbers its documents by."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from accounts.scoping import CompanyOwned
from integrations.models.run import Run


class RollingNumber(CompanyOwned):
    """A sequence: a prefix, then the number with zeros before it up to `width` digits.

    A number is taken for good before its document is sent. It never comes twice; one that was taken and not used is
    a gap.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    prefix = models.CharField(max_length=40, blank=True)
    width = models.PositiveSmallIntegerField(default=1)
    step = models.PositiveIntegerField(default=1)
    next_number = models.BigIntegerField(default=1)
    revision = models.PositiveIntegerField(default=0)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "name"], name="one_rolling_number_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def next(self) -> str:
        """The number that is given next, as it is written."""
        return self.written(self.next_number)

    def written(self, number: int) -> str:
        """Give a number as documents carry it."""
        return f"{self.prefix}{number:0{self.width}d}"

    def ahead(self, count: int) -> list[str]:
        """Give the next numbers and take none."""
        return [self.written(self.next_number + self.step * index) for index in range(count)]

    @classmethod
    def take(cls, public_id: str, count: int) -> list[str]:
        """Take the next `count` numbers for good, in one move. Raises `DoesNotExist` where the sequence is gone."""
        with transaction.atomic():
            # The row stays locked from here to the end, so that what is read back is what this move made of it.
            if not cls.objects.filter(public_id=public_id).update(next_number=F("next_number") + F("step") * count):
                raise cls.DoesNotExist
            sequence = cls.objects.get(public_id=public_id)
        first = sequence.next_number - sequence.step * count
        return [sequence.written(first + sequence.step * index) for index in range(count)]

    def change(self, *, revision: int, by: User | None, **fields: Any) -> bool:
        """Write `fields`, unless someone saved since `revision` was read, or numbers up to `next_number` and beyond
        were given since: then nothing is written and this is False."""
        rows = RollingNumber.objects.filter(pk=self.pk, revision=revision)
        if "next_number" in fields:
            rows = rows.filter(next_number__lte=fields["next_number"])
        changed = rows.update(**fields, revision=F("revision") + 1, updated_by=by, updated_at=timezone.now())
        if changed:
            self.refresh_from_db()
        return bool(changed)


class GivenNumbers(CompanyOwned):
    """Numbers that a run took for documents it does not account for yet: whoever continues it uses them again."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="given_numbers")
    place = models.TextField()
    """The field of the plan that they are for."""
    last_document = models.PositiveBigIntegerField()
    numbers = models.JSONField()
    """{row of the source: number}"""

    def __str__(self) -> str:
        return f"{len(self.numbers)} numbers"
