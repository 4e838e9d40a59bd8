"""One run from claim to finish, and everything that may come in between."""

from typing import Any

import pytest
from django.db import OperationalError

from accounts.models import User
from integrations.engine.plan import BlankRows, NoData, Options, WriteMode
from integrations.models import DocumentOutcome, LedgerSegment, LogEntry, Run, RunStatus, StageEntry
from integrations.runs import perform as performing
from integrations.runs.claims import claim_next
from integrations.runs.drain import _draining
from integrations.runs.find import find_key
from integrations.runs.journal import RunJournal
from integrations.runs.perform import perform, perform_next
from integrations.runs.request import request_cancel
from tests.runs.performing import Crm, fresh, performed, process_into, requested

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]

FIVE = "00001,Anna\n00002,Ben\n00003,\n00004,Dan\n00005,Eve\n"


def log_of(run: Run) -> list[str]:
    return list(LogEntry.objects.filter(run=run).order_by("pk").values_list("message", flat=True))


def test_a_run_delivers_what_it_can_and_keeps_the_rest_for_repair(crm: Crm, omar: User) -> None:
    run = performed(process_into(crm), FIVE, by=omar)

    assert (run.status, run.source_documents, run.documents_created, run.documents_failed) == (
        RunStatus.COMPLETED_WITH_ERRORS,
        5,
        4,
        1,
    )
    assert run.is_balanced and run.lease_owner == "" and run.ended_at is not None
    assert [number for number, _ in crm.customers()] == ["00001", "00002", "00004", "00005"]
    (outcome,) = DocumentOutcome.objects.filter(run=run)
    assert (outcome.key, outcome.column) == ("00003", "Name")
    assert outcome.rows == [{"number": 3, "values": {"CustomerNumber": "00003", "Name": ""}}]


def test_every_segment_tells_which_documents_it_holds(crm: Crm) -> None:
    run = performed(process_into(crm), FIVE)

    pages = LedgerSegment.objects.filter(run=run).order_by("number")
    assert [(page.first_document, page.last_document) for page in pages] == [(1, 2), (3, 4), (5, 5)]
    assert [(found.document, found.segment, found.bucket) for found in find_key(run, "00004")] == [(4, 2, "created")]
    assert find_key(run, "00003")[0].bucket == "failed"
    assert find_key(run, "00099") == []


def test_a_second_run_says_unchanged_for_what_did_not_change(crm: Crm) -> None:
    process = process_into(crm)
    performed(process, "00001,Anna\n00002,Ben\n")
    again = performed(process, "00001,Anna\n00002,Benjamin\n00003,Cara\n")

    assert (again.documents_unchanged, again.documents_updated, again.documents_created) == (1, 1, 1)
    assert again.status == RunStatus.COMPLETED


def test_the_stages_of_a_run_are_told_with_their_times(crm: Crm) -> None:
    run = performed(process_into(crm), FIVE)
    stages = StageEntry.objects.filter(run=run).order_by("pk")
    assert [entry.stage for entry in stages] == ["read", "deliver"]
    assert all(entry.ended_at is not None for entry in stages)


@pytest.mark.parametrize(("rule", "status"), [(NoData.SUCCESS, "completed"), (NoData.FAILURE, "failed")])
def test_a_file_without_rows_ends_as_the_options_say(crm: Crm, rule: NoData, status: str) -> None:
    run = performed(process_into(crm, options=Options(no_data=rule)), "")
    assert (run.status, run.source_documents) == (status, 0)
    assert "no row" in run.reason and crm.customers() == []


def test_a_second_delivery_of_the_message_does_nothing(crm: Crm) -> None:
    run = performed(process_into(crm), FIVE)
    before = fresh(run).__dict__.copy()
    assert perform(run.pk) == 0
    after = fresh(run).__dict__
    assert {name: after[name] for name in before if not name.startswith("_")} == {
        name: value for name, value in before.items() if not name.startswith("_")
    }


def test_one_ring_performs_everything_that_waits(crm: Crm) -> None:
    process = process_into(crm)
    runs = [requested(process, f"0000{number},Anna\n") for number in (1, 2, 3)]
    assert perform(runs[-1].pk) == 3
    assert {fresh(run).status for run in runs} == {RunStatus.COMPLETED}


