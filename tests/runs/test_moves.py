"""Every move of a run, and every state it must refuse."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_scopes import scope

from accounts.models import Company, User
from integrations.models import Process, Run, RunStatus
from integrations.models.run import DEATHS_ALLOWED, ENDED, OPEN
from tests.runs.making import held_run, make_run, process_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    with scope(company=company):
        yield


@pytest.fixture
def process(company: Company) -> Process:
    return process_of(company)


LONG_AGO = timedelta(hours=1)


def in_state(process: Process, state: str) -> Run:
    """A run in one of the states a move may meet."""
    if state == "queued":
        return make_run(process)
    if state in ENDED:
        return make_run(process, status=state, epoch=1, ended_at=timezone.now())
    until = timezone.now() + (timedelta(seconds=15) if state == "held" else -LONG_AGO)
    owner = "" if state == "handed back" else "worker one"
    deaths = DEATHS_ALLOWED - 1 if state == "dying" else 0
    return make_run(process, status=RunStatus.IN_PROGRESS, epoch=1, lease_owner=owner, lease_until=until, deaths=deaths)


STATES = ["queued", "held", "silent", "dying", "handed back", *ENDED]

MOVES: dict[str, tuple[Callable[[Run], bool], set[str]]] = {
    "claim_queued": (lambda run: Run.objects.claim_queued(run, owner="two"), {"queued"}),
    "claim_silent": (lambda run: Run.objects.claim_silent(run, owner="two"), {"silent"}),
    "claim_handed_back": (lambda run: Run.objects.claim_handed_back(run, owner="two"), {"handed back"}),
    "beat": (lambda run: Run.objects.beat(run.pk, run.epoch), {"held", "silent", "dying", "handed back"}),
    "note": (
        lambda run: Run.objects.note(run.pk, run.epoch, stage="deliver"),
        {"held", "silent", "dying", "handed back"},
    ),
    "send": (lambda run: Run.objects.send(run.pk, run.epoch, segment=1), {"held", "silent", "dying", "handed back"}),
    "settle": (
        lambda run: Run.objects.settle(run.pk, run.epoch, segment=1, documents={"created": 2}, rows={"created": 3}),
        {"held", "silent", "dying", "handed back"},
    ),
    "survey": (
        lambda run: Run.objects.survey(run.pk, run.epoch, rows=3, documents=2, dropped=1),
        {"held", "silent", "dying", "handed back"},
    ),
    "hand_back": (lambda run: Run.objects.hand_back(run.pk, run.epoch), {"held", "silent", "dying", "handed back"}),
    "hand_back_all": (
        lambda run: bool(Run.objects.hand_back_all("worker one")),
        {"held", "silent", "dying"},
    ),
    "finish": (
        lambda run: Run.objects.finish(run.pk, run.epoch, status=RunStatus.COMPLETED),
        {"held", "silent", "dying", "handed back"},
    ),
    "was_dispatched": (
        lambda run: Run.objects.was_dispatched(run.pk),
        {"queued", "held", "silent", "dying", "handed back"},
    ),
    "cancel_queued": (lambda run: Run.objects.cancel_queued(run, by=None), {"queued"}),
    "ask_to_cancel": (
        lambda run: Run.objects.ask_to_cancel(run, by=None),
        {"held", "silent", "dying", "handed back"},
    ),
    "park": (lambda run: Run.objects.park(run), {"dying"}),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("move", MOVES)
def test_a_move_leaves_the_states_it_may_leave_and_refuses_all_others(process: Process, move: str, state: str) -> None:
    run = in_state(process, state)
    before = Run.objects.values().get(pk=run.pk)
    make, allowed = MOVES[move]

    moved = make(run)

    after = Run.objects.values().get(pk=run.pk)
    assert moved == (state in allowed)
    assert moved or after == before


FENCED = ["beat", "note", "send", "settle", "survey", "hand_back", "finish"]


@pytest.mark.parametrize("move", FENCED)
def test_a_worker_of_an_older_epoch_moves_nothing(process: Process, move: str) -> None:
    run = in_state(process, "silent")
    stale = Run.objects.get(pk=run.pk)
    assert Run.objects.claim_silent(run, owner="worker two")
    before = Run.objects.values().get(pk=run.pk)

    assert not MOVES[move][0](stale)

    assert Run.objects.values().get(pk=run.pk) == before


@pytest.mark.parametrize("move", ["claim_queued", "claim_silent", "claim_handed_back", "park"])
def test_of_two_who_saw_the_same_run_the_second_gets_nothing(process: Process, move: str) -> None:
    make, (state, *_) = MOVES[move]
    run = in_state(process, state)
    seen_by_another = Run.objects.get(pk=run.pk)

    assert make(run)
    assert not make(seen_by_another)


def test_a_claim_takes_the_next_epoch_and_a_lease(process: Process) -> None:
    run = in_state(process, "queued")

    assert Run.objects.claim_queued(run, owner="worker one")

    assert (run.status, run.epoch, run.lease_owner) == (RunStatus.IN_PROGRESS, 1, "worker one")
    assert run.lease_until and run.lease_until > timezone.now() + timedelta(seconds=10)
    assert run.started_at


def test_a_silent_lease_counts_a_death_and_one_handed_back_does_not(process: Process) -> None:
    silent, returned = in_state(process, "silent"), None
    assert Run.objects.claim_silent(silent, owner="worker two")
    assert silent.deaths == 1
    assert Run.objects.hand_back(silent.pk, silent.epoch)

    returned = Run.objects.get(pk=silent.pk)
    assert Run.objects.claim_handed_back(returned, owner="worker three")

    assert (returned.deaths, returned.epoch) == (1, 3)


def test_getting_further_forgives_the_deaths_before(process: Process) -> None:
    run = in_state(process, "dying")

    assert Run.objects.settle(run.pk, run.epoch, segment=1, documents={"created": 1}, rows={"created": 1})

    assert Run.objects.get(pk=run.pk).deaths == 0


def test_the_third_death_in_one_place_parks_the_run_with_a_reason(process: Process) -> None:
    run = in_state(process, "dying")
    Run.objects.filter(pk=run.pk).update(source_documents=10, source_rows=12, documents_created=4, rows_created=5)

    assert Run.objects.park(run)

    parked = Run.objects.get(pk=run.pk)
    assert (parked.status, parked.error_code, parked.epoch) == (RunStatus.FAILED, "died", run.epoch + 1)
    assert "3 workers died" in parked.reason
    assert (parked.documents_held, parked.rows_held) == (6, 7)
    assert parked.is_balanced


def test_segments_are_settled_once_and_in_order(process: Process) -> None:
    run = in_state(process, "held")
    counts = {"documents": {"created": 2}, "rows": {"created": 3}}

    assert Run.objects.send(run.pk, run.epoch, segment=1)
    assert Run.objects.settle(run.pk, run.epoch, segment=1, **counts)
    assert not Run.objects.settle(run.pk, run.epoch, segment=1, **counts)
    assert not Run.objects.settle(run.pk, run.epoch, segment=3, **counts)
    assert not Run.objects.send(run.pk, run.epoch, segment=3)

    settled = Run.objects.get(pk=run.pk)
    assert (settled.segments, settled.sending_segment) == (1, None)
    assert (settled.documents_created, settled.rows_created) == (2, 3)


def test_what_was_read_and_not_accounted_is_held_when_a_run_ends(process: Process) -> None:
    run = in_state(process, "held")
    Run.objects.note(run.pk, run.epoch, source_documents=5, source_rows=9)
    Run.objects.settle(run.pk, run.epoch, segment=1, documents={"failed": 2}, rows={"failed": 4})

    assert Run.objects.finish(run.pk, run.epoch, status=RunStatus.FAILED, reason="The disk is full.", code="internal")

    ended = Run.objects.get(pk=run.pk)
    assert (ended.documents_held, ended.rows_held) == (3, 5)
    assert ended.is_balanced and ended.ended_at and not ended.lease_owner


def test_a_note_cannot_smuggle_a_move(process: Process) -> None:
    run = in_state(process, "held")
    with pytest.raises(ValueError, match="status"):
        Run.objects.note(run.pk, run.epoch, status=RunStatus.COMPLETED)


def test_an_open_status_does_not_end_a_run(process: Process) -> None:
    run = in_state(process, "held")
    for status in OPEN:
        with pytest.raises(ValueError, match="does not end"):
            Run.objects.finish(run.pk, run.epoch, status=status)


def test_a_second_exclusive_run_of_a_process_cannot_be_in_progress(process: Process) -> None:
    held_run(process)
    second = make_run(process)

    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.claim_queued(second, owner="worker two")

    assert Run.objects.get(pk=second.pk).status == RunStatus.QUEUED


def test_runs_of_a_process_that_allows_several_go_side_by_side(process: Process) -> None:
    held_run(process, exclusive=False)
    second = make_run(process, exclusive=False)

    assert Run.objects.claim_queued(second, owner="worker two")


def test_a_child_passes_to_the_worker_that_holds_its_parent(process: Process, company: Company) -> None:
    parent = held_run(process)
    child = held_run(process_of(company, "CHILD"), parent=parent, parent_key="task 1")

    assert Run.objects.claim_child(child, owner="worker two")

    assert child.epoch == 2


@pytest.mark.parametrize("state", ["queued", "held"])
def test_a_run_without_a_parent_is_never_claimed_as_a_child(process: Process, state: str) -> None:
    assert not Run.objects.claim_child(in_state(process, state), owner="worker two")


def test_a_queued_run_that_is_cancelled_says_by_whom(process: Process, omar: User) -> None:
    run = in_state(process, "queued")

    assert Run.objects.cancel_queued(run, by=omar)

    cancelled = Run.objects.get(pk=run.pk)
    assert cancelled.status == RunStatus.CANCELLED
    assert cancelled.reason == "Cancelled by Omar before it started."


def test_a_run_is_asked_to_cancel_once(process: Process, omar: User) -> None:
    run = in_state(process, "held")

    assert Run.objects.ask_to_cancel(run, by=omar)
    assert not Run.objects.ask_to_cancel(run, by=omar)
