"""The built-in clock: rescue every two seconds, the jobs of CRONJOBS when their minute comes, and a beat.

It replaces cron on one machine. On several machines it may run more than once: rescue and the jobs are idempotent.
"""

import logging
import signal
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.module_loading import import_string

from integrations.runs.files import sweep
from integrations.runs.health import CLOCK, CRON, beat, leave
from integrations.runs.outputs import clear_left
from integrations.runs.rescue import rescue

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 2.0
MINUTE = timedelta(minutes=1)
CATCHES_UP = timedelta(days=1)
FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NAMES: dict[tuple[int, int], tuple[str, ...]] = {FIELDS[3]: MONTHS, FIELDS[4]: DAYS}


def run() -> None:
    """Tick until the process is told to stop."""
    over = threading.Event()

    def stop(number: int, frame: object) -> None:
        over.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.info("the clock runs")
    last = _minute()
    while not over.wait(LOOK_EVERY_SECONDS):
        last = tick(last)
    _quietly("leave", lambda: leave(CLOCK))
    log.info("the clock stops")


def tick(last: datetime) -> datetime:
    """Beat, rescue, and do the jobs of every minute since `last`; give the minute that was dealt with.

    A job whose minutes passed while this machine slept or a job took long is done once for all of them.
    """
    _quietly("beat", lambda: beat(CLOCK))
    _quietly("rescue", rescue)
    now = _minute()
    for job in due_since(max(last, now - CATCHES_UP), now):
        _quietly(job, partial(_do, job))
    connection.close_if_unusable_or_obsolete()
    return now


def every_minute() -> None:
    """Do what the clock does at every tick: where there is none, cron calls this. And sweep."""
    beat(CRON)
    rescue()
    sweep()
    clear_left()


def due_since(last: datetime, now: datetime) -> list[str]:
    """Name each job once whose time was in a minute after `last`, up to and with `now`."""
    minutes = int((now - last) / MINUTE)
    return list(dict.fromkeys(job for passed in range(1, minutes + 1) for job in due(last + passed * MINUTE)))


def due(minute: datetime) -> list[str]:
    """Name the jobs of CRONJOBS whose time this minute is, by the five fields of crontab(5)."""
    values = (minute.minute, minute.hour, minute.day, minute.month, minute.isoweekday() % 7)
    return [job for when, job, *_ in settings.CRONJOBS if _fits(when, values)]


def _fits(when: str, values: tuple[int, ...]) -> bool:
    fields = when.split()
    matches = [_matches(field, value, *span) for field, value, span in zip(fields, values, FIELDS, strict=True)]
    day, weekday = matches[2], matches[4]
    # crontab(5): when both days are restricted, either will do.
    restricted = not fields[2].startswith("*") and not fields[4].startswith("*")
    days = day or weekday if restricted else day and weekday
    return matches[0] and matches[1] and days and matches[3]


def _matches(field: str, value: int, low: int, high: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        names = NAMES.get((low, high), ())
        begin = low if span == "*" else _number(first, names)
        end = high if span == "*" or (step and not last) else _number(last or first, names)
        listed = range(begin, end + 1, int(step or 1))
        if value in listed or (high == 7 and value == 0 and 7 in listed):
            return True
    return False


def _number(text: str, names: tuple[str, ...]) -> int:
    return names.index(text.lower()) if text.lower() in names else int(text)


def _minute() -> datetime:
    return timezone.localtime().replace(second=0, microsecond=0)


def _do(job: str) -> None:
    import_string(job)()


def _quietly(what: str, work: Callable[[], Any]) -> None:
    """Do one thing; what fails is logged and tried again at the next tick, and holds nothing else up."""
    try:
        work()
    except Exception:
        log.exception("the clock could not %s; it tries again", what)
        connection.close()
