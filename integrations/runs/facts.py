"""What a run says of itself: `this.run` in a script, `[run.…]` in a text. Nobody writes it."""

from typing import Any

from django.utils import timezone

from integrations.models import DocumentOutcome, Process, Run
from integrations.models.run import BUCKETS


def standing_facts(run: Run) -> dict[str, Any]:
    """Give what stands from the start of a run to its end."""
    return {
        "number": run.number,
        "name": run.name,
        "process": run.process.name,
        "company": run.company.name,
        "user": str(run.requested_by or ""),
        "startedAt": run.started_at.isoformat() if run.started_at else "",
    }


def trial_facts(process: Process) -> dict[str, Any]:
    """Give the same for a run that is only tried."""
    said = {"number": 0, "name": "Test", "process": process.name, "company": process.company.name}
    return said | {"user": "", "startedAt": timezone.now().isoformat()}


def counts_so_far(run: Run) -> dict[str, Any]:
    """Give what was read, and how many documents ended how as far as the ledger goes."""
    now = Run.objects.get(pk=run.pk)
    return {"read": now.source_documents or 0, **{bucket: getattr(now, f"documents_{bucket}") for bucket in BUCKETS}}


def last_error(run: Run) -> str:
    """Give the sentence of the last document that failed; "" while none has."""
    failed = DocumentOutcome.objects.filter(run=run).order_by("-document").values_list("sentence", flat=True)
    return failed.first() or ""
