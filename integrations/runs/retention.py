"""Deletes what the options of its process no longer keep: a run with its ledger, its children and its files."""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import ProtectedError
from django.db.models.functions import Now
from django_scopes import scope

from accounts import audit
from accounts.models import Company
from integrations.models import OutputFile, ProcessVersion, Run, StoredFile
from integrations.models.run import OPEN
from integrations.runs.files import discard_unwanted

log = logging.getLogger(__name__)

AT_MOST = 1_000
"""Runs of a process that one look deletes: the rest follows at the next."""


def delete_old_runs() -> int:
    """Delete every run that ended longer ago than the newest version of its process keeps it. Gives how many."""
    deleted = 0
    for company in Company.objects.all():
        with scope(company=company):
            for version in ProcessVersion.objects.that_are_newest().select_related("process"):
                try:
                    deleted += _delete_runs_of(version)
                except Exception:
                    # One process never keeps the others from being looked at.
                    log.exception("The old runs of %s could not be deleted", version.process.name)
    if deleted:
        log.info("%s runs were deleted: their processes keep them no longer", deleted)
    return deleted


def _delete_runs_of(version: ProcessVersion) -> int:
    """Children stay as long as the run that started them, and go with it."""
    process, days = version.process, version.plan_json.get("options", {}).get("keep_days", 0)
    if days < 1:
        return 0
    age = timedelta(days=days)
    old = Run.objects.filter(process=process, parent=None, ended_at__lt=Now() - age).order_by("pk")
    numbers = [number for run in old[:AT_MOST] for number in _deleted(run)]
    if numbers:
        audit.record(
            "run.deleted",
            process.name,
            user=None,
            company=process.company,
            after={"runs": len(numbers), "first": min(numbers), "last": max(numbers), "days kept": age.days},
        )
    return len(numbers)


def _deleted(run: Run) -> list[int]:
    """Delete a run and those below it, if all of them have ended; give their numbers."""
    family = [run]
    for above in family:
        family += Run.objects.filter(parent=above)
    if any(member.status in OPEN for member in family):
        return []
    kept = OutputFile.objects.filter(run__in=family).values_list("file", flat=True)
    files = {file for file in (*(member.source_file_id for member in family), *kept) if file}
    with transaction.atomic():
        for member in reversed(family):
            member.delete()
        contents = [file.sha256 for file in StoredFile.objects.filter(pk__in=files) if _let_go(file)]
    for sha256 in contents:
        discard_unwanted(sha256)
    return [member.number for member in family]


def _let_go(file: StoredFile) -> bool:
    """Delete a file's row, unless another run or a process has it."""
    try:
        file.delete()
    except ProtectedError:
        return False
    return True
