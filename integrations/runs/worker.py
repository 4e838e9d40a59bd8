"""What a Celery worker does besides hearing the doorbell: it looks for itself, beats, and stops at a segment.

Looking needs no broker, so a broker that is away or deaf costs a run a second and nothing more.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django_scopes import scopes_disabled

from integrations.runs.drain import is_draining, request_drain, wait_for_drain

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0


class Lookout(bootsteps.StartStopStep):
    """Starts before the worker asks for its broker and is joined before the process ends."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        self._thread = threading.Thread(target=look_out, args=(worker.hostname,), name="lookout")
        self._thread.start()

    def stop(self, worker: Any) -> None:
        request_drain()
        self._thread.join()


@worker_shutting_down.connect
def stop_at_the_next_segment(**told: Any) -> None:
    """The one signal that is used: it comes at once, also while a run is being performed."""
    request_drain()
    patience = threading.Timer(settings.STOP_SECONDS, give_up)
    patience.daemon = True
    patience.start()


def give_up() -> None:
    """End this process in the middle of a segment, before whoever told it to stop kills it.

    Its runs are handed back first: nobody has to wait for their leases, and none counts as a death. What had left with
    the segment is settled by whoever continues, as after any death.
    """
    from integrations.models import Run
    from integrations.runs.health import leave_here, this_worker

    try:
        with scopes_disabled():
            handed_back = Run.objects.hand_back_all(this_worker())
        leave_here()
        log.warning("its segment takes too long to wait for: %s run(s) handed back as they are", handed_back)
    finally:
        os._exit(0)


def look_out(name: str) -> None:
    """Perform what waits and beat for the worker called `name`, until told to stop."""
    # Imported here: Celery loads its steps before Django's models are ready.
    from integrations.runs.health import beat_here, leave_here, name_worker
    from integrations.runs.perform import perform_if_idle
    from integrations.runs.rescue import rescue

    name_worker(name)
    log.info("%s waits for runs", name)
    first_duty: Callable[[], object] = rescue
    while not is_draining():
        try:
            first_duty()
            perform_if_idle()
            beat_here()
            first_duty = close_old_connections
        except Exception:
            # Without its beat the worker shows as ill; most often the database is away, and the next look mends it.
            log.exception("worker %s could not look for runs; it looks again", name)
            connection.close()
        wait_for_drain(LOOK_EVERY_SECONDS)
    try:
        leave_here()
    except DatabaseError:
        log.exception("worker %s could not say that it stops", name)
    log.info("%s stops", name)
    connection.close()
