"""A worker's hold on one run, kept by a thread that beats whatever the batch does."""

import logging
import threading
import time
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django_scopes import scope
from structlog.contextvars import bound_contextvars

from integrations.engine.errors import Fenced
from integrations.models import Run
from integrations.runs.health import beat_here

log = logging.getLogger(__name__)

BEATS_A_LEASE = 5


class Lease:
    """Beats for `run` while it is entered. `asked_at` is the monotonic time just before the claim was made.

    The worker stops trusting its lease one beat before the database would give the run away: a process that was
    stopped and wakes, or that cannot reach the database, knows by its own clock that it may no longer write.
    """

    def __init__(self, run: Run, *, asked_at: float) -> None:
        self.run = run
        self.epoch = run.epoch
        self._company = run.company
        self._interval = settings.LEASE_SECONDS / BEATS_A_LEASE
        self._over = threading.Event()
        self._lost = False
        self._trust_from(asked_at)
        self._thread = threading.Thread(target=self._beat, name=f"lease-{run.pk}-{run.epoch}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Raise `Fenced` when this worker cannot be sure that it still holds the run."""
        if self._lost or time.monotonic() > self._trusted_until:
            raise Fenced("This worker was away for longer than its lease. Another one continues the run.")

    def _trust_from(self, moment: float) -> None:
        self._trusted_until = moment + settings.LEASE_SECONDS - self._interval

    def _beat(self) -> None:
        try:
            # A thread begins without what its maker had bound to the lines of the log.
            with scope(company=self._company), bound_contextvars(run=self.run.number, company=self._company.name):
                while not self._over.wait(self._interval) and not self._lost:
                    self._beat_once()
        finally:
            connection.close()

    def _beat_once(self) -> None:
        before = time.monotonic()
        try:
            held = Run.objects.beat(self.run.pk, self.epoch)
            beat_here()
        except (DatabaseError, InterfaceError):
            # The next beat tries again; if none gets through, `check` ends the run here before another worker begins.
            log.warning("run %s: a beat did not reach the database", self.run.number, exc_info=True)
            connection.close()
            return
        if held:
            self._trust_from(before)
        else:
            self._lost = True
