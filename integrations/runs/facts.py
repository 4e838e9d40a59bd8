"""What a run says of itself: `this.run` in a script, `[run.…]` in a text. Nobody writes it."""

from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from integrations.engine.batch import Bucket
from integrations.engine.errors import DefinitionError
from integrations.engine.plan import ParentData
from integrations.engine.variables import KEYS
from integrations.models import DocumentOutcome, LedgerSegment, Process, Run
from integrations.models.run import BUCKETS
from integrations.runs.journal import unpack_keys

ENDED_AS = {
    ParentData.SUCCEEDED: frozenset({Bucket.CREATED, Bucket.UPDATED, Bucket.UNCHANGED}),
    ParentData.FAILED: frozenset({Bucket.FAILED}),
}
"""How documents ended that count as succeeded, and as failed."""
BUCKETS_OF_KEYS = {"succeededKeys": ENDED_AS[ParentData.SUCCEEDED], "failedKeys": ENDED_AS[ParentData.FAILED]}
MOST_KEYS = 100_000


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


class KeysSoFar:
    """The keys of a run's documents by how they ended, as far as the ledger goes. Each of its pages is read once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._read_to = -1
        self._keys: dict[str, list[str]] = {name: [] for name in KEYS}

    def named_in(self, scripts: Iterable[str]) -> dict[str, list[str]]:
        """Give the lists that one of `scripts` names. Raises `DefinitionError` for one that is too long for a script."""
        named = [name for name in KEYS if any(name in script for script in scripts)]
        if named:
            self._read_on()
        for name in named:
            if len(self._keys[name]) > MOST_KEYS:
                raise DefinitionError(
                    f"this.run.{name} would be more than {MOST_KEYS:,} keys. Use data from parent, or count them.",
                    code="script.too_many_keys",
                )
        return {name: self._keys[name] for name in named}

    def _read_on(self) -> None:
        pages = LedgerSegment.objects.filter(run=self._run, number__gt=self._read_to).order_by("number")
        for self._read_to, page in pages.values_list("number", "keys").iterator():
            for key, bucket in unpack_keys(bytes(page)):
                for name, keys in self._keys.items():
                    # One more than may be shown says that there are more.
                    if bucket in BUCKETS_OF_KEYS[name] and len(keys) <= MOST_KEYS:
                        keys.append(key)