def after_segment(number: int, monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    """Let something happen once the run has settled its segment `number`."""
    settle = RunJournal.settle

    def settled(journal: RunJournal, segment: Any) -> None:
        settle(journal, segment)
        if segment.number == number:
            happens()

    monkeypatch.setattr(RunJournal, "settle", settled)


def test_a_cancelled_run_ends_at_its_segment_and_holds_the_rest(
    crm: Crm, omar: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = requested(process_into(crm), FIVE)
    after_segment(1, monkeypatch, lambda: request_cancel(run, by=omar))
    perform_next()

    run = fresh(run)
    assert (run.status, run.documents_created, run.documents_held) == (RunStatus.CANCELLED, 2, 3)
    assert run.is_balanced and len(crm.customers()) == 2


def test_a_worker_that_must_stop_hands_its_run_over_and_the_next_one_goes_on(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = requested(process_into(crm), FIVE)
    after_segment(1, monkeypatch, _draining.set)
    try:
        perform_next()
    finally:
        _draining.clear()
    handed = fresh(run)
    assert (handed.status, handed.lease_owner, handed.segments, handed.deaths) == (RunStatus.IN_PROGRESS, "", 1, 0)

    monkeypatch.undo()
    perform_next()
    run = fresh(run)
    assert (run.status, run.epoch, run.documents_created) == (RunStatus.COMPLETED_WITH_ERRORS, 2, 4)
    assert len(crm.customers()) == 4 and run.is_balanced
    assert any("handed it back" in line for line in log_of(run))


@pytest.mark.parametrize("dies_at", [1, 2])
def test_a_marker_made_between_a_death_and_the_resume_leaves_only_what_it_cannot_know_unknown(
    crm: Crm, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    crm.drop_marker()
    process = process_into(crm, mode=WriteMode.INSERT)
    run = requested(process, "00001,Anna\n00002,Ben\n00003,Cara\n00004,Dan\n00005,Eve\n")
    settle = RunJournal.settle

    def die(journal: RunJournal, segment: Any) -> None:
        if segment.number == dies_at:
            raise OperationalError("the worker is gone")
        settle(journal, segment)

    monkeypatch.setattr(RunJournal, "settle", die)
    perform_next()
    monkeypatch.undo()
    crm.make_marker()
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    perform_next()

    run = fresh(run)
    assert (run.status, run.documents_created, run.documents_unknown) == (RunStatus.COMPLETED_WITH_ERRORS, 3, 2)
    assert run.is_balanced and len(crm.customers()) == 5


def test_a_worker_that_lost_its_run_writes_nothing_more(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    run = requested(process_into(crm), FIVE)

    def another_takes_it() -> None:
        Run.objects.filter(pk=run.pk).update(epoch=7, lease_owner="worker two")

    after_segment(1, monkeypatch, another_takes_it)
    perform_next()

    seen = fresh(run)
    assert (seen.status, seen.epoch, seen.lease_owner, seen.segments) == (RunStatus.IN_PROGRESS, 7, "worker two", 1)
    assert LedgerSegment.objects.filter(run=run).count() == 1


def test_a_database_that_goes_away_leaves_the_run_to_its_lease(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    run = requested(process_into(crm), FIVE)

    def gone(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the database went away")

    monkeypatch.setattr(RunJournal, "sending", gone)
    perform_next()
    seen = fresh(run)
    assert (seen.status, seen.segments, crm.customers()) == (RunStatus.IN_PROGRESS, 0, [])


def test_a_fault_of_our_own_ends_the_run_in_plain_words(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(performing, "open_pinned", broken)
    run = performed(process_into(crm), FIVE)
    assert (run.status, run.error_code) == (RunStatus.FAILED, "internal")
    assert "Tell an administrator" in run.reason and "Zero" not in run.reason


def test_a_connection_that_was_deleted_fails_the_run_before_anything_is_read(crm: Crm) -> None:
    run = requested(process_into(crm), FIVE)
    crm.connection.delete()
    perform_next()
    run = fresh(run)
    assert (run.status, run.source_rows, run.error_code) == (RunStatus.FAILED, None, "definition.no_connection")


def test_a_ledger_that_does_not_add_up_is_never_completed(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is put into the survey: it counts one document more than there are."""
    surveyed = RunJournal.surveyed

    def one_more(journal: RunJournal, *, rows: int, documents: int, dropped: int) -> None:
        surveyed(journal, rows=rows + 1, documents=documents + 1, dropped=dropped)

    monkeypatch.setattr(RunJournal, "surveyed", one_more)
    run = performed(process_into(crm), "00001,Anna\n")
    assert (run.status, run.error_code) == (RunStatus.FAILED, "unbalanced")
    assert "2 documents read, 1 accounted" in run.reason
    assert "The last document accounted for is 00001." in run.reason


def test_blank_rows_that_a_rule_drops_are_restricted_and_the_ledger_balances(crm: Crm) -> None:
    process = process_into(crm, options=Options(blank_rows=BlankRows.DROP))
    run = performed(process, "00001,Anna\n,\n00002,Ben\n")
    assert (run.status, run.source_rows, run.rows_restricted, run.documents_restricted) == ("completed", 3, 1, 0)
    assert run.is_balanced


def test_a_run_that_ends_with_a_segment_in_doubt_says_so(crm: Crm) -> None:
    run = requested(process_into(crm), FIVE)
    claim = claim_next("worker one")
    assert claim is not None
    Run.objects.send(run.pk, 1, segment=1)
    crm.connection.delete()
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    perform_next()
    assert "Segment 1 was being sent when its worker ended" in fresh(run).reason
