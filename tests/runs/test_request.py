"""What is accepted as a run, what is refused, and with which sentence."""

import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.engine.plan import Options, SourceSpec, WhenBusy
from integrations.models import Process, ProcessVersion, Run, RunStatus, StoredFile
from integrations.runs.files import store
from integrations.runs.parameters import fitting
from integrations.runs.request import Refused, default_name, request_cancel, request_run, rerun
from tests import factories
from tests.runs.making import held_run, make_run, process_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    with scope(company=company):
        yield


@pytest.fixture
def process(company: Company) -> Process:
    return process_of(company)


@pytest.fixture
def customers(company: Company) -> StoredFile:
    return store(company, io.BytesIO(b"CustomerNumber,Name\n00123,Northwind\n"), name="customers.csv", by=None)


def test_a_run_takes_the_newest_version_and_the_next_number(
    process: Process, customers: StoredFile, omar: User
) -> None:
    newest = ProcessVersion.objects.create(
        company=process.company, process=process, number=2, plan_json=process.newest_version.plan_json
    )

    first = request_run(process, by=omar, file=customers)
    second = request_run(process, by=omar, file=customers)

    assert (first.number, second.number) == (1, 2)
    assert first.version == newest
    assert (first.status, first.requested_by, first.source_file) == (RunStatus.QUEUED, omar, customers)


def test_each_company_counts_its_own_runs(process: Process, customers: StoredFile, omar: User) -> None:
    request_run(process, by=omar, file=customers)
    elsewhere = factories.make_company("Elsewhere Ltd")
    with scope(company=elsewhere):
        file = store(elsewhere, io.BytesIO(b"CustomerNumber,Name\n1,A\n"), name="a.csv", by=None)
        run = request_run(process_of(elsewhere), by=None, file=file)

    assert run.number == 1


def test_a_request_is_written_to_the_audit_log(process: Process, customers: StoredFile, omar: User) -> None:
    run = request_run(process, by=omar, file=customers)

    entry = AuditEntry.objects.get(action="run.requested")
    assert entry.user == omar
    assert str(run.number) in entry.thing
    assert entry.after["file"] == "customers.csv"


def test_a_worker_is_rung_for_once_the_run_is_durable(
    process: Process, customers: StoredFile, omar: User, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as rung:
        run = request_run(process, by=omar, file=customers)
        assert run.dispatched_at is None

    assert len(rung) == 1
    assert Run.objects.get(pk=run.pk).dispatched_at


def test_a_broker_that_does_not_answer_loses_no_run(
    process: Process, customers: StoredFile, omar: User, django_capture_on_commit_callbacks, settings
) -> None:
    from config.celery import app

    before = app.conf.broker_url
    app.conf.broker_url = "redis://127.0.0.1:1/0"
    app.pool.force_close_all()
    app.amqp._producer_pool = None
    try:
        with django_capture_on_commit_callbacks(execute=True):
            run = request_run(process, by=omar, file=customers)
    finally:
        app.conf.broker_url = before
        app.amqp._producer_pool = None

    kept = Run.objects.get(pk=run.pk)
    assert (kept.status, kept.dispatched_at) == (RunStatus.QUEUED, None)


def test_a_run_without_a_name_gets_the_process_and_the_companys_time(company: Company, process: Process) -> None:
    Company.objects.filter(pk=company.pk).update(time_zone="America/Chicago")
    process.refresh_from_db()
    at = datetime(2026, 11, 24, 1, 38, 2, tzinfo=ZoneInfo("UTC"))

    assert default_name(process, at) == "CUSTOMERS_TO_CRM 2026-11-23 19:38:02"


def test_two_default_names_of_one_second_differ_by_a_suffix(process: Process) -> None:
    now = timezone.now()
    make_run(process, name=default_name(process, now))
    make_run(process, name=default_name(process, now))

    assert re.search(r" \(3\)$", default_name(process, now))


def test_a_typed_name_is_kept(process: Process, customers: StoredFile, omar: User) -> None:
    assert request_run(process, by=omar, file=customers, name=" November take-over ").name == "November take-over"


def test_the_default_file_is_read_when_none_is_given(process: Process, customers: StoredFile, omar: User) -> None:
    Process.objects.filter(pk=process.pk).update(default_file=customers)

    assert request_run(process, by=omar).source_file == customers


def test_an_import_without_a_file_is_refused(process: Process, omar: User) -> None:
    with pytest.raises(Refused, match=r"reads a file\. Choose one"):
        request_run(process, by=omar)
    assert not Run.objects.exists()


def test_a_file_door_fetches_the_file_when_none_is_given(company: Company, omar: User) -> None:
    folder = factories.make_connection(company, "Drop folder", "folder")
    crm = factories.make_connection(company)
    spec = SourceSpec(kind="delimited", connection=str(folder.public_id), options={"pattern": "*.csv"})
    process = factories.make_process(company, factories.make_plan(crm, source=spec))

    assert request_run(process, by=omar).source_file is None


def test_a_file_of_another_company_does_not_exist_here(process: Process, omar: User) -> None:
    elsewhere = factories.make_company("Elsewhere Ltd")
    with scope(company=elsewhere):
        foreign = store(elsewhere, io.BytesIO(b"CustomerNumber,Name\n"), name="customers.csv", by=None)

    with pytest.raises(Refused, match="no longer exists"):
        request_run(process, by=omar, file=foreign)


def test_a_file_of_another_kind_is_refused_by_its_name(company: Company, process: Process, omar: User) -> None:
    picture = store(company, io.BytesIO(b"\x89PNG"), name="logo.png", by=None)

    with pytest.raises(Refused, match=r"“logo\.png” does not fit"):
        request_run(process, by=omar, file=picture)


def test_a_process_that_reads_no_file_refuses_one(company: Company, customers: StoredFile, omar: User) -> None:
    crm = factories.make_connection(company)
    spec = SourceSpec(kind="sql_query", connection=str(crm.public_id), options={"query": "select 1"})
    process = factories.make_process(company, factories.make_plan(crm, source=spec))

    with pytest.raises(Refused, match="takes no file"):
        request_run(process, by=omar, file=customers)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [({"trashed_at": timezone.now()}, "is in the trash"), ({"is_active": False}, "is switched off")],
)
def test_a_process_that_must_not_run_is_refused(
    process: Process, customers: StoredFile, omar: User, fields: dict[str, object], sentence: str
) -> None:
    Process.objects.filter(pk=process.pk).update(**fields)

    with pytest.raises(Refused, match=sentence):
        request_run(process, by=omar, file=customers)


