"""Whose turn it is: runs that lost their worker first, then the company with the fewest running runs."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_scopes import scopes_disabled

from accounts.models import Company
from integrations.engine.plan import WhenBusy
from integrations.models import Process, Run, RunStatus
from integrations.models.run import DEATHS_ALLOWED
from integrations.runs.claims import PATIENCE, Came, Claim, claim_next, others_wait
from tests import factories
from tests.runs.making import held_run, make_run, process_of, silent_run

pytestmark = pytest.mark.django_db

ALLOW = WhenBusy.ALLOW


@pytest.fixture
def process(company: Company) -> Process:
    return process_of(company, when_busy=ALLOW)


@pytest.fixture
def elsewhere(db: None) -> Process:
    return process_of(factories.make_company("Elsewhere Ltd"), when_busy=ALLOW)


def ago(**time: float) -> object:
    return timezone.now() - timedelta(**time)


def claimed(owner: str = "two") -> Claim:
    claim = claim_next(owner)
    assert claim is not None
    return claim


def test_nothing_is_claimed_where_nothing_waits(process: Process) -> None:
    held_run(process)
    make_run(process, status=RunStatus.COMPLETED, ended_at=timezone.now())
    assert claim_next("two") is None


def test_a_new_run_is_claimed_with_its_fence(process: Process) -> None:
    run = make_run(process)
    claim = claimed()
    assert (claim.run.pk, claim.came, claim.run.epoch, claim.run.lease_owner) == (run.pk, Came.NEW, 1, "two")


def test_a_run_whose_worker_died_comes_before_new_ones(process: Process) -> None:
    make_run(process, queued_at=ago(hours=5))
    orphan = silent_run(process)
    claim = claimed()
    assert (claim.run.pk, claim.came, claim.run.deaths) == (orphan.pk, Came.SILENT, 1)


def test_a_run_that_was_handed_back_comes_before_new_ones(process: Process) -> None:
    make_run(process, queued_at=ago(hours=5))
    handed = held_run(process, owner="")
    claim = claimed()
    assert (claim.run.pk, claim.came, claim.run.deaths) == (handed.pk, Came.HANDED_BACK, 0)


def test_the_oldest_run_of_a_company_comes_first(process: Process) -> None:
    later = make_run(process, queued_at=ago(minutes=1))
    first = make_run(process, queued_at=ago(minutes=2))
    assert [claimed().run.pk, claimed().run.pk] == [first.pk, later.pk]


def test_the_company_with_the_fewest_running_runs_comes_first(process: Process, elsewhere: Process) -> None:
    held_run(process)
    make_run(process, queued_at=ago(hours=1))
    theirs = make_run(elsewhere)
    assert claimed().run.pk == theirs.pk, "theirs waits for a minute, but nothing of theirs runs"


def test_a_hundred_waiting_runs_of_one_company_do_not_starve_another(process: Process, elsewhere: Process) -> None:
    for _ in range(100):
        make_run(process, queued_at=ago(hours=1))
    theirs = make_run(elsewhere)
    assert theirs.pk in {claimed().run.pk, claimed().run.pk}


def test_a_run_waits_for_an_earlier_one_of_its_process_and_says_so(company: Company) -> None:
    process = process_of(company)
    held_run(process)
    waiting = make_run(process)
    assert claim_next("two") is None
    with scopes_disabled():
        assert Run.objects.get(pk=waiting.pk).waiting_for == "lock"


def test_runs_of_one_process_are_claimed_in_the_order_of_their_requests(company: Company) -> None:
    process = process_of(company)
    first, second = make_run(process), make_run(process, queued_at=ago(hours=1))
    assert claimed().run.pk == first.pk
    assert claim_next("two") is None
    with scopes_disabled():
        assert Run.objects.finish(first.pk, 1, status=RunStatus.COMPLETED)
    assert claimed().run.pk == second.pk


def test_a_child_is_left_to_the_worker_of_its_parent(process: Process, company: Company) -> None:
    parent = held_run(process)
    make_run(process_of(company, "CHILD"), parent=parent, parent_key="task")
    assert claim_next("two") is None


def test_a_child_takes_no_share_of_its_company(process: Process, elsewhere: Process, company: Company) -> None:
    held_run(process_of(company, "CHILD", when_busy=ALLOW), parent=held_run(process), parent_key="task")
    held_run(elsewhere)
    ours = make_run(process, queued_at=ago(hours=1))
    make_run(elsewhere)
    assert claimed().run.pk == ours.pk, "one running run each, so who waits longest is first"


def test_a_run_that_yielded_goes_to_the_end_of_the_line(process: Process) -> None:
    yielded = held_run(process, owner="", yielded_at=ago(seconds=1))
    earlier = make_run(process, queued_at=ago(minutes=1))
    assert [claimed().run.pk, claimed().run.pk] == [earlier.pk, yielded.pk]


def test_a_long_run_yields_when_a_company_with_less_has_waited(process: Process, elsewhere: Process) -> None:
    long_one = held_run(process)
    assert not others_wait(long_one)
    make_run(elsewhere, queued_at=timezone.now() - PATIENCE / 2)
    assert not others_wait(long_one), "not long enough yet"
    make_run(elsewhere, queued_at=timezone.now() - 2 * PATIENCE)
    assert others_wait(long_one)


def test_a_long_run_does_not_yield_to_its_own_company(process: Process) -> None:
    long_one = held_run(process)
    make_run(process, queued_at=ago(hours=1))
    assert not others_wait(long_one)


def test_a_long_run_does_not_yield_to_a_company_that_runs_as_much(process: Process, elsewhere: Process) -> None:
    long_one = held_run(process)
    held_run(elsewhere)
    make_run(elsewhere, queued_at=ago(hours=1))
    assert not others_wait(long_one)


def test_a_run_with_its_last_death_is_parked_and_never_claimed(process: Process) -> None:
    dying = silent_run(process, deaths=DEATHS_ALLOWED - 1)
    assert claim_next("two") is None
    with scopes_disabled():
        dying.refresh_from_db()
    assert (dying.status, dying.error_code) == (RunStatus.FAILED, "died")


def test_a_claim_of_one_process_leaves_the_others_alone(process: Process, company: Company) -> None:
    make_run(process)
    other = process_of(company, "OTHER")
    wanted = make_run(other)
    claim = claim_next("two", process=other)
    assert claim is not None and claim.run.pk == wanted.pk
    assert claim_next("two", process=other) is None
