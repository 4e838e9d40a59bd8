"""Who is alive: every worker and the clock leave a beat, whatever else they do; `/health/` reads how old it is."""

import os
import platform
from dataclasses import dataclass
from datetime import timedelta

from celery import current_app
from django.conf import settings
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from integrations.models import Heartbeat

WORKER = "worker "
CLOCK = "clock"
CRON = "each minute"
BROKER_SECONDS = 1
SILENT_AFTER = timedelta(seconds=10)
CRON_SILENT_AFTER = timedelta(seconds=150)
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Beat:
    """A part and for how long it has given no sign of life."""

    part: str
    silent_for: timedelta

    @property
    def is_alive(self) -> bool:
        return self.silent_for < (CRON_SILENT_AFTER if self.part == CRON else SILENT_AFTER)


_here = ""


def name_worker(name: str) -> None:
    """Say by which name this process beats, from now on: the worker's name, which outlives a restart of it."""
    global _here
    _here = WORKER + name


def beat_here() -> None:
    """Note that this process is alive. A process that is no worker (a test, a command) has nothing to note."""
    if _here:
        beat(_here)


def leave_here() -> None:
    if _here:
        leave(_here)


def beat(part: str) -> None:
    """Note that `part` is alive now."""
    if not Heartbeat.objects.filter(part=part).update(at=Now()):
        Heartbeat.objects.update_or_create(part=part, defaults={"at": Now()})


def leave(part: str) -> None:
    """Note that `part` stopped on purpose: nobody needs to miss it."""
    Heartbeat.objects.filter(part=part).delete()


def beats(prefix: str = "") -> list[Beat]:
    """Give the last sign of life of every part whose name begins with `prefix`."""
    seen = Heartbeat.objects.filter(part__startswith=prefix).annotate(now=Now()).order_by("part")
    return [Beat(part=one.part, silent_for=max(one.now - one.at, timedelta(0))) for one in seen]


def worker_beats() -> list[Beat]:
    """Give the last sign of life of every worker that has not stopped on purpose."""
    return beats(WORKER)


def broker_fault() -> str:
    """Say what is wrong with the broker; "" when it answers."""
    if settings.CELERY_BROKER_URL.startswith("memory:"):
        return ""
    broker = current_app.connection_for_write(connect_timeout=BROKER_SECONDS)
    try:
        broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except (OperationalError, OSError) as error:
        return type(error).__name__
    finally:
        broker.release()
    return ""


def forget_the_long_gone() -> None:
    """Drop parts that nobody has seen for a day: an installation that became smaller is not ill."""
    Heartbeat.objects.filter(at__lt=Now() - FORGOTTEN_AFTER).delete()


def this_worker() -> str:
    """Name this process as the owner of a lease: the machine and the process id."""
    return f"{platform.node()}:{os.getpid()}"
