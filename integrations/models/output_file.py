"""A file that a run makes: where it is on its way, so that whoever continues the run places it once."""

from typing import ClassVar

from django.db import models

from accounts.scoping import CompanyOwned
from integrations.models.run import Run
from integrations.models.stored_file import StoredFile


class OutputFile(CompanyOwned):
    """The file of one line of a run, named when the delivery begins."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outputs")
    number = models.PositiveSmallIntegerField()
    """Of its line, from 1."""
    name = models.CharField(max_length=255)
    temporary = models.TextField(blank=True)
    """The path it was about to be placed from; "" while that is not so."""
    is_placed = models.BooleanField(default=False)
    size_bytes = models.PositiveBigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, null=True, related_name="+")
    """What is kept for download."""

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "number"], name="one_output_of_a_line")]

    def __str__(self) -> str:
        return self.name
