"""*Run an Integration*: what it offers, what it refuses, and that nothing typed is lost."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine.plan import Column, Prompt, SourceSpec, Variable
from integrations.models import GlobalVariable, Process, ProcessVersion, Run, RunStatus, StoredFile
from integrations.models.run import Trigger
from integrations.runs.perform import perform_next
from integrations.runs.request import request_run
from tests.runs.making import process_of
from tests.runs.performing import HEADER, Crm, process_into

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = (HEADER + "00001,Anna\n").encode()


@pytest.fixture
def process(company: Company, settings: Any, tmp_path: Path) -> Process:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        return process_into(Crm(company, tmp_path))


@pytest.fixture
def omars(client: Client, omar: User) -> Iterator[Client]:
    client.force_login(omar)
    yield client


def start(
    client: Client, process: Process, content: bytes | None = ROWS, *, file_name: str = "customers.csv", **given: Any
) -> Any:
    file = {} if content is None else {"file": SimpleUploadedFile(file_name, content)}
    return client.post(reverse("run-start", args=[process.public_id]), {**given, **file}, follow=True)


def runs_of(process: Process) -> list[Run]:
    with scope(company=process.company):
        return list(Run.objects.order_by("pk"))


def words(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_every_integration_that_can_run_is_offered_and_found_by_name(
    omars: Client, process: Process, company: Company
) -> None:
    process_of(company, "ORDERS_TO_CRM")
    with scope(company=company):
        off = process_of(company, "SWITCHED_OFF")
        off.is_active = False
        off.save(update_fields=["is_active"])
    shown = words(omars.get("/run/"))
    assert "CUSTOMERS_TO_CRM" in shown and "ORDERS_TO_CRM" in shown and "SWITCHED_OFF" not in shown
    assert "CUSTOMERS_TO_CRM" not in words(omars.get("/run/?q=orders"))


def test_a_file_and_a_name_make_a_run_that_is_performed(omars: Client, process: Process, omar: User) -> None:
    start(omars, process, name="Monday customers")
    perform_next()
    (run,) = runs_of(process)
    assert (run.name, run.requested_by, run.status) == ("Monday customers", omar, RunStatus.COMPLETED)


def test_a_run_without_a_name_gets_the_default_one(omars: Client, process: Process) -> None:
    start(omars, process)
    assert runs_of(process)[0].name.startswith("CUSTOMERS_TO_CRM 20")


def test_without_a_file_the_form_comes_back_with_what_was_typed(omars: Client, process: Process) -> None:
    response = start(omars, process, None, name="Monday customers")
    assert response.status_code == 422 and runs_of(process) == []
    assert "Choose one to run it with" in words(response)
    assert 'value="Monday customers"' in response.content.decode()


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "customers.csv", "is empty"),
        (ROWS, "customers.exe", "does not fit"),
        (b"x" * 1_048_577, "customers.csv", "1,048,577 bytes"),
    ],
)
def test_a_file_that_will_not_do_is_refused_with_the_reason(
    omars: Client, process: Process, content: bytes, name: str, said: str
) -> None:
    response = start(omars, process, content, file_name=name)
    assert response.status_code == 422 and said in words(response) and name in words(response)
    assert runs_of(process) == []


def test_a_file_of_exactly_the_limit_is_taken(omars: Client, process: Process) -> None:
    content = ROWS + b"\n" * (1_048_576 - len(ROWS))
    start(omars, process, content)
    assert len(runs_of(process)) == 1


def test_the_same_content_again_asks_first_and_names_the_run_before(omars: Client, process: Process) -> None:
    start(omars, process, name="First")
    asked = start(omars, process, name="Second")
    assert len(runs_of(process)) == 1
    assert f"{runs_of(process)[0].number}" in words(asked) and "Run it again?" in words(asked)

    with scope(company=process.company):
        kept = StoredFile.objects.order_by("-pk")[0]
    no = start(omars, process, None, name="Second", kept=str(kept.public_id), again="no")
    assert len(runs_of(process)) == 1 and 'value="Second"' in no.content.decode(), "No returns to the form"
    start(omars, process, None, name="Second", kept=str(kept.public_id), again="yes")
    assert [run.name for run in runs_of(process)] == ["First", "Second"]


def test_a_file_that_somebody_else_kept_cannot_be_named(
    omars: Client, process: Process, mallory: User, tmp_path: Path
) -> None:
    import io

    from accounts.models import Membership
    from integrations.runs.files import store

    elsewhere = Membership.objects.get(user=mallory).company
    with scope(company=elsewhere):
        theirs = store(elsewhere, io.BytesIO(b"a\n1\n"), name="theirs.csv", by=mallory)
    response = start(omars, process, None, kept=str(theirs.public_id), again="yes")
    assert response.status_code == 422 and "no longer here" in words(response)


def test_progress_is_told_until_the_run_has_ended(omars: Client, process: Process) -> None:
    start(omars, process)
    (run,) = runs_of(process)
    live = {"HX-Request": "true", "HX-Target": "progress"}
    waiting = omars.get(reverse("run-progress", args=[run.number]), headers=live)
    assert waiting.status_code == 200 and "waiting for a worker" in words(waiting)
    perform_next()
    done = omars.get(reverse("run-progress", args=[run.number]), headers=live)
    assert done.status_code == 286, "the browser need not ask again"
    assert "Completed" in words(done)


def test_a_viewer_cannot_run_anything(client: Client, vera: User, process: Process) -> None:
    client.force_login(vera)
    assert client.get("/run/").status_code == 403
    assert start(client, process).status_code == 403
    assert runs_of(process) == []


def test_a_file_is_kept_when_its_run_is_refused(omars: Client, process: Process, company: Company) -> None:
    with scope(company=company):
        Process.objects.update(is_active=False)
    refused = start(omars, process)
    assert refused.status_code == 422
    assert "customers.csv" in words(refused) and "uploaded already" in words(refused)

    with scope(company=company):
        Process.objects.update(is_active=True)
        (kept,) = StoredFile.objects.all()
    start(omars, process, None, kept=str(kept.public_id))
    assert [run.source_file_id for run in runs_of(process)] == [kept.pk]


def test_a_new_choice_goes_before_the_file_that_was_kept(omars: Client, process: Process, company: Company) -> None:
    start(omars, process)
    with scope(company=company):
        (kept,) = StoredFile.objects.all()
    start(omars, process, ROWS + b"00002,Ben\n", file_name="other.csv", kept=str(kept.public_id))
    with scope(company=company):
        assert Run.objects.order_by("-pk")[0].source_file.name == "other.csv"


def test_people_who_may_not_run_an_integration_are_not_offered_it_and_are_refused_in_a_sentence(
    omars: Client, process: Process, dora: User
) -> None:
    with scope(company=process.company):
        process.runners.set([dora])
    assert process.name not in words(omars.get(reverse("run-panel")))
    refused = start(omars, process)
    assert refused.status_code == 422
    assert "Only the people named in the options" in words(refused)
    assert not runs_of(process)


def bright(response: Any) -> str:
    """The words of the one bright button in the foot of the panel."""
    foot = response.content.decode().partition("<footer>")[2].partition("</footer>")[0]
    (found,) = re.findall(r'class="btn btn-primary"[^>]*>(.*?)</(?:summary|button)>', foot)
    return re.sub(r"<[^>]+>", "", found)


def test_re_run_is_the_bright_button_until_something_else_is_filled_in(omars: Client, process: Process) -> None:
    start(omars, process)
    assert bright(omars.get(reverse("run-panel-process", args=[process.public_id]))) == "Run with changes", "it is open"
    perform_next()
    assert bright(omars.get(reverse("run-panel-process", args=[process.public_id]))) == "Re-Run"
    assert bright(start(omars, process, b"", name="Typed")) == "Run with changes", "beside a refused file"


def test_the_question_of_re_run_names_the_run_and_the_file_it_repeats(omars: Client, process: Process) -> None:
    start(omars, process)
    perform_next()
    shown = words(omars.get(reverse("run-panel-process", args=[process.public_id])))
    number = runs_of(process)[0].number
    assert f"Re-Run repeats run {number} (Completed, just now ) with customers.csv, {len(ROWS)} bytes." in shown


def panel_of(client: Client, process: Process) -> Any:
    return client.get(reverse("run-panel-process", args=[process.public_id]))


def test_re_run_repeats_the_last_run_that_a_person_started(omars: Client, process: Process) -> None:
    start(omars, process)
    perform_next()
    with scope(company=process.company):
        by_omar = Run.objects.get()
        made = request_run(process, by=None, trigger=Trigger.PARENT, file=by_omar.source_file)
    perform_next()
    assert panel_of(omars, process).context["last"] == by_omar

    with scope(company=process.company):
        request_run(process, by=None, trigger=Trigger.PARENT, file=by_omar.source_file)
    shown = panel_of(omars, process)
    assert f"Run {made.number + 1}" in words(shown) and "Re-Run waits until it has ended" in words(shown)
    omars.post(reverse("run-rerun", args=[by_omar.number]))
    assert Trigger.RERUN not in [run.trigger for run in runs_of(process)], "a direct POST obeys the same rule"


def test_a_new_required_parameter_opens_the_form_when_a_run_is_repeated(omars: Client, process: Process) -> None:
    start(omars, process)
    perform_next()
    (run,) = runs_of(process)
    with scope(company=process.company):
        GlobalVariable.objects.create(company=process.company, name="GBL_REGION")
        asking = (Variable(name="GBL_REGION", prompt=Prompt(label="Region", required=True)),)
        plan = replace(run.version.plan, variables=asking)
        ProcessVersion.objects.create(company=process.company, process=process, number=2, plan_json=plan.to_json())
    for htmx in ({}, {"HX-Request": "true"}):
        opened = omars.post(reverse("run-rerun", args=[run.number]), headers=htmx)
        assert opened.status_code == 422 and opened.context["parameters"].fields.keys() == {"GBL_REGION"}
        assert "CUSTOMERS_TO_CRM asks for GBL_REGION: Region is empty" in words(opened)
        assert bright(opened) == "Run with changes"
    assert runs_of(process) == [run]


def test_the_connection_goes_before_the_default_file_in_words_as_in_deed(
    omars: Client, process: Process, company: Company
) -> None:
    start(omars, process)
    with scope(company=company):
        process.default_file = runs_of(process)[0].source_file
        process.save(update_fields=["default_file"])
    assert "the default file, unless" in words(panel_of(omars, process))
    with scope(company=company):
        version = process.newest_version
        assert version is not None
        plan = replace(version.plan, source=replace(version.plan.source, connection="of-a-folder"))
        ProcessVersion.objects.create(company=company, process=process, number=2, plan_json=plan.to_json())
    assert "The one file that matches at its connection" in words(panel_of(omars, process))
    with scope(company=company):
        assert request_run(process, by=None).source_file is None


def test_a_run_of_a_query_is_said_to_read_its_query_and_not_the_spool_of_its_rows(
    omars: Client, company: Company, settings: Any, tmp_path: Path
) -> None:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        crm = Crm(company, tmp_path)
        columns = (Column(name="CustomerNumber"), Column(name="Name"))
        query = {"query": "SELECT 'C1' AS CustomerNumber, 'Anna' AS Name"}
        source = SourceSpec(kind="sql_query", connection=str(crm.connection.public_id), options=query, columns=columns)
        process = process_into(crm, source=source)
    start(omars, process, None)
    perform_next()
    (run,) = runs_of(process)
    assert run.status == RunStatus.COMPLETED, run.reason
    of_run = (
        omars.get(reverse(name, args=[run.number])) for name in ("run-progress", "run-summary", "run-source-file")
    )
    pages = (panel_of(omars, process), *of_run, omars.get("/runs/?run=1"))
    asked = words(pages[0])
    assert "with what its source (SQL query) gives now" in asked
    assert "SQL query, asked by the run itself" in words(pages[1])
    assert all("SQL query" in words(page) for page in pages[2:4])
    assert not [page for page in pages if "rows.jsonl.gz" in page.content.decode()]


def test_a_name_that_is_too_long_is_refused_and_kept(omars: Client, process: Process) -> None:
    response = start(omars, process, name="n" * 201)
    assert response.status_code == 422 and runs_of(process) == []
    assert "has 201 characters; it may have 200" in words(response) and "n" * 201 in response.content.decode()


def test_a_name_in_use_is_accepted_and_the_run_that_has_it_is_named(omars: Client, process: Process) -> None:
    start(omars, process, name="Monday")
    first = runs_of(process)[0].number
    told = words(start(omars, process, ROWS + b"00002,Ben\n", name="Monday"))
    assert len(runs_of(process)) == 2 and f"Run {first} has the same name" in told
