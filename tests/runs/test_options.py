"""Options that a whole run obeys: its time, who may start it, how long it is kept."""

import io
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Company, Role, User
from integrations.engine.plan import Column, Options, ParentData, SourceSpec, Stage, Task, TaskType
from integrations.models import LedgerSegment, OutputFile, Process, Run, RunStatus, StoredFile
from integrations.runs.files import path_of, store, sweep
from integrations.runs.perform import perform_next
from integrations.runs.request import Refused, request_run
from integrations.runs.retention import delete_old_runs
from tests import factories
from tests.runs.performing import Crm, fresh, performed, process_into, requested

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS a, max(i) AS b FROM n"
TWO = "1,Anna\n2,Ben\n"


def begun(run: Run, *, minutes_ago: int) -> Run:
    """Let a run have begun a while ago, and its worker have handed it back since."""
    then = timezone.now() - timedelta(minutes=minutes_ago)
    Run.objects.filter(pk=run.pk).update(
        status=RunStatus.IN_PROGRESS, epoch=1, started_at=then, lease_owner="", lease_until=then
    )
    return run


# Time ---------------------------------------------------------------------------------------------------------------


def test_a_run_out_of_time_ends_failed_and_holds_what_it_did_not_send(crm: Crm) -> None:
    run = begun(requested(process_into(crm, options=Options(time_limit=30)), TWO), minutes_ago=31)
    perform_next()

    run = fresh(run)
    assert (run.status, run.error_code) == (RunStatus.FAILED, "time_limit")
    assert run.reason == (
        "The run took longer than the 30 minutes that its options give it. What was not sent is held."
    )
    assert crm.customers() == []


def test_a_run_in_time_is_left_alone(crm: Crm) -> None:
    run = begun(requested(process_into(crm, options=Options(time_limit=30)), TWO), minutes_ago=29)
    perform_next()

    assert fresh(run).status == RunStatus.COMPLETED