def test_a_draft_that_was_never_complete_is_refused(company: Company, omar: User) -> None:
    draft = Process.objects.create(company=company, name="DRAFT")

    with pytest.raises(Refused, match="has no version that can run yet"):
        request_run(draft, by=omar)


def test_a_process_that_refuses_when_busy_names_the_run_it_is_busy_with(
    company: Company, customers: StoredFile, omar: User
) -> None:
    process = process_of(company, when_busy=WhenBusy.REFUSE)
    first = request_run(process, by=omar, file=customers, name="Morning run")

    with pytest.raises(Refused, match=f"Run {first.number} “Morning run”"):
        request_run(process, by=omar, file=customers)

    assert Run.objects.count() == 1
    assert Company.objects.get(pk=company.pk).last_run_number == 1


def test_a_process_that_waits_when_busy_takes_a_second_run(process: Process, customers: StoredFile, omar: User) -> None:
    request_run(process, by=omar, file=customers)
    assert request_run(process, by=omar, file=customers).exclusive


def test_only_a_process_that_allows_it_runs_twice_at_once(company: Company, customers: StoredFile, omar: User) -> None:
    assert not request_run(process_of(company, when_busy=WhenBusy.ALLOW), by=omar, file=customers).exclusive


def ended(process: Process, **fields: object) -> Run:
    return make_run(process, status=RunStatus.COMPLETED, ended_at=timezone.now(), **fields)


def test_a_re_run_reads_the_same_bytes_with_todays_version(process: Process, customers: StoredFile, omar: User) -> None:
    last = ended(process, source_file=customers)
    plan = factories.make_plan(factories.make_connection(process.company), options=Options(separator="+"))
    today = ProcessVersion.objects.create(company=process.company, process=process, number=2, plan_json=plan.to_json())

    run = rerun(last, by=omar)

    assert (run.source_file, run.version, run.trigger) == (customers, today, "rerun")


def test_a_re_run_of_a_query_asks_it_anew(company: Company, customers: StoredFile, omar: User) -> None:
    crm = factories.make_connection(company)
    spec = SourceSpec(kind="sql_query", connection=str(crm.public_id), options={"query": "select 1"})
    process = factories.make_process(company, factories.make_plan(crm, source=spec))

    assert rerun(ended(process, source_file=customers), by=omar).source_file is None


def test_a_re_run_is_refused_while_the_last_run_is_in_progress_and_names_it(
    process: Process, customers: StoredFile, omar: User
) -> None:
    first = ended(process, source_file=customers)
    running = held_run(process, name="Noon run")

    with pytest.raises(Refused, match=f"Run {running.number} “Noon run” of this integration is In-Progress"):
        rerun(first, by=omar)


def test_a_queued_run_is_cancelled_at_once(process: Process, omar: User) -> None:
    run = make_run(process)

    assert request_cancel(run, by=omar)

    assert (run.status, run.cancel_requested_by) == (RunStatus.CANCELLED, omar)
    assert AuditEntry.objects.filter(action="run.cancelled", user=omar).exists()


def test_a_running_run_is_asked_once_to_end_with_its_children(company: Company, process: Process, omar: User) -> None:
    run = held_run(process)
    child = held_run(process_of(company, "CHILD"), parent=run, parent_key="task 1")

    assert request_cancel(run, by=omar)
    assert not request_cancel(run, by=omar)

    child.refresh_from_db()
    assert run.status == RunStatus.IN_PROGRESS and run.cancel_requested_at
    assert child.cancel_requested_at


def test_a_run_that_has_ended_is_not_cancelled(process: Process, omar: User) -> None:
    assert not request_cancel(ended(process), by=omar)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_press_re_run_at_once_one_gets_a_run(
    process: Process, company: Company, customers: StoredFile, omar: User
) -> None:
    last, together = request_run(process, by=omar, file=customers), Barrier(2)
    request_cancel(last, by=omar)

    def press(_: int) -> str:
        try:
            with scope(company=company):
                seen = Run.objects.get(pk=last.pk)
                together.wait(10)
                rerun(seen, by=omar)
        except Refused as refused:
            return refused.code
        finally:
            connection.close()
        return "accepted"

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(press, range(2))) == ["accepted", "refused.in_progress"]


@pytest.mark.django_db(transaction=True)
def test_answers_are_judged_before_anybody_waits_for_the_request(
    process: Process, customers: StoredFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[bool] = []

    def watched(*args: Any, **kwargs: Any) -> dict[str, Any]:
        judged.append(connection.in_atomic_block)
        return fitting(*args, **kwargs)

    monkeypatch.setattr("integrations.runs.request.fitting", watched)
    request_run(process, by=None, file=customers)
    assert judged == [False]
