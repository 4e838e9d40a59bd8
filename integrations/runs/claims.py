"""Which run is performed next: runs that lost their worker first, then fairly among companies.

A claim is one guarded UPDATE; whoever comes second changes nothing. All companies' runs are looked at here, and a
claimed run is worked on in its own company's scope only.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.db import IntegrityError, transaction
from django.db.models import Case, Count, Q, When
from django.db.models.functions import Coalesce, Now
from django.db.models.lookups import LessThan
from django_scopes import scopes_disabled

from integrations.models import Process, Run, RunStatus
from integrations.models.run import DEATHS_ALLOWED, RunQuerySet

LOOKED_AT = 50
PATIENCE = timedelta(seconds=5)
"""How long a run of another company waits before a longer one yields its slot."""
WANTED_AT = Coalesce("yielded_at", "queued_at")
"""When a run took its place in line."""


class Came(StrEnum):
    """How a run came into the hands of a worker."""

    NEW = "new"
    HANDED_BACK = "handed back"
    YIELDED = "yielded"
    SILENT = "silent"
    CHILD = "child"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run in this worker's hands. `asked_at` is the monotonic time before the claim; `run.epoch` is its fence."""

    run: Run
    came: Came
    asked_at: float


def claim_next(owner: str, *, process: Process | None = None) -> Claim | None:
    """Claim the run whose turn it is, of one process or of all; None when nothing can be claimed."""
    with scopes_disabled():
        runs = Run.objects.performed_by_a_worker().select_related("company", "version", "process")
        if process is not None:
            runs = runs.filter(process=process)
        _park_the_dying(runs)
        return (
            _first(runs.silent().order_by("lease_until"), Came.SILENT, owner, Run.objects.claim_silent)
            or _first(
                runs.handed_back().filter(yielded_at=None).order_by("lease_until"),
                Came.HANDED_BACK,
                owner,
                Run.objects.claim_handed_back,
            )
            or _claim_in_line(runs, owner)
        )


def others_wait(run: Run) -> bool:
    """True when another company, with fewer running runs than that of `run`, has waited long enough for a slot.

    Idle workers look every second or two, so a run that waited this long found none (`design/architecture.md`, claims
    are fair).
    """
    with scopes_disabled():
        running = _running()
        ours = running.get(run.company_id, 0)
        as_busy = [company for company, count in running.items() if count >= ours]
        waiting = _in_line(Run.objects.performed_by_a_worker().exclude(company__in=as_busy))
        return ours > 0 and waiting.filter(LessThan(WANTED_AT, Now() - PATIENCE)).exists()


def _park_the_dying(runs: RunQuerySet) -> None:
    for run in runs.silent().filter(deaths__gte=DEATHS_ALLOWED - 1)[:LOOKED_AT]:
        Run.objects.park(run)


def _claim_in_line(runs: RunQuerySet, owner: str) -> Claim | None:
    Run.objects.wait_in_line()
    for run in _fairest_first(_in_line(runs))[:LOOKED_AT]:
        if run.status == RunStatus.QUEUED:
            claim = _claim(run, Came.NEW, owner, Run.objects.claim_queued)
        else:
            claim = _claim(run, Came.YIELDED, owner, Run.objects.claim_handed_back)
        if claim:
            return claim
    return None


def _fairest_first(runs: RunQuerySet) -> RunQuerySet:
    """The company with the fewest running runs first, then the one that waits longest."""
    counted = [When(company=company, then=count) for company, count in _running().items()]
    fewest = [Case(*counted, default=0)] if counted else []
    return runs.order_by(*fewest, WANTED_AT, "pk")


def _in_line(runs: RunQuerySet) -> RunQuerySet:
    """New runs and those that yielded, whose turn may come."""
    return (
        runs.unfinished()
        .filter(Q(status=RunStatus.QUEUED) | Q(lease_owner="", yielded_at__isnull=False))
        .free_to_start()
    )


def _running() -> dict[int, int]:
    """Count by company the runs that take up a worker; a child takes none of its own."""
    held = Run.objects.filter(status=RunStatus.IN_PROGRESS, parent=None).exclude(lease_owner="")
    return dict(held.order_by().values_list("company").annotate(Count("pk")))


def _first(runs: RunQuerySet, came: Came, owner: str, claim: "Callable[..., bool]") -> Claim | None:
    for run in runs[:LOOKED_AT]:
        if claimed := _claim(run, came, owner, claim):
            return claimed
    return None


def _claim(run: Run, came: Came, owner: str, claim: "Callable[..., bool]") -> Claim | None:
    asked_at = time.monotonic()
    try:
        with transaction.atomic():
            claimed = claim(run, owner=owner)
    except IntegrityError:
        # one_exclusive_run_at_once: another run of the process began since we looked. This one stays in line.
        return None
    return Claim(run=run, came=came, asked_at=asked_at) if claimed else None
