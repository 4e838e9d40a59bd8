"""The Run Summary and what hangs on it: figures that add up, errors with their rows, the file, the log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope
from openpyxl import load_workbook

from accounts.models import Company, User
from integrations.models import DocumentOutcome, LogEntry, Run, RunStatus
from integrations.web.run_summary import sentence_of
from tests.runs.performing import HEADER, Crm, fresh, performed, process_into, requested
from tests.web.defining import said
from tests.web.test_run_panel import words

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = "00001,Anna\n00002,\n00003,<b>Cara</b>\n00004,\n"


@pytest.fixture
def crm(company: Company, settings: Any, tmp_path: Path) -> Crm:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        return Crm(company, tmp_path)


@pytest.fixture
def run(crm: Crm, omar: User) -> Run:
    return performed(process_into(crm), ROWS, by=omar)


@pytest.fixture
def omars(client: Client, omar: User) -> Iterator[Client]:
    client.force_login(omar)
    yield client


def page(client: Client, name: str, run: Run, query: str = "") -> Any:
    return client.get(reverse(name, args=[run.number]) + query)


def test_the_figures_of_the_ledger_add_up_to_what_was_read(omars: Client, run: Run) -> None:
    ledger = page(omars, "run-summary", run).context["ledger"]
    assert ledger.balanced and ledger.read_documents == 4
    assert {part.label: part.documents for part in ledger.parts if part.documents} == {"Delivered": 2, "Failed": 2}
    assert sum(part.documents for part in ledger.parts) == ledger.read_documents
    assert sum(part.rows for part in ledger.parts) == ledger.read_rows


def test_errors_are_grouped_by_cause_with_a_count_and_examples(omars: Client, run: Run) -> None:
    response = page(omars, "run-summary", run)
    (cause,) = response.context["causes"]
    assert (cause["documents"], cause["first"], cause["last"]) == (2, "00002", "00004")
    assert "2 documents need attention" in words(response)


def test_every_failed_document_shows_its_row_column_and_reason(omars: Client, run: Run) -> None:
    response = page(omars, "run-errors", run)
    shown = words(response)
    assert "00002" in shown and "row 2" in shown and "column Name" in shown
    assert 'class="cell-bad"' in response.content.decode(), "the cell at fault is marked"


def test_source_values_stand_in_the_order_of_the_source(omars: Client, run: Run) -> None:
    (outcome, _), *_ = page(omars, "run-errors", run).context["outcomes"]
    assert list(outcome.rows[0]["values"]) == ["CustomerNumber", "Name"]
    assert list(outcome.records[0]["values"]) == ["customer_number", "name"]


def test_failed_documents_are_paged_and_filtered_by_cause(omars: Client, crm: Crm) -> None:
    many = performed(process_into(crm, process="MANY"), "".join(f"{number:05d},\n" for number in range(120)))
    first = page(omars, "run-errors", many)
    second = page(omars, "run-errors", many, f"?after={first.context['more']}")
    third = page(omars, "run-errors", many, f"?after={second.context['more']}")
    keys = [outcome.key for response in (first, second, third) for outcome, _ in response.context["outcomes"]]
    assert keys == [f"{number:05d}" for number in range(120)] and third.context["more"] is None
    assert page(omars, "run-errors", many, "?cause=nothing").context["outcomes"] == []


def exported(client: Client, run: Run, tmp_path: Path, query: str = "") -> Any:
    given = page(client, "run-errors-export", run, query)
    assert given["Content-Disposition"].startswith("attachment") and ".xlsx" in given["Content-Disposition"]
    path = tmp_path / "exported.xlsx"
    path.write_bytes(b"".join(given.streaming_content))
    sheet = load_workbook(path).active
    assert sheet is not None
    return sheet


def test_failed_documents_are_exported_as_a_workbook_that_can_be_corrected_and_run(
    omars: Client, run: Run, tmp_path: Path
) -> None:
    assert reverse("run-errors-export", args=[run.number]) in page(omars, "run-errors", run).content.decode()
    header, *lines = exported(omars, run, tmp_path).iter_rows(values_only=True)
    assert header == (
        *("Document", "Key", "Outcome", "Reason", "Column", "The destination said", "Row"),
        *("CustomerNumber", "Name"),
    )
    assert [(line[0], line[1], line[2], line[4], line[6], *line[7:]) for line in lines] == [
        (2, "00002", "Failed", "Name", 2, "00002", None),
        (4, "00004", "Failed", "Name", 4, "00004", None),
    ]
    assert "is blank" in lines[0][3]


def test_an_export_holds_the_cause_that_is_looked_at_and_nothing_else(omars: Client, run: Run, tmp_path: Path) -> None:
    with scope(company=run.company):
        cause = DocumentOutcome.objects.filter(run=run).values_list("cause", flat=True)[0]
    assert exported(omars, run, tmp_path, "?" + urlencode({"cause": cause})).max_row == 3
    assert exported(omars, run, tmp_path, "?cause=nothing").max_row == 1


def test_what_came_from_outside_never_becomes_a_formula_of_an_export(omars: Client, crm: Crm, tmp_path: Path) -> None:
    evil = "=cmd|'/c calc'!A0"
    run = performed(process_into(crm, process="EVIL"), f'"{evil}",\n@SUM(1)\x07,\n')
    cells = [cell for row in exported(omars, run, tmp_path).iter_rows() for cell in row]
    assert {cell.value for cell in cells} >= {evil, "@SUM(1)�"}
    assert not [cell for cell in cells if cell.data_type == "f"]


def test_what_came_from_outside_is_shown_and_never_becomes_markup(omars: Client, run: Run) -> None:
    for name in ("run-summary", "run-errors", "run-source-file", "run-details"):
        assert "<b>Cara</b>" not in page(omars, name, run).content.decode(), name


def test_the_source_file_is_shown_row_by_row_and_given_back_unchanged(omars: Client, run: Run) -> None:
    assert "Anna" in words(page(omars, "run-source-file", run))
    given = page(omars, "run-source-download", run)
    assert b"".join(given.streaming_content) == (HEADER + ROWS).encode()
    assert "customers.csv" in given["Content-Disposition"] and given["Content-Disposition"].startswith("attachment")


def test_a_run_is_compared_with_the_last_good_one(omars: Client, crm: Crm, run: Run) -> None:
    again = performed(run.process, ROWS + "00005,Eve\n")
    comparison = page(omars, "run-summary", again).context["comparison"]
    assert comparison["good"].number == run.number
    assert ("Documents", 4, 5, 1) in comparison["rows"]


def test_a_good_run_is_one_that_completed_without_errors(omars: Client, crm: Crm, run: Run) -> None:
    second = performed(run.process, ROWS)
    shown = page(omars, "run-summary", second)
    assert "Compared with the last run that reached its end" in words(shown)
    good = performed(run.process, "00001,Anna\n")
    performed(run.process, ROWS)
    last = page(omars, "run-summary", performed(run.process, ROWS))
    assert last.context["comparison"]["good"].number == good.number
    assert "Compared with the last good run" in words(last)


def test_re_run_repeats_the_file_and_leads_to_the_new_run(omars: Client, run: Run) -> None:
    response = omars.post(reverse("run-rerun", args=[run.number]), follow=True)
    with scope(company=run.company):
        again = Run.objects.get(number=run.number + 1)
    assert again.source_file_id == run.source_file_id and again.status == RunStatus.QUEUED
    assert response.redirect_chain[-1][0] == reverse("run-summary", args=[again.number])


def test_re_run_is_refused_while_the_last_run_is_not_over_and_names_it(omars: Client, run: Run) -> None:
    waiting = requested(run.process, "00009,Ida\n")
    response = omars.post(reverse("run-rerun", args=[run.number]), follow=True)
    assert f"Run {waiting.number} " in said(response) and "In-Progress" in said(response)
    with scope(company=run.company):
        assert Run.objects.count() == 2


def test_a_queued_run_is_cancelled_with_a_word_about_by_whom(omars: Client, run: Run) -> None:
    waiting = requested(run.process, "00009,Ida\n")
    omars.post(reverse("run-cancel", args=[waiting.number]), follow=True)
    assert fresh(waiting).status == RunStatus.CANCELLED and "Omar" in fresh(waiting).reason


def test_a_viewer_sees_everything_and_is_offered_nothing_to_change(client: Client, vera: User, run: Run) -> None:
    client.force_login(vera)
    content = page(client, "run-summary", run).content.decode()
    assert reverse("run-rerun", args=[run.number]) not in content
    assert client.post(reverse("run-rerun", args=[run.number])).status_code == 403


def test_the_summary_stops_asking_once_the_run_has_ended(omars: Client, run: Run) -> None:
    live = {"HX-Request": "true", "HX-Target": "summary"}
    assert omars.get(reverse("run-summary", args=[run.number]), headers=live).status_code == 286


def test_a_run_of_another_company_does_not_exist(client: Client, mallory: User, run: Run) -> None:
    client.force_login(mallory)
    for name in (
        *("run-summary", "run-errors", "run-errors-export", "run-details"),
        *("run-source-file", "run-source-download", "run-progress"),
    ):
        assert page(client, name, run).status_code == 404, name


def test_one_document_that_was_left_out_is_said_to_be_one(run: Run) -> None:
    run.documents_restricted, run.source_documents, run.documents_failed = 1, 3, 0
    assert sentence_of(run) == "2 of 3 documents are at the destination and 1 was left out on purpose."
    run.documents_restricted, run.source_documents, run.documents_created = 0, 1, 1
    assert sentence_of(run) == "1 of 1 document is at the destination."


def test_the_log_names_stages_as_their_tab_does(omars: Client, run: Run) -> None:
    with scope(company=run.company):
        LogEntry.objects.create(company=run.company, run=run, level="warning", stage="integration_pre", message="Slow")
    shown = words(page(omars, "run-details", run))
    assert "Integration Pre Tasks" in shown and "integration_pre" not in shown
