"""The parameters step: what a process asks for, what is refused beside what was typed, and what a re-run keeps."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine.plan import ChoicesFrom, Keep, Prompt, PromptType, Stage, Task, TaskType, Variable
from integrations.engine.secure import is_handle
from integrations.forms.parameters import ParametersForm
from integrations.models import GlobalVariable, Process, Run, RunStatus, TranslationTable
from integrations.models.vault import vault_of
from integrations.runs.perform import perform_next
from integrations.runs.request import Refused, request_run
from tests.runs.performing import HEADER, Crm, file_of, process_into
from tests.web.defining import answers_of, save

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = (HEADER + "00001,Anna\n").encode()
REGION, COUNT, MONTH, DAYS, KEY = "GBL_REGION", "GBL_COUNT", "GBL_MONTH", "GBL_DAYS", "GBL_KEY"
ASKED = (
    Variable(
        name=REGION, prompt=Prompt(label="Region", type=PromptType.CHOICE, choices=("North", "South"), required=True)
    ),
    Variable(name=COUNT, prompt=Prompt(label="How many", type=PromptType.NUMBER, default="7", maximum="9")),
    Variable(name=MONTH, prompt=Prompt(label="Month", type=PromptType.PERIOD, default="last_month")),
    Variable(name=DAYS, prompt=Prompt(label="Days", type=PromptType.DATE_RANGE)),
    Variable(name=KEY, prompt=Prompt(label="Key")),
)
FILLED = {
    f"given-{REGION}": "South",
    f"given-{COUNT}": "8",
    f"given-{MONTH}": "last_year",
    f"given-{KEY}": "typed-s3cr3t",
}


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    with scope(company=company):
        for name in (REGION, COUNT, MONTH, DAYS):
            GlobalVariable.objects.create(company=company, name=name)
        GlobalVariable.objects.create(company=company, name=KEY, is_secure=True)
        yield


@pytest.fixture
def crm(company: Company, settings: Any, tmp_path: Path) -> Crm:
    settings.FOLDERS = [tmp_path]
    return Crm(company, tmp_path)


@pytest.fixture
def process(client: Client, omar: User, crm: Crm) -> Process:
    client.force_login(omar)
    statement = f"INSERT INTO customers VALUES ([{MONTH}.from], [{KEY}])"
    note = Task(
        name="NOTE",
        type=TaskType.RUN_SQL,
        stage=Stage.INTEGRATION_PRE,
        connection=str(crm.connection.public_id),
        statement=statement,
    )
    return process_into(crm, variables=ASKED, tasks=(note,))


def start(client: Client, process: Process, content: bytes | None = ROWS, **given: Any) -> Any:
    file = {} if content is None else {"file": SimpleUploadedFile("customers.csv", content)}
    return client.post(reverse("run-start", args=[process.public_id]), {**given, **file}, follow=True)


def panel(client: Client, process: Process) -> str:
    return client.get(reverse("run-panel-process", args=[process.public_id])).content.decode()


def last_run() -> Run:
    return Run.objects.order_by("-pk").select_related("company").first()  # type: ignore[return-value]


# Lists that come from elsewhere --------------------------------------------------------------------------------------


def listing(crm: Crm, prompt: Prompt) -> Process:
    return process_into(crm, process="LISTING", variables=(Variable(name=REGION, prompt=prompt),))


def from_query(crm: Crm, query: str, **more: Any) -> Prompt:
    key = str(crm.connection.public_id)
    said = {"label": "Customer", "type": PromptType.CHOICE, "required": True} | more
    return Prompt(**said, choices_from=ChoicesFrom.QUERY, connection=key, query=query)


def fill(crm: Crm, *customers: tuple[str, str]) -> None:
    with closing(sqlite3.connect(crm.path)) as database, database:
        database.executemany("INSERT INTO customers VALUES (?, ?)", customers)


BY_NAME = "SELECT customer_number, name FROM customers WHERE name <> [GBL_COUNT] ORDER BY name"


def test_a_list_comes_from_a_query_and_is_looked_at_again(
    client: Client, omar: User, crm: Crm, company: Company
) -> None:
    client.force_login(omar)
    GlobalVariable.objects.filter(name=COUNT).update(value="Hidden")
    fill(crm, ("0007", "Bolt"), ("0008", "Acme"), ("0009", "Hidden"))
    process = listing(crm, from_query(crm, BY_NAME))

    field = client.get(reverse("run-panel-process", args=[process.public_id])).context["parameters"][REGION]
    assert field.field.widget.choices[1:] == [("0008", "Acme"), ("0007", "Bolt")]
    refused = start(client, process, **{f"given-{REGION}": "0009"})
    assert "Customer cannot be “0009”. Choose one of those offered." in refused.content.decode()
    assert not Run.objects.exists()

    start(client, process, **{f"given-{REGION}": "0007"})
    perform_next()
    assert (last_run().status, last_run().variables[REGION]) == (RunStatus.COMPLETED, "0007")


def test_what_is_no_longer_offered_when_the_run_starts_fails_it_before_anything_is_read(
    client: Client, omar: User, crm: Crm
) -> None:
    client.force_login(omar)
    fill(crm, ("0007", "Bolt"))
    process = listing(crm, from_query(crm, BY_NAME))
    start(client, process, **{f"given-{REGION}": "0007"})
    with closing(sqlite3.connect(crm.path)) as database, database:
        database.execute("DELETE FROM customers")

    perform_next()

    assert (last_run().status, last_run().source_documents) == (RunStatus.FAILED, None)
    assert last_run().reason.startswith("Customer cannot be “0007”. Choose one of those offered.")


@pytest.mark.parametrize("required", [True, False])
def test_a_system_that_does_not_answer_is_said_at_the_field(
    client: Client, omar: User, crm: Crm, required: bool
) -> None:
    """Only whoever has to choose from it is kept from running."""
    client.force_login(omar)
    process = listing(crm, from_query(crm, "SELECT x FROM nowhere", required=required))

    shown = panel(client, process)
    assert (
        "Nothing can be chosen now: The query is refused: no such table: nowhere. Correct it on the Variables" in shown
    )
    start(client, process, **{f"given-{REGION}": ""})

    assert Run.objects.count() == (0 if required else 1)
    with pytest.raises(Refused, match=r"cannot run now\. The list of Customer cannot be read\. The query is refused"):
        request_run(process, by=omar, given={REGION: "0007"})


def test_an_endless_query_ends_in_its_time_and_a_long_list_is_refused(
    client: Client, omar: User, crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(omar)
    monkeypatch.setattr("integrations.runs.choices.SECONDS", 0.2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 501) SELECT i FROM n"

    assert "The query took longer than 0.2 s" in panel(client, listing(crm, from_query(crm, endless)))
    monkeypatch.setattr("integrations.runs.choices.SECONDS", 30.0)
    Process.objects.update(name="OTHER")
    assert "The query has more than 500 values" in panel(client, listing(crm, from_query(crm, long)))
    Process.objects.exclude(name="OTHER").update(name="ANOTHER")
    repeated = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) SELECT i / 10001 FROM n"
    assert "The query gives more than 10,000 rows." in panel(client, listing(crm, from_query(crm, repeated)))


def test_a_secure_value_has_no_place_in_a_list_that_people_see(client: Client, omar: User, crm: Crm) -> None:
    client.force_login(omar)
    process = listing(crm, from_query(crm, f"SELECT substr([{KEY}], 1, 4)"))

    assert f"Its query uses {KEY}, whose value is secure" in panel(client, process)


def test_several_are_chosen_from_a_translation_table(client: Client, omar: User, crm: Crm, company: Company) -> None:
    client.force_login(omar)
    table = TranslationTable.make(company, by=None, name="Regions", pairs=[("N", "North"), ("S", "S"), ("", "none")])
    said = Prompt(label="Regions", type=PromptType.CHOICES, choices_from=ChoicesFrom.TABLE, table=str(table.public_id))
    process = listing(crm, said)

    field = client.get(reverse("run-panel-process", args=[process.public_id])).context["parameters"][REGION]
    assert field.field.choices == [("N", "N — North"), ("S", "S")]
    start(client, process, **{f"given-{REGION}": ["S", "N"]})
    assert last_run().given == {REGION: ["S", "N"]}

    table.change(revision=0, by=None, pairs=[("S", "South")])
    perform_next()
    assert last_run().reason.startswith("Regions cannot be “N”. Choose one of those offered.")
    answers = {"again": "yes"}
    rerun = client.post(reverse("run-rerun", args=[last_run().number]), answers, follow=True)
    assert "Regions cannot be “N”" in rerun.content.decode() and Run.objects.count() == 1


def test_a_designer_says_where_a_list_comes_from(client: Client, dora: User, crm: Crm, company: Company) -> None:
    client.force_login(dora)
    table = TranslationTable.make(company, by=None, name="Regions", pairs=[("N", "North")])
    process = process_into(crm, process="LISTING")
    url = reverse("process-prompt", args=[process.public_id, REGION])
    answers = {"asked": "on", "type": "choice", "choices_from": "translation", "revision": 0}

    refused = client.post(reverse("process-prompt-save", args=[process.public_id, REGION]), answers)
    assert "its list comes from a translation table, and none is chosen" in refused.content.decode()
    answers |= {"table": str(table.public_id), "query": "SELECT 1", "choices": "left over"}
    client.post(reverse("process-prompt-save", args=[process.public_id, REGION]), answers)

    process.refresh_from_db()
    (said,) = process.drafted.variables
    assert said.prompt == Prompt(type=PromptType.CHOICE, choices_from=ChoicesFrom.TABLE, table=str(table.public_id))
    assert "Regions" in client.get(url).content.decode()
    used = client.get(reverse("translation-table", args=[table.public_id])).content.decode()
    assert f"the list of {REGION}" in used


# What stands in the definition --------------------------------------------------------------------------------------


def test_required_ones_come_first_with_label_help_and_default(client: Client, process: Process) -> None:
    form = client.get(reverse("run-panel-process", args=[process.public_id])).context["parameters"]
    assert [field.label for field in form] == ["Region", "How many", "Month", "Days", "Key"]
    assert (form[COUNT].value(), form[MONTH].value()) == ("7", "last_month")


def test_what_is_given_is_what_the_run_works_with_and_what_its_summary_says(
    client: Client, process: Process, crm: Crm
) -> None:
    start(client, process, **FILLED, **{f"given-{DAYS}_from": "2026-01-01", f"given-{DAYS}_to": "2026-01-31"})
    perform_next()
    run = last_run()
    year = datetime.now(UTC).year - 1
    assert run.status == RunStatus.COMPLETED, run.reason
    assert (run.variables[REGION], run.variables[COUNT]) == ("South", 8)
    assert run.given[MONTH] == {"period": "last_year", "from": f"{year}-01-01", "to": f"{year}-12-31"}
    assert is_handle(run.given[KEY]) and (f"{year}-01-01", "typed-s3cr3t") in crm.customers()
    shown = client.get(reverse("run-summary", args=[run.number])).content.decode()
    assert f"Last year: {year}-01-01 to {year}-12-31" in shown and "2026-01-01 to 2026-01-31" in shown
    assert "••••••" in shown and "typed-s3cr3t" not in shown and run.given[KEY] not in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({f"given-{REGION}": ""}, "Region is empty. Fill it in."),
        ({f"given-{REGION}": "East"}, "Region cannot be “East”. Choose one of those offered."),
        ({f"given-{COUNT}": "10"}, "How many is more than 9, the most that is allowed."),
        ({f"given-{DAYS}_from": "2026-01-01"}, "Days needs both its first and its last day."),
        ({f"given-{KEY}": "abc"}, "Key is too short: a secure value has at least 4 characters"),
    ],
)
def test_an_answer_that_does_not_fit_starts_nothing_and_is_said_at_its_field(
    client: Client, process: Process, changes: dict[str, str], said: str
) -> None:
    response = start(client, process, **FILLED | changes)
    shown = response.content.decode()
    assert response.status_code == 422 and said in shown and "Nothing was started" in shown
    assert "typed-s3cr3t" not in shown and not Run.objects.exists()


def test_a_secure_answer_is_kept_sealed_while_the_panel_asks_about_the_file(client: Client, process: Process) -> None:
    start(client, process, **FILLED)
    perform_next()
    response = start(client, process, **FILLED | {f"given-{KEY}": "another-s3cr3t"})
    shown = response.content.decode()
    assert "was run before" in shown and "another-s3cr3t" not in shown
    sealed = response.context["parameters"].sealed()
    kept = response.context["kept"]
    answers = FILLED | {f"given-{KEY}": "", "kept": str(kept.public_id), "again": "yes"} | sealed
    start(client, process, None, **answers)
    run = last_run()
    assert vault_of(run.company).opened(run.given[KEY]) == "another-s3cr3t"


def test_a_secure_answer_of_one_variable_is_not_taken_for_another(client: Client, process: Process) -> None:
    other = vault_of(process.company).sealed("GBL_OTHER", "of-another")
    start(client, process, **FILLED | {f"given-{KEY}": "", f"sealed-{KEY}": other})
    assert KEY not in last_run().given


def test_the_secure_answer_of_the_run_before_never_goes_out_when_the_panel_asks_again(
    client: Client, process: Process
) -> None:
    start(client, process, **FILLED)
    perform_next()
    first = last_run().given[KEY]
    response = start(client, process, **FILLED | {f"given-{KEY}": ""})

    assert "was run before" in response.content.decode() and first not in response.content.decode()
    kept = str(response.context["kept"].public_id)
    start(client, process, None, **FILLED | {f"given-{KEY}": "", "kept": kept, "again": "yes"})
    assert last_run().given[KEY] == first


@pytest.mark.parametrize("name", [REGION, COUNT, KEY])
def test_a_sealed_value_cannot_be_typed_in_where_it_would_be_opened(
    client: Client, process: Process, company: Company, name: str
) -> None:
    sealed = vault_of(company).sealed("GBL_OTHER", "of-another")
    assert start(client, process, **FILLED | {f"given-{name}": sealed}).status_code == 422
    given = {REGION: "North"} | {name: sealed}
    with pytest.raises(Refused, match=f"{name} holds a sealed value"):
        request_run(process, by=None, file=file_of(company, "1,Anna\n"), given=given)


def test_run_with_changes_begins_with_what_was_given_and_an_empty_secret_keeps_it(
    client: Client, process: Process
) -> None:
    start(client, process, **FILLED)
    perform_next()
    form = client.get(reverse("run-panel-process", args=[process.public_id])).context["parameters"]
    assert (form[REGION].value(), form[COUNT].value(), form[MONTH].value()) == ("South", 8, "last_year")
    assert form[KEY].value() is None and "Empty keeps what the last run was given" in form[KEY].help_text
    start(client, process, ROWS + b"00002,Ben\n", **FILLED | {f"given-{KEY}": "", f"given-{REGION}": "North"})
    run = last_run()
    assert run.given[REGION] == "North" and vault_of(run.company).opened(run.given[KEY]) == "typed-s3cr3t"


def test_a_re_run_keeps_what_was_given_and_sees_its_period_from_its_own_day(client: Client, process: Process) -> None:
    start(client, process, **FILLED)
    perform_next()
    first = last_run()
    client.post(reverse("run-rerun", args=[first.number]))
    again = last_run()
    assert again.pk != first.pk and again.given == first.given | {MONTH: {"period": "last_year"}}


def test_a_re_run_that_lacks_a_new_required_answer_opens_the_form(client: Client, process: Process) -> None:
    start(client, process, **FILLED)
    perform_next()
    version = process.newest_version
    assert version is not None
    version.pk, version.number = None, 2
    version.plan_json["variables"][3]["prompt"]["required"] = True
    version.save()
    number = last_run().number
    response = client.post(reverse("run-rerun", args=[number]), headers={"HX-Request": "true"})
    assert response.status_code == 422 and "Days is empty. Fill it in." in response.content.decode()
    assert response.context["parameters"][REGION].value() == "South"


def test_every_other_door_obeys_the_same_rules(process: Process, company: Company) -> None:
    with pytest.raises(Refused, match="asks for GBL_REGION: Region is empty"):
        request_run(process, by=None, file=file_of(company, "1,Anna\n"))
    run = request_run(process, by=None, file=file_of(company, "1,Anna\n"), given={REGION: "North"})
    assert run.given == {REGION: "North", COUNT: 7, MONTH: {"period": "last_month"}}


def test_an_answer_is_looked_at_again_when_the_run_starts(process: Process, company: Company) -> None:
    run = request_run(process, by=None, file=file_of(company, "1,Anna\n"), given={REGION: "North"})
    Run.objects.filter(pk=run.pk).update(given={REGION: "East"})
    perform_next()
    run.refresh_from_db()
    assert (run.status, run.source_rows, run.error_code) == (RunStatus.FAILED, None, "run.parameter")
    assert run.reason.startswith("Region cannot be “East”")


def test_a_deleted_variable_ends_a_run_before_anything_is_read(process: Process, company: Company) -> None:
    run = request_run(process, by=None, file=file_of(company, "1,Anna\n"), given={REGION: "North"})
    GlobalVariable.objects.filter(name=KEY).delete()
    perform_next()
    run.refresh_from_db()
    assert (run.status, run.source_rows) == (RunStatus.FAILED, None) and f"uses {KEY}" in run.reason


# ---- the designer's side -----------------------------------------------------------------------------------------


def prompt_page(client: Client, process: Process, name: str = REGION) -> Any:
    return client.get(reverse("process-prompt", args=[process.public_id, name]))


def save_prompt(client: Client, process: Process, name: str = REGION, **changes: Any) -> Any:
    form = prompt_page(client, process, name).context["form"]
    answers = answers_of([form]) | changes
    answers = {key: value for key, value in answers.items() if value is not None}
    return client.post(reverse("process-prompt-save", args=[process.public_id, name]), answers, follow=True)


def test_a_designer_says_what_is_asked_for(client: Client, dora: User, process: Process) -> None:
    client.force_login(dora)
    listed = client.get(reverse("process-variables", args=[process.public_id])).content.decode()
    assert "One of a list, required" in listed and "Secure text" in listed
    save_prompt(client, process, COUNT, label="Rows", maximum="99", default="12")
    process.refresh_from_db()
    said = next(item for item in process.drafted.variables if item.name == COUNT)
    assert said.prompt == Prompt(label="Rows", type=PromptType.NUMBER, default="12", maximum="99")
    save_prompt(client, process, COUNT, asked=None)
    process.refresh_from_db()
    assert COUNT not in {item.name for item in process.drafted.variables}


def test_who_comes_to_have_a_variable_asked_for_finds_that_switched_on(
    client: Client, dora: User, process: Process
) -> None:
    client.force_login(dora)
    save_prompt(client, process, COUNT, asked=None)
    process.refresh_from_db()
    save(client, process, "variables", add=COUNT)
    page = reverse("process-prompt", args=[process.public_id, COUNT])
    assert f'{page}?ask=yes"' in client.get(reverse("process-variables", args=[process.public_id])).content.decode()

    assert client.get(page, {"ask": "yes"}).context["form"]["asked"].value() is True
    refused = save_prompt(client, process, COUNT, label="Rows")
    assert refused.status_code == 422 and "what was changed below would be lost" in refused.content.decode()


def test_what_cannot_be_asked_is_not_saved(client: Client, dora: User, process: Process) -> None:
    client.force_login(dora)
    response = save_prompt(client, process, REGION, choices="")
    assert response.status_code == 422 and "List what can be chosen" in response.content.decode()


def test_the_variables_tab_keeps_prompts(client: Client, dora: User, process: Process) -> None:
    client.force_login(dora)
    save(client, process, "variables", **{"variables-0-keep": "always"})
    process.refresh_from_db()
    kept = {item.name: item for item in process.drafted.variables}
    assert kept[COUNT].keep is Keep.ALWAYS and kept[COUNT].prompt == ASKED[1].prompt and len(kept) == len(ASKED)


def test_what_is_asked_for_stands_by_its_place_required_ones_first(
    client: Client, dora: User, process: Process
) -> None:
    client.force_login(dora)

    save_prompt(client, process, KEY, place="1")
    save_prompt(client, process, DAYS, place="2")

    process.refresh_from_db()
    plan = process.drafted
    assert [item.name for item in plan.asked] == [REGION, KEY, DAYS, COUNT, MONTH]
    form = ParametersForm(None, plan, vault=vault_of(process.company), secure=frozenset())
    assert list(form.fields) == [REGION, KEY, DAYS, COUNT, MONTH]
    tab = client.get(reverse("process-variables", args=[process.public_id])).content.decode()
    assert "“Region”, One of a list, required" in tab and "place 2" in tab


def test_a_variable_that_does_not_exist_has_no_prompt(client: Client, dora: User, process: Process) -> None:
    client.force_login(dora)
    assert prompt_page(client, process, "GBL_NOWHERE").status_code == 404
