"""What the Run Summary tells of tasks: the variables a run ended with, its stages, and documents whose follow-up
failed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine.plan import Stage, Task, TaskType
from integrations.models import GlobalVariable, Run
from tests.runs.making import held_run
from tests.runs.performing import Crm, performed, process_into
from tests.web.test_run_panel import words

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def omars(client: Client, omar: User) -> Client:
    client.force_login(omar)
    return client


@pytest.fixture
def run(company: Company, settings: Any, tmp_path: Path, omar: User) -> Iterator[Run]:
    """Two documents arrive; of one the follow-up fails."""
    settings.FOLDERS = [tmp_path]
    begin = Task(
        name="BEGIN",
        type=TaskType.SET_VARIABLE,
        stage=Stage.INTEGRATION_PRE,
        variable="GBL_REGION",
        value="<b>South</b>",
    )
    notify = Task(
        name="NOTIFY",
        type=TaskType.RUN_SCRIPT,
        stage=Stage.DOCUMENT_POST_SUCCESS,
        script="return this._Name !== 'Cara';",
    )
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North")
        crm = Crm(company, tmp_path)
        yield performed(process_into(crm, tasks=(begin, notify)), "00001,Anna\n00003,Cara\n", by=omar)


def page(client: Client, name: str, run: Run) -> Any:
    return client.get(reverse(name, args=[run.number]))


def test_the_variables_a_run_ended_with_are_shown_as_text(omars: Client, run: Run) -> None:
    response = page(omars, "run-summary", run)
    assert response.context["variables"] == [("GBL_REGION", "<b>South</b>")]
    assert "<b>South</b>" not in response.content.decode()
    assert "1 value the run ended with" in words(response)


def test_a_document_whose_follow_up_failed_is_counted_in_words_and_among_the_errors(omars: Client, run: Run) -> None:
    response = page(omars, "run-summary", run)
    shown = words(response)
    assert "2 of 2 documents are at the destination. 1 sent with a failed follow-up." in shown
    assert "failed document" not in shown and response.context["attention"].count == 1
    assert response.context["ledger"].balanced
    errors = words(page(omars, "run-errors", run))
    assert "Sent, follow-up failed" in errors and "NOTIFY failed: its script returned false." in errors
    assert "1 document of this run needs attention: 1 sent with a failed follow-up." in errors


def test_failed_documents_and_failed_follow_ups_are_counted_in_one_way(
    company: Company, omars: Client, run: Run, omar: User
) -> None:
    with scope(company=company):
        again = performed(run.process, "00001,Anna\n00002,\n00003,Cara\n", by=omar)
    response = page(omars, "run-summary", again)
    shown = words(response)
    assert shown.count("1 failed, 1 sent with a failed follow-up") == 3, "the sentence, the button and the causes"
    assert "2 documents need attention" in shown and "2 failed" not in shown
    assert ("Need attention", 1, 2, 1) in response.context["comparison"]["rows"]


def test_the_run_panel_leads_to_it_too(omars: Client, run: Run) -> None:
    shown = words(page(omars, "run-progress", run))
    assert "1 sent, follow-up failed" in shown and "Failed documents" in shown


def test_the_stages_of_tasks_are_named_as_on_the_tab(omars: Client, run: Run) -> None:
    titles = [stage.title for stage in page(omars, "run-summary", run).context["stages"]]
    assert titles == ["Integration Pre Tasks", "Read", "Documents"]


def test_the_summary_tells_how_each_task_ended(omars: Client, run: Run) -> None:
    response = page(omars, "run-summary", run)
    assert [(task.name, task.done, task.failed) for task in response.context["tasks"]] == [
        ("BEGIN", 1, 0),
        ("NOTIFY", 1, 1),
    ]
    assert "NOTIFY Document Post Success Tasks its script returned false." in words(response)
    (pre,) = [stage for stage in response.context["stages"] if stage.title == "Integration Pre Tasks"]
    assert pre.key == "ok"


def test_a_run_that_is_cancelling_says_so_and_offers_no_second_cancel(omars: Client, run: Run) -> None:
    with scope(company=run.company):
        going = held_run(run.process, number=99, cancel_requested_at=timezone.now(), source_documents=3, source_rows=3)
    response = page(omars, "run-summary", going)
    assert "It is cancelling: it ends at its next segment" in words(response)
    assert reverse("run-cancel", args=[99]) not in response.content.decode()
