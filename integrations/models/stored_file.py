"""A file that came in or that a run made, kept by the hash of its content: two files of one name can never mix."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.scoping import CompanyOwned


class StoredFile(CompanyOwned):
    """One upload, one spooled reading, one output. The bytes lie in the file store under their SHA-256 and never change."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["company", "sha256"], name="file_by_content")]

    def __str__(self) -> str:
        return self.name
