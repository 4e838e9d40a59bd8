"""What `/health/` says of the clock: the built-in one, cron in its place, or neither."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from integrations.models import Heartbeat
from integrations.runs.health import CLOCK, CRON, WORKER
from integrations.scheduling.clock import every_minute

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def a_worker_is_alive(transactional_db: None) -> None:
    seen(f"{WORKER}worker-1@here", ago=1)


def seen(part: str, *, ago: float) -> None:
    Heartbeat.objects.create(part=part, at=timezone.now() - timedelta(seconds=ago))


def health(client: Client) -> tuple[int, Any]:
    answer = client.get("/health/")
    return answer.status_code, answer.json()["clock"]


def test_a_clock_that_beats_is_well(client: Client) -> None:
    seen(CLOCK, ago=2)

    assert health(client) == (200, "ok")


def test_where_there_is_no_clock_cron_is_one(client: Client) -> None:
    every_minute()

    assert health(client) == (200, "ok")


def test_cron_is_missed_when_two_of_its_minutes_are(client: Client) -> None:
    seen(CRON, ago=119)
    assert health(client) == (200, "ok")

    Heartbeat.objects.filter(part=CRON).update(at=timezone.now() - timedelta(seconds=200))
    assert health(client) == (503, "the clock has given no sign of life lately")


def test_a_clock_that_was_killed_is_missed_whatever_cron_does(client: Client) -> None:
    seen(CLOCK, ago=30)
    every_minute()

    assert health(client) == (503, "the clock has given no sign of life lately")