def test_time_ends_a_query_that_gives_no_row(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = str(crm.connection.public_id)
    source = SourceSpec(
        kind="sql_query", connection=connection, options={"query": ENDLESS}, columns=(Column(name="a"),)
    )
    run = begun(request_run(process_into(crm, source=source, options=Options(time_limit=1)), by=None), minutes_ago=2)
    perform_next()

    assert fresh(run).error_code == "time_limit"


def test_a_child_has_no_more_time_than_its_parent(crm: Crm, company: Company, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    child = process_into(Crm(company, tmp_path / "below", name="Below"))
    task = Task(
        name="AND_THEN",
        type=TaskType.RUN_INTEGRATION,
        stage=Stage.INTEGRATION_POST_ALWAYS,
        integration=str(child.public_id),
        parent_data=ParentData.ALL,
    )
    parent = process_into(crm, options=Options(time_limit=30), tasks=(task,), process="PARENT")
    run = begun(requested(parent, TWO), minutes_ago=31)
    perform_next()

    below = Run.objects.get(parent=run)
    assert (below.status, below.error_code) == (RunStatus.FAILED, "time_limit")


# Who may run --------------------------------------------------------------------------------------------------------


@pytest.fixture
def process(crm: Crm) -> Process:
    return process_into(crm)


def test_nobody_named_means_everyone(process: Process, omar: User, dora: User) -> None:
    assert process.may_be_run_by(omar) and process.may_be_run_by(dora)


def test_only_the_people_named_and_administrators_may_run(
    process: Process, company: Company, omar: User, dora: User, ada: User
) -> None:
    process.runners.set([dora])

    with pytest.raises(Refused, match=r"Only the people named in the options of CUSTOMERS.*ask a designer to add you"):
        requested(process, TWO, by=omar)
    assert not Run.objects.exists()
    assert requested(process, TWO, by=dora).requested_by == dora
    assert requested(process, TWO, by=ada).requested_by == ada


def test_a_process_may_be_for_administrators_only(process: Process, omar: User, dora: User, ada: User) -> None:
    Process.objects.filter(pk=process.pk).update(only_administrators_run=True)
    process.refresh_from_db()

    with pytest.raises(Refused, match="Only the people named in the options of CUSTOMERS"):
        requested(process, TWO, by=dora)
    assert not process.may_be_run_by(omar)
    assert requested(process, TWO, by=ada).requested_by == ada


def test_an_administrator_of_another_company_is_nobody_here(process: Process, dora: User, mallory: User) -> None:
    process.runners.set([dora])
    assert not process.may_be_run_by(mallory)


def test_several_people_give_a_process_once_in_a_list(
    process: Process, company: Company, omar: User, dora: User
) -> None:
    eve = factories.make_user("eve@harwood.test", company=company, role=Role.OPERATOR)
    process.runners.set([dora, eve, omar])
    assert list(Process.objects.that_may_be_run_by(omar)) == [process]


def test_a_child_runs_because_its_parent_may(crm: Crm, process: Process, omar: User, dora: User) -> None:
    process.runners.set([dora])
    parent = requested(process_into(crm, process="PARENT"), TWO, by=omar)
    assert request_run(process, by=omar, parent=parent, parent_key="x", rows=parent.source_file).requested_by == omar


# How long runs are kept ---------------------------------------------------------------------------------------------


def aged(run: Run, *, days: int) -> Run:
    """Let a run and its file be that old."""
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now() - timedelta(days=days))
    if run.source_file:
        _age(path_of(run.source_file), days)
    return run


def _age(path: Path, days: int) -> None:
    then = (timezone.now() - timedelta(days=days)).timestamp()
    os.utime(path, (then, then))


def test_a_run_older_than_its_process_keeps_is_deleted_with_everything_of_it(crm: Crm) -> None:
    process = process_into(crm, options=Options(keep_days=30))
    old = aged(performed(process, TWO), days=31)
    young = aged(performed(process, "3,Cyril\n"), days=29)
    assert old.source_file is not None
    bytes_of_old = path_of(old.source_file)

    assert delete_old_runs() == 1

    assert list(Run.objects.all()) == [young]
    assert set(LedgerSegment.objects.values_list("run", flat=True)) == {young.pk}
    assert list(StoredFile.objects.all()) == [young.source_file] and not bytes_of_old.exists()
    entry = AuditEntry.objects.get(action="run.deleted")
    assert entry.after == {"runs": 1, "first": old.number, "last": old.number, "days kept": 30}
    assert delete_old_runs() == 0


def test_what_a_run_kept_for_download_goes_with_it(crm: Crm, company: Company) -> None:
    process = process_into(crm, options=Options(keep_days=30))
    old = aged(performed(process, TWO), days=31)
    kept = store(company, io.BytesIO(b"number\n1\n"), name="out.csv", by=None)
    _age(path_of(kept), 31)
    OutputFile.objects.create(company=company, run=old, number=1, name="out.csv", file=kept)

    assert delete_old_runs() == 1
    assert not StoredFile.objects.exists() and not path_of(kept).exists()


@pytest.mark.parametrize("days", [-5, 10**17])
def test_a_number_of_days_that_cannot_be_deletes_nothing_and_stops_nobody_else(crm: Crm, days: int) -> None:
    aged(performed(process_into(crm, process="ODD", options=Options(keep_days=days)), TWO), days=31)
    aged(performed(process_into(crm, options=Options(keep_days=30)), "3,Cyril\n"), days=31)

    assert delete_old_runs() == 1
    assert [run.process.name for run in Run.objects.all()] == ["ODD"]


def test_a_time_limit_beyond_all_bounds_ends_no_run_that_is_in_time(crm: Crm) -> None:
    assert performed(process_into(crm, options=Options(time_limit=10**17)), TWO).status == RunStatus.COMPLETED


def test_without_the_option_runs_are_kept_for_ever(process: Process) -> None:
    aged(performed(process, TWO), days=4_000)
    assert delete_old_runs() == 0


def test_a_file_that_another_run_or_company_has_is_kept(crm: Crm, mallory: User) -> None:
    process = process_into(crm, options=Options(keep_days=30))
    old = aged(performed(process, TWO), days=31)
    assert old.source_file is not None
    elsewhere = mallory.memberships.get().company
    with path_of(old.source_file).open("rb") as content:
        theirs = store(elsewhere, io.BytesIO(content.read()), name="theirs.csv", by=None)
    _age(path_of(theirs), 31)

    assert delete_old_runs() == 1
    assert path_of(theirs).exists()


def test_children_go_with_the_run_that_started_them_and_not_before(crm: Crm) -> None:
    process = process_into(crm, options=Options(keep_days=30))
    parent = performed(process, TWO)
    child = performed(process, "3,Cyril\n")
    Run.objects.filter(pk=child.pk).update(parent=parent, parent_key="x")
    aged(child, days=31)
    assert delete_old_runs() == 0

    aged(parent, days=31)
    assert delete_old_runs() == 2
    assert not Run.objects.exists()


def test_a_family_of_which_one_goes_on_is_kept(crm: Crm) -> None:
    process = process_into(crm, options=Options(keep_days=30))
    parent = aged(performed(process, TWO), days=31)
    child = requested(process, "3,Cyril\n")
    Run.objects.filter(pk=child.pk).update(parent=parent, parent_key="x")
    assert delete_old_runs() == 0


def test_bytes_that_were_put_aside_by_one_who_died_come_back(process: Process) -> None:
    run = performed(process, TWO)
    assert run.source_file is not None
    place = path_of(run.source_file)
    place.rename(place.with_suffix(".discarded"))
    sweep()
    assert place.exists()


def test_a_file_of_today_is_not_deleted_though_no_row_names_it_yet(crm: Crm, settings: Any) -> None:
    process = process_into(crm, options=Options(keep_days=30))
    run = aged(performed(process, TWO), days=31)
    assert run.source_file is not None
    _age(path_of(run.source_file), 0)
    assert delete_old_runs() == 1
    assert path_of(run.source_file).exists()


def test_an_administrator_sees_a_process_once_however_many_may_run_it(crm: Crm, company: Company) -> None:
    process = process_into(crm)
    ada, *others = (
        factories.make_user(f"{name}@x.test", company=company, role=role)
        for name, role in (("ada", Role.ADMINISTRATOR), ("olaf", Role.OPERATOR), ("eve", Role.OPERATOR))
    )
    process.runners.set(others)
    assert list(Process.objects.that_may_be_run_by(ada)) == [process]
