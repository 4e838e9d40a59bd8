"""A run translates by the rows that its tables had when it started, and calculates dates from that moment, whoever
changes what meanwhile and whoever resumes it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine.plan import ColumnType, DateCalculation, FieldMap, Line, NoMatch, Plan, Translation
from integrations.models import DocumentOutcome, Process, ProcessVersion, Run, RunStatus, TranslationTable
from integrations.runs.perform import perform_next
from integrations.runs.preview import preview_of
from tests.runs.performing import Crm, file_of, fresh, performed, process_into, requested
from tests.runs.test_perform import after_segment

pytestmark = pytest.mark.django_db(transaction=True)

FOUR = "00001,DE\n00002,FR\n00003,DE\n00004,FR\n"
PAIRS = [("DE", "Germany"), ("FR", "France")]


class Killed(BaseException):
    """The worker ends here."""


def kill() -> None:
    raise Killed


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        yield


@pytest.fixture
def crm(in_company: None, company: Company, tmp_path: Path) -> Crm:
    return Crm(company, tmp_path)


@pytest.fixture
def table(company: Company) -> TranslationTable:
    return TranslationTable.make(company, by=None, pairs=PAIRS, name="Countries")


def translating(crm: Crm, table: TranslationTable, no_match: NoMatch = NoMatch.ERROR) -> Process:
    how = Translation(table=str(table.public_id), no_match=no_match)
    name = FieldMap(target="name", column_type=ColumnType.TRANSLATION, value="Name", required=True, translation=how)
    number = FieldMap(target="customer_number", value="CustomerNumber", required=True)
    line = Line(name="Customer", target="customers", keys=("customer_number",), fields=(number, name))
    return process_into(crm, lines=(line,))


def test_a_run_translates_and_fails_what_its_table_does_not_have(crm: Crm, table: TranslationTable) -> None:
    run = performed(translating(crm, table), "00001,DE\n00002,XX\n00003,FR\n")
    assert crm.customers() == [("00001", "Germany"), ("00003", "France")]
    assert (run.status, run.documents_failed) == (RunStatus.COMPLETED_WITH_ERRORS, 1)
    (outcome,) = DocumentOutcome.objects.filter(run=run)
    assert outcome.sentence == "“XX” in Name of row 2 is not in the translation table Countries."
    assert outcome.column == "Name"


def test_a_preview_translates_as_the_run_then_does(crm: Crm, table: TranslationTable, company: Company) -> None:
    process = translating(crm, table, NoMatch.KEEP)
    process.sample = file_of(company, "00001,DE\n00002,XX\n")
    seen = preview_of(process, process.newest_version.plan)
    assert [document.lines[0][0].values["name"] for document in seen.documents] == ["Germany", "XX"]


@pytest.mark.parametrize("meanwhile", ["changed", "deleted"])
def test_a_killed_run_goes_on_with_the_rows_it_began_with(
    crm: Crm, table: TranslationTable, monkeypatch: pytest.MonkeyPatch, ada: User, meanwhile: str
) -> None:
    run = requested(translating(crm, table), FOUR)
    after_segment(1, monkeypatch, kill)
    with pytest.raises(Killed):
        perform_next()
    monkeypatch.undo()
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    assert len(crm.customers()) == 2
    if meanwhile == "changed":
        assert table.change(revision=0, by=ada, pairs=[("DE", "other"), ("FR", "other")], name="Renamed")
    else:
        table.delete()
    perform_next()
    assert [name for _, name in crm.customers()] == ["Germany", "France"] * 2
    assert fresh(run).status == RunStatus.COMPLETED


def test_the_next_run_translates_by_the_rows_that_are_there_then(crm: Crm, table: TranslationTable, ada: User) -> None:
    process = translating(crm, table)
    performed(process, "00001,DE\n")
    table.change(revision=0, by=ada, pairs=[("DE", "Deutschland")])
    performed(process, "00002,DE\n")
    assert [name for _, name in crm.customers()] == ["Germany", "Deutschland"]


def test_a_run_whose_table_is_gone_fails_before_anything_is_sent(crm: Crm, table: TranslationTable) -> None:
    process = translating(crm, table)
    table.delete()
    run = performed(process, FOUR)
    assert run.status == RunStatus.FAILED and crm.customers() == []
    assert run.reason == "The translation table of name no longer exists. Choose another one in the mapping."


def test_a_date_is_calculated_from_the_start_of_the_run_whoever_resumes_it(
    crm: Crm, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    Company.objects.filter(pk=company.pk).update(time_zone="Pacific/Auckland")
    name = FieldMap(
        target="name",
        column_type=ColumnType.DATE_CALCULATION,
        required=True,
        date=DateCalculation(of_start=True, amount=1),
    )
    number = FieldMap(target="customer_number", value="CustomerNumber", required=True)
    line = Line(name="Customer", target="customers", keys=("customer_number",), fields=(number, name))
    run = requested(process_into(crm, lines=(line,)), FOUR)
    after_segment(1, monkeypatch, kill)
    with pytest.raises(Killed):
        perform_next()
    monkeypatch.undo()
    # The first of April there already; it is resumed much later.
    began = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)
    Run.objects.filter(pk=run.pk).update(lease_owner="", started_at=began)
    perform_next()
    assert [day for _, day in crm.customers()][2:] == ["2026-04-02", "2026-04-02"]


def test_a_version_of_before_there_were_tables_still_runs(crm: Crm) -> None:
    process = process_into(crm)
    version = ProcessVersion.objects.get(process=process)
    for line in version.plan_json["lines"]:
        for item in line["fields"]:
            del item["translation"], item["date"]
    version.save()
    assert isinstance(version.plan, Plan) and replace(version.plan) == process.drafted
    assert performed(process, "00001,Anna\n").status == RunStatus.COMPLETED
