"""What a lost message or a dead worker leaves behind is picked up here. Safe to call at any time, by anyone, twice.

The built-in clock calls it every two seconds, cron every minute, and every worker when it starts.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

from django.db.models import Q
from django.db.models.functions import Now
from django_scopes import scopes_disabled

from integrations.models import Run, RunStatus
from integrations.models.run import DEATHS_ALLOWED, RunQuerySet
from integrations.runs.health import forget_the_long_gone
from integrations.runs.jobs import dispatch

FORGOTTEN_AFTER = timedelta(seconds=2)
RING_AGAIN_AFTER = timedelta(seconds=60)
RINGS = 5
"""Bells a sweep rings at most: one is enough to wake a worker, and a worker performs whatever waits."""


@dataclass(frozen=True, kw_only=True)
class Rescued:
    """What a sweep found: runs parked after their last death, and bells rung."""

    parked: int
    rung: int


def rescue() -> Rescued:
    """Park runs that killed every worker they were given, and ring for those that wait unheard."""
    with scopes_disabled():
        parked = sum(Run.objects.park(run) for run in Run.objects.silent().filter(deaths__gte=DEATHS_ALLOWED - 1))
        waiting = list(_unheard().order_by("pk").values_list("pk", flat=True)[:RINGS])
        forget_the_long_gone()
    # One unanswered bell says that the broker is away: the others would only wait for it as well.
    rung = sum(1 for _ in takewhile(dispatch, waiting))
    return Rescued(parked=parked, rung=rung)


def _unheard() -> RunQuerySet:
    """Runs that a worker could take now and for which nobody rang lately."""
    free = Q(status=RunStatus.QUEUED) | Q(lease_owner="") | Q(lease_until__lt=Now())
    lately = Q(dispatched_at__gt=Now() - RING_AGAIN_AFTER) | Q(
        dispatched_at=None, queued_at__gt=Now() - FORGOTTEN_AFTER
    )
    return Run.objects.unfinished().performed_by_a_worker().filter(free).exclude(lately)
