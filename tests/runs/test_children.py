"""Runs that a run starts: inline, under a row of their own, exactly once a place."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from accounts.models import Company, User
from integrations.connectors.spool import write_spool
from integrations.engine.errors import Fenced
from integrations.models import Process, Run, RunStatus, StoredFile
from integrations.models.run import Trigger
from integrations.runs.children import DEPTH, perform_child
from integrations.runs.claims import Claim, claim_next
from integrations.runs.files import store
from integrations.runs.journal import RunJournal
from integrations.runs.lease import Lease
from integrations.runs.perform import carry_out
from integrations.runs.request import Refused, request_cancel
from tests import factories
from tests.engine.fakes import Rows
from tests.runs.making import held_run, process_of
from tests.runs.performing import Crm, file_of, fresh, process_into, requested

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]


@pytest.fixture
def child_process(crm: Crm) -> Process:
    return process_into(crm, process="NOTIFY")


@pytest.fixture
def parent(crm: Crm, omar: User) -> Run:
    """A run in this worker's hands."""
    requested(process_into(crm), "00001,Anna\n", by=omar)
    claim = claim_next("worker one")
    assert claim is not None
    return claim.run


@pytest.fixture
def journal(parent: Run) -> Iterator[RunJournal]:
    with Lease(parent, asked_at=time.monotonic()) as lease:
        yield RunJournal(parent, lease)


def start(parent: Run, child: Process, journal: RunJournal, key: str = "NOTIFY/post") -> Run | None:
    return perform_child(parent, child, key=key, journal=journal, rows=lambda: gil(parent.company))


def gil(company: Company) -> StoredFile:
    """One row of a parent, spooled."""
    with TemporaryDirectory() as folder:
        spool = Path(folder) / "rows"
        write_spool(Rows(("CustomerNumber", "Name"), [["00007", "Gil"]]), spool)
        with spool.open("rb") as file:
            return store(company, file, name="rows", by=None)


def test_a_child_is_performed_by_its_parents_worker_under_its_own_row(
    parent: Run, child_process: Process, journal: RunJournal, crm: Crm, omar: User
) -> None:
    child = start(parent, child_process, journal)
    assert child is not None
    assert (child.status, child.trigger, child.parent, child.requested_by) == (
        RunStatus.COMPLETED,
        Trigger.PARENT,
        parent,
        omar,
    )
    assert child.is_balanced and crm.customers() == [("00007", "Gil")]
    assert fresh(parent).waiting_for == "", "the parent goes on"


def test_a_resumed_parent_gets_the_child_it_had_and_never_a_second_one(
    parent: Run, child_process: Process, journal: RunJournal
) -> None:
    first = start(parent, child_process, journal)
    again = start(parent, child_process, journal)
    assert first is not None and again is not None and first.pk == again.pk
    assert Run.objects.filter(parent=parent).count() == 1


def test_each_place_of_the_parent_has_a_child_of_its_own(
    parent: Run, child_process: Process, journal: RunJournal
) -> None:
    start(parent, child_process, journal, key="NOTIFY/document 1")
    start(parent, child_process, journal, key="NOTIFY/document 2")
    assert Run.objects.filter(parent=parent).count() == 2


def test_a_child_whose_worker_died_with_the_parent_is_finished_by_the_next_one(
    parent: Run, child_process: Process, journal: RunJournal, crm: Crm
) -> None:
    lost = {"parent": parent, "parent_key": "NOTIFY/post", "source_file": gil(parent.company), "has_parents_rows": True}
    orphan = held_run(child_process, owner="gone", number=7, **lost)
    child = start(parent, child_process, journal)
    assert child is not None and child.pk == orphan.pk
    assert (child.status, child.epoch) == (RunStatus.COMPLETED, 2)
    assert crm.customers() == [("00007", "Gil")]


def test_a_parent_that_is_cancelled_starts_no_child(
    parent: Run, child_process: Process, journal: RunJournal, omar: User
) -> None:
    request_cancel(parent, by=omar)
    assert start(parent, child_process, journal) is None
    assert not Run.objects.filter(parent=parent).exists()


def test_a_parent_that_is_cancelled_takes_its_child_along(
    parent: Run, child_process: Process, journal: RunJournal, omar: User, monkeypatch: pytest.MonkeyPatch, crm: Crm
) -> None:
    from integrations.runs import children

    def cancelled_first(claim: Claim) -> None:
        request_cancel(parent, by=omar)
        carry_out(claim)

    monkeypatch.setattr(children, "carry_out", cancelled_first)
    child = start(parent, child_process, journal)
    assert child is not None and child.status == RunStatus.CANCELLED and crm.customers() == []


def test_runs_stand_at_most_ten_deep(
    parent: Run, child_process: Process, journal: RunJournal, company: Company
) -> None:
    for level in range(DEPTH - 1):
        process = process_of(company, f"LEVEL_{level}")
        above = held_run(process, number=100 + level)
        Run.objects.filter(pk=parent.pk).update(parent=above) if level == 0 else Run.objects.filter(
            process__name=f"LEVEL_{level - 1}"
        ).update(parent=above)
    parent.refresh_from_db()
    with pytest.raises(Refused, match="10 runs"):
        start(parent, child_process, journal)


def test_a_process_that_would_start_itself_is_refused(parent: Run, journal: RunJournal) -> None:
    with pytest.raises(Refused, match="for ever"):
        start(parent, parent.process, journal)


def test_a_worker_that_lost_the_parent_starts_no_child(
    parent: Run, child_process: Process, journal: RunJournal
) -> None:
    Run.objects.filter(pk=parent.pk).update(epoch=9)
    with pytest.raises(Fenced):
        start(parent, child_process, journal)
    assert not Run.objects.filter(parent=parent).exists()


def test_a_run_that_keeps_a_child_waiting_and_has_no_worker_is_performed_first(
    parent: Run, child_process: Process, journal: RunJournal
) -> None:
    earlier = held_run(child_process, owner="", number=7, source_file=file_of(parent.company, "00006,Fay\n"))
    child = start(parent, child_process, journal)
    assert child is not None and child.status == RunStatus.COMPLETED
    assert fresh(earlier).status == RunStatus.COMPLETED, "one worker is enough: nobody is starved"


def test_a_process_of_another_company_cannot_become_a_child(parent: Run, journal: RunJournal, db: None) -> None:
    elsewhere = factories.make_company("Elsewhere Ltd")
    connection = factories.make_connection(elsewhere, system="sqlite", path="nowhere.db")
    theirs = factories.make_process(elsewhere, factories.make_plan(connection))
    with pytest.raises(Refused):
        start(parent, theirs, journal)
