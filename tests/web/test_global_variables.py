"""Global Variables: what people see and may do, and what keeps one from being deleted."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.engine.plan import SourceSpec, Stage, Task, TaskType, Variable
from integrations.models import GlobalVariable, Process
from integrations.models.vault import vault_of
from tests import factories
from tests.web.defining import said

FAILED = "GBL_FAILED_CUSTOMERS"


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    with scope(company=company):
        yield


@pytest.fixture
def variable(company: Company) -> GlobalVariable:
    return GlobalVariable.objects.create(company=company, name=FAILED, value="a|b", description="Who was refused")


@pytest.fixture
def doras(client: Client, dora: User) -> Client:
    client.force_login(dora)
    return client


def collecting(company: Company, name: str = "CUSTOMERS", **more: Any) -> Process:
    """A process whose task and restriction name the variable, in draft and version."""
    task = Task(
        name="COLLECT", type=TaskType.RUN_SCRIPT, stage=Stage.DOCUMENT_POST_FAILURE, script=f"this.{FAILED} = '';"
    )
    plan = factories.make_plan(
        factories.make_connection(company, f"CRM of {name}"), process=name, tasks=(task,), **more
    )
    line = replace(plan.lines[0], restriction=f"return this.{FAILED} === '';")
    return factories.make_process(company, replace(plan, lines=(line,)))


def page(client: Client, variable: GlobalVariable) -> Any:
    return client.get(reverse("global-variable", args=[variable.public_id]))


def save(client: Client, variable: GlobalVariable, **changes: Any) -> Any:
    answers = {name: getattr(variable, name) for name in ("name", "value", "description", "revision")} | changes
    return client.post(reverse("global-variable-save", args=[variable.public_id]), answers, follow=True)


def test_an_empty_list_says_what_variables_are_for_and_offers_the_first(doras: Client) -> None:
    shown = doras.get(reverse("global-variables")).content.decode()
    assert "carries a value from one script to another" in shown and "Create the first one" in shown


def test_a_designer_creates_a_variable_without_a_value(doras: Client, dora: User) -> None:
    response = doras.post(reverse("global-variable-new"), {"name": FAILED, "value": "", "description": ""}, follow=True)
    assert f"{FAILED} is saved" in said(response)
    made = GlobalVariable.objects.get()
    assert (made.name, made.value, made.updated_by) == (FAILED, "", dora)
    entry = AuditEntry.objects.get(action="variable.created")
    assert entry.after == {"name": FAILED, "value": "", "description": ""}


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("failed customers", FAILED),
        ("gbl_failed_customers", FAILED),
        ("FAILED_CUSTOMERS", FAILED),
        ("GBL-failed-customers", FAILED),
    ],
)
def test_a_name_that_is_not_allowed_is_offered_in_its_right_form(doras: Client, typed: str, right: str) -> None:
    response = doras.post(reverse("global-variable-new"), {"name": typed, "value": "x"})
    assert response.status_code == 422 and f"Save as {right}" in response.content.decode()
    assert "A name begins with GBL_" in response.context["form"].errors["name"][0]
    doras.post(reverse("global-variable-new"), {"name": typed, "value": "x", "take": right})
    assert GlobalVariable.objects.get().name == right


def test_a_name_that_holds_nothing_is_offered_nothing(doras: Client) -> None:
    response = doras.post(reverse("global-variable-new"), {"name": "gbl_ !", "value": ""})
    assert response.status_code == 422 and "Save as" not in response.content.decode()


def test_a_name_is_given_once(doras: Client, variable: GlobalVariable) -> None:
    response = doras.post(reverse("global-variable-new"), {"name": FAILED})
    assert f"There is already a global variable {FAILED}" in response.content.decode()


def test_a_change_is_noted_with_what_was_before(doras: Client, variable: GlobalVariable) -> None:
    save(doras, variable, value="c\r\nd")
    variable.refresh_from_db()
    assert (variable.value, variable.revision) == ("c\nd", 1)
    entry = AuditEntry.objects.get(action="variable.saved")
    assert (entry.before["value"], entry.after["value"]) == ("a|b", "c\nd")


def test_a_value_keeps_its_blanks(doras: Client, variable: GlobalVariable) -> None:
    save(doras, variable, value="  x ")
    variable.refresh_from_db()
    assert variable.value == "  x "


def test_someone_elses_change_meanwhile_is_shown_and_not_overwritten(
    doras: Client, variable: GlobalVariable, ada: User
) -> None:
    variable.change(revision=0, by=ada, value="by Ada")
    response = save(doras, variable, value="mine", revision=0)
    variable.refresh_from_db()
    assert response.status_code == 409 and variable.value == "by Ada"
    assert "saved this variable meanwhile" in response.content.decode() and "mine" in response.content.decode()
    save(doras, variable, value="mine", revision=response.context["form"]["revision"].value())
    variable.refresh_from_db()
    assert variable.value == "mine"


def test_search_looks_at_names_values_and_descriptions(
    doras: Client, company: Company, variable: GlobalVariable
) -> None:
    GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North", description="Where we sell")
    for query, names in (("failed", [FAILED]), ("north", ["GBL_REGION"]), ("we sell", ["GBL_REGION"]), ("zzz", [])):
        response = doras.get(reverse("global-variables"), {"q": query})
        assert [row.variable.name for row in response.context["rows"]] == names
    assert "No variable fits “zzz”" in response.content.decode()


def test_the_list_says_in_how_many_processes_it_is_used(
    doras: Client, company: Company, variable: GlobalVariable
) -> None:
    collecting(company)
    collecting(company, "OTHERS")
    assert "2 processes" in doras.get(reverse("global-variables")).content.decode()


def test_the_page_names_every_place_that_uses_it_and_leads_there(
    doras: Client, company: Company, variable: GlobalVariable
) -> None:
    process = collecting(company, variables=(Variable(name=FAILED, value=""),))
    (item,) = page(doras, variable).context["used_in"]
    home = reverse("process", args=[process.public_id])
    assert {place.sentence: place.url for place in item.places} == {
        "the restriction of line Customer": f"{home}integration/1/restriction/",
        "task COLLECT": f"{home}tasks/1/",
        "the Variables tab": f"{home}variables/#{FAILED}",
    }
    assert all(doras.get(place.url).status_code == 200 for place in item.places)


def test_a_source_that_names_it_uses_it(doras: Client, company: Company, variable: GlobalVariable) -> None:
    query = {"query": f"SELECT * FROM customers WHERE name = [{FAILED}]"}
    process = collecting(company, source=SourceSpec(kind="sql_query", options=query))
    (item,) = page(doras, variable).context["used_in"]

    assert (item.places[0].sentence, item.places[0].url) == (
        "the query of the source",
        reverse("process-source", args=[process.public_id]),
    )


def test_one_that_is_used_cannot_be_deleted_and_says_where(
    doras: Client, company: Company, variable: GlobalVariable
) -> None:
    collecting(company)
    response = doras.post(reverse("global-variable-delete", args=[variable.public_id]), follow=True)
    assert f"{FAILED} is used by CUSTOMERS" in said(response) and GlobalVariable.objects.exists()


def test_one_that_only_the_newest_version_uses_cannot_be_deleted(
    doras: Client, company: Company, variable: GlobalVariable
) -> None:
    process = collecting(company)
    clean = replace(process.drafted, tasks=(), lines=(replace(process.drafted.lines[0], restriction=""),))
    Process.objects.filter(pk=process.pk).update(draft=clean.to_json())
    doras.post(reverse("global-variable-delete", args=[variable.public_id]))
    assert GlobalVariable.objects.exists()
    assert "task COLLECT, in version 1 only" in page(doras, variable).content.decode()


def test_a_process_in_the_trash_uses_nothing(doras: Client, company: Company, variable: GlobalVariable) -> None:
    process = collecting(company)
    Process.objects.filter(pk=process.pk).update(trashed_at=timezone.now())
    response = doras.post(reverse("global-variable-delete", args=[variable.public_id]), follow=True)
    assert f"{FAILED} is deleted" in said(response) and not GlobalVariable.objects.exists()
    assert AuditEntry.objects.get(action="variable.deleted").before["value"] == "a|b"


def test_a_used_variable_keeps_its_name(doras: Client, company: Company, variable: GlobalVariable) -> None:
    collecting(company)
    save(doras, variable, name="GBL_OTHER", value="new")
    variable.refresh_from_db()
    assert (variable.name, variable.value) == (FAILED, "new")


def test_a_viewer_sees_and_cannot_change(client: Client, vera: User, variable: GlobalVariable) -> None:
    client.force_login(vera)
    shown = page(client, variable).content.decode()
    assert "a|b" in shown and "Yes, delete" not in shown and ">Save<" not in shown
    assert "Create Global Variable" not in client.get(reverse("global-variables")).content.decode()
    assert save(client, variable, value="mine").status_code == 403


def test_a_variable_of_another_company_is_not_found(client: Client, mallory: User, variable: GlobalVariable) -> None:
    client.force_login(mallory)
    assert page(client, variable).status_code == 404


# ---- secure values -----------------------------------------------------------------------------------------------

SECRET = "s3cr3t-of-Dora"


@pytest.fixture
def secure(doras: Client, company: Company) -> GlobalVariable:
    doras.post(reverse("global-variable-new"), {"name": "GBL_KEY", "value": SECRET, "is_secure": "on"})
    return GlobalVariable.objects.get(name="GBL_KEY")


def opened(variable: GlobalVariable) -> Any:
    variable.refresh_from_db()
    return vault_of(variable.company).opened(variable.value)


def test_a_secure_value_is_stored_sealed_and_shown_nowhere(doras: Client, secure: GlobalVariable) -> None:
    assert SECRET not in secure.value and opened(secure) == SECRET
    entry = AuditEntry.objects.get(action="variable.created")
    assert entry.after["value"] == "••••••" and SECRET not in str(entry.after)
    for shown in (page(doras, secure), doras.get(reverse("global-variables"))):
        text = shown.content.decode()
        assert "••••••" in text and SECRET not in text and secure.value not in text
    assert "secure, set" in text
    found = doras.get(reverse("global-variables"), {"q": secure.value[-9:]})
    assert found.context["rows"] == []


def test_an_empty_answer_keeps_a_secure_value_and_a_new_one_takes_its_place(
    doras: Client, secure: GlobalVariable
) -> None:
    before = secure.value
    save(doras, secure, value="", is_secure="on", description="Of the bank")
    secure.refresh_from_db()
    assert (secure.value, secure.description) == (before, "Of the bank")
    save(doras, secure, value="another-one", is_secure="on")
    assert opened(secure) == "another-one"
    assert AuditEntry.objects.filter(action="variable.saved").count() == 2


def test_a_renamed_variable_keeps_its_secure_value_and_when_it_was_set(doras: Client, secure: GlobalVariable) -> None:
    since = secure.set_at
    save(doras, secure, name="GBL_OTHER", value="", is_secure="on")
    assert (opened(secure), secure.name, secure.set_at) == (SECRET, "GBL_OTHER", since)


def test_what_was_secure_asks_for_the_value_it_has_from_now_on(doras: Client, secure: GlobalVariable) -> None:
    response = save(doras, secure, value="")
    assert response.status_code == 422 and "Enter the one that it has from now on" in response.content.decode()
    assert opened(secure) == SECRET
    save(doras, secure, value="in the open")
    secure.refresh_from_db()
    assert (secure.value, secure.is_secure) == ("in the open", False)


def test_a_plain_value_becomes_secure(doras: Client, variable: GlobalVariable) -> None:
    save(doras, variable, value="was-plain", is_secure="on")
    assert opened(variable) == "was-plain" and variable.is_secure


def test_a_value_too_short_to_be_kept_out_of_logs_is_refused(doras: Client) -> None:
    response = doras.post(reverse("global-variable-new"), {"name": "GBL_PIN", "value": "123", "is_secure": "on"})
    assert response.status_code == 422 and "has at least 4 characters" in response.content.decode()


def test_a_page_that_comes_back_does_not_repeat_what_was_typed(doras: Client, secure: GlobalVariable) -> None:
    typed = {"value": "typed-and-secret", "is_secure": "on"}
    for response in (
        doras.post(reverse("global-variable-new"), {"name": "no name", **typed}),
        save(doras, secure, revision=99, **typed),
    ):
        assert response.status_code in (409, 422) and "typed-and-secret" not in response.content.decode()
