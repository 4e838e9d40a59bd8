"""The built-in clock: the five fields as crontab(5) has them, and what a tick does."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_scopes import scope

from accounts.models import Company
from integrations.models import Run
from integrations.runs.health import CLOCK, beats
from integrations.scheduling.clock import due, due_since, tick
from tests.runs.making import make_run, process_of

CHIME = "tests.scheduling.test_clock.chime"
chimes: list[datetime] = []


def chime() -> None:
    chimes.append(timezone.now())


def break_down() -> None:
    raise RuntimeError("this job is broken")


@pytest.fixture(autouse=True)
def no_chime_yet() -> None:
    chimes.clear()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.get_current_timezone())


@pytest.mark.parametrize(
    ("when", "moment", "is_due"),
    [
        ("* * * * *", "2026-11-24 00:00", True),
        ("5 * * * *", "2026-11-24 13:05", True),
        ("5 * * * *", "2026-11-24 13:06", False),
        ("0 7 * * *", "2026-11-24 07:00", True),
        ("0 7 * * *", "2026-11-24 19:00", False),
        ("*/15 * * * *", "2026-11-24 13:45", True),
        ("*/15 * * * *", "2026-11-24 13:50", False),
        ("10-30/10 * * * *", "2026-11-24 13:30", True),
        ("10-30/10 * * * *", "2026-11-24 13:40", False),
        ("1,31,59 * * * *", "2026-11-24 13:31", True),
        ("1,31,59 * * * *", "2026-11-24 13:32", False),
        ("0 9-17 * * *", "2026-11-24 17:00", True),
        ("0 9-17 * * *", "2026-11-24 18:00", False),
        ("0 0 1 * *", "2026-12-01 00:00", True),
        ("0 0 31 * *", "2026-11-30 00:00", False),
        ("0 0 29 2 *", "2028-02-29 00:00", True),
        ("0 0 * 2 *", "2026-03-01 00:00", False),
        ("0 0 * nov *", "2026-11-24 00:00", True),
        ("0 0 * Jan-Mar *", "2026-03-31 00:00", True),
        # 24 November 2026 is a Tuesday, 22 and 29 November are Sundays.
        ("0 0 * * 2", "2026-11-24 00:00", True),
        ("0 0 * * 1-5", "2026-11-22 00:00", False),
        ("0 0 * * 0", "2026-11-22 00:00", True),
        ("0 0 * * 7", "2026-11-22 00:00", True),
        ("0 0 * * 5-7", "2026-11-29 00:00", True),
        ("0 0 * * mon,TUE", "2026-11-24 00:00", True),
        ("0 0 * * sun", "2026-11-24 00:00", False),
    ],
)
def test_a_job_is_due_in_its_minutes_alone(settings: Any, when: str, moment: str, is_due: bool) -> None:
    settings.CRONJOBS = [(when, CHIME)]
    assert due(at(moment)) == ([CHIME] if is_due else [])


@pytest.mark.parametrize(
    ("day", "is_due"), [("2026-11-13", True), ("2026-11-20", True), ("2026-10-13", True), ("2026-11-19", False)]
)
def test_a_day_of_the_month_and_one_of_the_week_are_either_or(settings: Any, day: str, is_due: bool) -> None:
    settings.CRONJOBS = [("0 0 13 * fri", CHIME)]
    assert bool(due(at(f"{day} 00:00"))) is is_due


def test_a_day_that_begins_with_a_star_restricts_nothing_but_itself(settings: Any) -> None:
    """crontab(5): either-or holds only when neither of the two fields begins with a star."""
    settings.CRONJOBS = [("0 0 */2 * tue", CHIME)]
    assert due(at("2026-11-24 00:00")) == [], "a Tuesday with an even date"
    assert due(at("2026-11-17 00:00")) == [CHIME], "a Tuesday with an odd date"
    assert due(at("2026-11-19 00:00")) == [], "an odd date that is no Tuesday"


def test_minutes_that_passed_are_made_up_for_once(settings: Any) -> None:
    settings.CRONJOBS = [("* * * * *", CHIME), ("30 3 * * *", "nightly")]
    assert due_since(at("2026-11-24 03:00"), at("2026-11-24 04:00")) == [CHIME, "nightly"]
    assert due_since(at("2026-11-24 03:30"), at("2026-11-24 04:00")) == [CHIME]
    assert due_since(at("2026-11-24 04:00"), at("2026-11-24 04:00")) == []
    assert due_since(at("2026-11-24 04:00"), at("2026-11-24 03:00")) == [], "the machine's time was set back"


@pytest.mark.django_db(transaction=True)
def test_a_tick_gives_a_sign_of_life_and_does_what_is_due_once(settings: Any) -> None:
    settings.CRONJOBS = [("* * * * *", CHIME)]
    first = tick(timezone.localtime() - timedelta(minutes=3))
    second = tick(first)
    assert len(chimes) == 1 + (second > first)
    assert [beat.is_alive for beat in beats(CLOCK)] == [True]


@pytest.mark.django_db(transaction=True)
def test_a_job_that_breaks_holds_up_no_other(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.CRONJOBS = [
        ("* * * * *", "tests.scheduling.test_clock.break_down"),
        ("* * * * *", "tests.scheduling.no_such_job"),
        ("* * * * *", CHIME),
    ]
    tick(timezone.localtime() - timedelta(minutes=3))
    assert len(chimes) == 1
    assert caplog.text.count("it tries again") == 2


@pytest.mark.django_db(transaction=True)
def test_a_tick_rings_for_a_run_that_was_forgotten(company: Company, settings: Any) -> None:
    settings.CRONJOBS = []
    forgotten = make_run(process_of(company), queued_at=timezone.now() - timedelta(seconds=10))
    tick(timezone.localtime())
    with scope(company=company):
        assert Run.objects.get(pk=forgotten.pk).dispatched_at is not None
