"""What a lost message or a dead worker leaves behind is picked up."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_scopes import scopes_disabled

from accounts.models import Company
from integrations.models import Process, Run, RunStatus
from integrations.models.run import DEATHS_ALLOWED
from integrations.runs import rescue as rescuing
from integrations.runs.rescue import RINGS, rescue
from tests.runs.making import held_run, make_run, process_of, silent_run

pytestmark = pytest.mark.django_db

A_WHILE = timedelta(seconds=10)


@pytest.fixture
def process(company: Company) -> Process:
    return process_of(company)


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs that were rung for; the broker answers."""
    rung: list[int] = []

    def ring(run_id: int) -> bool:
        rung.append(run_id)
        with scopes_disabled():
            Run.objects.was_dispatched(run_id)
        return True

    monkeypatch.setattr(rescuing, "dispatch", ring)
    return rung


def test_a_queued_run_that_nobody_was_rung_for_is_rung_for_once(process: Process, bell: list[int]) -> None:
    forgotten = make_run(process, queued_at=timezone.now() - A_WHILE)
    assert rescue().rung == 1
    assert rescue().rung == 0, "it was rung for just now"
    assert bell == [forgotten.pk]


def test_a_run_requested_this_moment_is_left_to_its_own_bell(process: Process, bell: list[int]) -> None:
    make_run(process)
    rescue()
    assert bell == []


def test_a_bell_that_nobody_heard_is_rung_again_after_a_minute(process: Process, bell: list[int]) -> None:
    hour = timedelta(hours=1)
    unheard = make_run(process, queued_at=timezone.now() - hour, dispatched_at=timezone.now() - hour)
    rescue()
    assert bell == [unheard.pk]


def test_a_run_whose_worker_fell_silent_is_rung_for(process: Process, bell: list[int]) -> None:
    orphan = silent_run(process, queued_at=timezone.now() - timedelta(hours=2))
    rescue()
    assert bell == [orphan.pk]


def test_a_run_in_good_hands_is_left_alone(process: Process, bell: list[int]) -> None:
    run = held_run(process, queued_at=timezone.now() - timedelta(hours=2))
    assert rescue() == rescuing.Rescued(parked=0, rung=0)
    with scopes_disabled():
        run.refresh_from_db()
    assert (run.status, run.epoch) == (RunStatus.IN_PROGRESS, 1)


def test_the_last_death_parks_a_run_without_any_worker(process: Process, bell: list[int]) -> None:
    silent_run(process, deaths=DEATHS_ALLOWED - 1)
    assert rescue() == rescuing.Rescued(parked=1, rung=0)


def test_a_sweep_rings_a_few_times_only(company: Company, bell: list[int]) -> None:
    for number in range(RINGS * 2):
        make_run(process_of(company, f"PROCESS_{number}"), queued_at=timezone.now() - A_WHILE)
    rescue()
    assert len(bell) == RINGS


def test_a_broker_that_is_away_is_asked_once_a_sweep(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def silent(run_id: int) -> bool:
        asked.append(run_id)
        return False

    monkeypatch.setattr(rescuing, "dispatch", silent)
    for number in range(3):
        make_run(process_of(company, f"PROCESS_{number}"), queued_at=timezone.now() - A_WHILE)
    assert rescue().rung == 0
    assert len(asked) == 1
