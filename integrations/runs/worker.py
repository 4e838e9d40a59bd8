"""What a Celery worker does besides hearing the doorbell: it looks for itself, beats, and stops at a segment.

Looking needs no broker, so a broker that is away or deaf costs a run a second and nothing more.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django_scopes import scopes_disabled

from integrations.runs.drain import is_draining, request_drain, wait_for_drain

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Lookout(bootsteps.StartStopStep):
    """Starts before the worker asks for its broker and is joined before the process ends."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        hear_stops()
        self._thread = threading.Thread(target=look_out, args=(worker.hostname,), name="lookout")
        self._thread.start()

    def stop(self, worker: Any) -> None:
        request_drain()
        self._thread.join()


def hear_stops() -> None:
    """Let a thread hear that this process should stop. Call this in the main thread.

    What Celery does about it has to wait until the main thread comes out of the call it is in, and a run may be inside
    a database's driver for long. The system writes the signal's number into this pipe at once.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    threading.Thread(target=_hear, args=(reading,), name="stops", daemon=True).start()


def _hear(reading: int) -> None:
    while os.read(reading, 1)[0] not in STOPS:
        pass
    request_drain()
    time.sleep(settings.STOP_SECONDS)
    give_up()


def give_up() -> None:
    """End this process where it is, most likely in the middle of a segment, before whoever told it to stop kills it.

    Its runs are handed back first: nobody has to wait for their leases, and none counts as a death. What had left with
    the segment is settled by whoever continues, as after any death.
    """
    from integrations.models import Run
    from integrations.runs.health import leave_here, this_worker

    try:
        with scopes_disabled():
            handed_back = Run.objects.hand_back_all(this_worker())
        leave_here()
        log.warning("it takes too long to stop: %s run(s) are handed back as they are", handed_back)
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
