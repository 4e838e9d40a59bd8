"""Who is alive: every worker and the clock leave a beat, whatever else they do; `/health/` reads how old it is."""

import math
import os
import platform
import threading
import time
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
ASKED_EVERY_SECONDS = 2.0
SILENT_AFTER = timedelta(seconds=10)
BEAT_EVERY_SECONDS = 3.0
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
_beaten_at = -math.inf


def name_worker(name: str) -> None:
    """Say by which name this process beats, from now on: the worker's name, which outlives a restart of it."""
    global _here, _beaten_at
    _here, _beaten_at = WORKER + name, -math.inf


def beat_here() -> None:
    """Note that this process is alive, however often this is called: every beat is a durable write.

    A process that is no worker (a test, a command) has nothing to note.
    """
    global _beaten_at
    if _here and time.monotonic() - _beaten_at >= BEAT_EVERY_SECONDS:
        beat(_here)
        _beaten_at = time.monotonic()


def leave_here() -> None:
    global _beaten_at
    if _here:
        leave(_here)
        _beaten_at = -math.inf


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


class _Asked:
    """What a broker said last. One thread asks; the others are not held up by one that does not answer."""

    def __init__(self) -> None:
        self.one_at_a_time = threading.Lock()
        self.url, self.at, self.fault = "", -math.inf, ""


_asked = _Asked()


def broker_fault() -> str:
    """Say what is wrong with the broker, or was a moment ago; "" when it answers."""
    url = settings.CELERY_BROKER_URL
    if url.startswith("memory:"):
        return ""
    known = _asked.url == url
    fresh = known and time.monotonic() - _asked.at < ASKED_EVERY_SECONDS
    if fresh or not _asked.one_at_a_time.acquire(blocking=not known):
        return _asked.fault
    try:
        _asked.fault = _ask_broker()
        _asked.url, _asked.at = url, time.monotonic()
    finally:
        _asked.one_at_a_time.release()
    return _asked.fault


def _ask_broker() -> str:
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
