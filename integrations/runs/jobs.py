"""The doorbell: a message says that a run may be waiting. What is performed is decided by the rows."""

import logging

from celery import shared_task
from django_scopes import scopes_disabled
from kombu.exceptions import OperationalError

from integrations.models import Run

log = logging.getLogger(__name__)


@shared_task(name="integrations.runs.perform_run")
def perform_run(run_id: int) -> None:
    """Perform what may be performed. `run_id` is a hint: this message may be late, lost or delivered twice."""
    from integrations.runs.perform import perform

    perform(run_id)


def dispatch(run_id: int) -> bool:
    """Ring once for a run; False when the broker did not answer.

    That costs nothing but time: workers look for themselves, and rescue rings again.
    """
    try:
        perform_run.apply_async((run_id,), retry=False)
    except OperationalError as error:
        log.warning("run %s waits for a worker's own look: the broker did not answer (%s)", run_id, error)
        return False
    with scopes_disabled():
        Run.objects.was_dispatched(run_id)
    return True
