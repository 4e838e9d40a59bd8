"""The Variables tab: which value applies, where it comes from, and what a run leaves to the next."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.engine.plan import Keep, Stage, Task, TaskType, Variable
from integrations.models import GlobalVariable, Process
from integrations.models.vault import vault_of
from integrations.runs.variables import values_of
from tests import factories
from tests.web.defining import said, save, shown_answers

FAILED, REGION, SINCE = "GBL_FAILED_CUSTOMERS", "GBL_REGION", "GBL_SYNC_FROM"


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    with scope(company=company):
        for name, value in ((FAILED, ""), (REGION, "North"), (SINCE, "2026-01-01")):
            GlobalVariable.objects.create(company=company, name=name, value=value)
        yield


@pytest.fixture
def process(client: Client, dora: User, company: Company) -> Process:
    client.force_login(dora)
    task = Task(
        name="RESET", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE, script=f"this.{FAILED} = this.{REGION};"
    )
    return factories.make_process(company, factories.make_plan(factories.make_connection(company), tasks=(task,)))


def said_of(process: Process) -> tuple[Variable, ...]:
    process.refresh_from_db()
    return process.drafted.variables


def rows(client: Client, process: Process) -> dict[str, tuple[str, str]]:
    shown = client.get(reverse("process-variables", args=[process.public_id]))
    return {row.applies.name: (row.applies.value, row.applies.origin) for row in shown.context["rows"]}


def test_every_variable_that_is_mentioned_stands_there_with_the_value_that_applies(
    client: Client, process: Process
) -> None:
    assert rows(client, process) == {FAILED: ("", "company"), REGION: ("North", "company")}
    shown = client.get(reverse("process-variables", args=[process.public_id])).content.decode()
    assert shown.count(">task RESET</a>") == 2


def test_an_override_is_the_value_that_runs_begin_with(client: Client, process: Process) -> None:
    save(client, process, "variables", **{"variables-1-origin": "process", "variables-1-value": "South"})
    assert said_of(process) == (Variable(name=REGION, value="South"),)
    assert rows(client, process)[REGION] == ("South", "this process")
    assert values_of(process, process.drafted)[REGION] == "South"
    entry = AuditEntry.objects.filter(action="process.saved").latest("pk")
    assert entry.after == {"changes": [f"Variable {REGION}: South"]}


def test_an_empty_text_is_an_override_too(client: Client, process: Process) -> None:
    save(client, process, "variables", **{"variables-1-origin": "process", "variables-1-value": ""})
    assert said_of(process) == (Variable(name=REGION, value=""),)


def test_to_inherit_again_takes_the_override_away(client: Client, process: Process) -> None:
    save(client, process, "variables", **{"variables-1-origin": "process", "variables-1-value": "South"})
    save(client, process, "variables", **{"variables-1-origin": "company"})
    assert said_of(process) == ()
    assert rows(client, process)[REGION] == ("North", "company")


def test_any_company_variable_can_be_given_a_value_here(client: Client, process: Process) -> None:
    response = save(client, process, "variables", add=SINCE)
    assert f"{SINCE} has a value of this process's own now" in said(response)
    assert said_of(process) == (Variable(name=SINCE, value="2026-01-01"),)
    assert list(rows(client, process)) == [FAILED, REGION, SINCE]
    assert save(client, process, "variables", add="GBL_NOWHERE").status_code == 422


def test_what_is_kept_goes_before_the_override_and_can_be_forgotten(client: Client, process: Process) -> None:
    keeping = {"variables-0-keep": "always", "variables-0-origin": "process", "variables-0-value": "x"}
    save(client, process, "variables", **keeping)
    assert said_of(process) == (Variable(name=FAILED, value="x", keep=Keep.ALWAYS),)
    assert rows(client, process)[FAILED] == ("x", "this process")
    Process.objects.filter(pk=process.pk).update(kept_values={FAILED: "left|", REGION: "not kept any more"})
    process.refresh_from_db()
    assert rows(client, process)[FAILED] == ("left|", "kept from an earlier run")
    assert values_of(process, process.drafted)[FAILED] == "left|"

    response = save(client, process, "variables", do=f"forget-{FAILED}")
    assert f"The kept value of {FAILED} is forgotten" in said(response)
    assert rows(client, process)[FAILED] == ("x", "this process")
    assert process.kept_values == {REGION: "not kept any more"}


def test_a_variable_that_the_company_does_not_have_is_said_and_can_be_created(client: Client, process: Process) -> None:
    GlobalVariable.objects.get(name=REGION).delete()
    response = client.get(reverse("process-variables", args=[process.public_id]))
    assert f"/global-variables/new/?name={REGION}" in response.content.decode()
    asked = client.get(f"/global-variables/new/?name={REGION}")
    assert asked.context["form"]["name"].value() == REGION


def test_an_override_of_a_variable_that_is_gone_is_a_problem_of_this_tab(client: Client, process: Process) -> None:
    plan = replace(process.drafted, variables=(Variable(name="GBL_GONE", value="x"),))
    Process.objects.filter(pk=process.pk).update(draft=plan.to_json())
    shown = client.get(reverse("process-variables", args=[process.public_id]))
    places = {place.sentence: place.url for place in shown.context["problems"]}
    (url,) = [url for sentence, url in places.items() if "The Variables tab names GBL_GONE" in sentence]
    assert url.endswith("/variables/#GBL_GONE")


def test_someone_elses_save_is_not_overwritten(client: Client, process: Process, ada: User) -> None:
    page = reverse("process-variables-save", args=[process.public_id])
    answers = shown_answers(client, process, "variables") | {"variables-1-origin": "process"}
    process.change(revision=process.revision, by=ada, description="Other")
    response = client.post(page, answers)
    assert response.status_code == 409 and said_of(process) == ()


def test_a_viewer_sees_values_and_cannot_change_them(client: Client, vera: User, process: Process) -> None:
    client.force_login(vera)
    shown: Any = client.get(reverse("process-variables", args=[process.public_id]))
    assert "North" in shown.content.decode() and "Save<span" not in shown.content.decode()
    response = client.post(reverse("process-variables-save", args=[process.public_id]), {"revision": process.revision})
    assert response.status_code == 403


# ---- secure values -----------------------------------------------------------------------------------------------

OWN = {"variables-1-origin": "process", "variables-1-value": "s3cr3t-here", "variables-1-secure": "on"}


def test_an_own_value_can_be_secure_though_the_companys_is_not(client: Client, process: Process) -> None:
    save(client, process, "variables", **OWN)
    (said_now,) = said_of(process)
    assert said_now.secure and vault_of(process.company).opened(said_now.value) == "s3cr3t-here"
    shown = client.get(reverse("process-variables", args=[process.public_id])).content.decode()
    assert "••••••" in shown and "s3cr3t-here" not in shown and str(said_now.value) not in shown
    entry = AuditEntry.objects.filter(action="process.saved").latest("pk")
    assert entry.after == {"changes": [f"Variable {REGION}: another secure value", f"Variable {REGION}: secure"]}

    save(client, process, "variables", **{"variables-1-value": ""})
    assert said_of(process) == (said_now,), "an empty answer keeps it"

    response = save(client, process, "variables", **{"variables-1-secure": "", "variables-1-value": ""})
    assert response.status_code == 422 and "Enter the one that it has from now on" in response.content.decode()
    save(client, process, "variables", **{"variables-1-secure": "", "variables-1-value": "South"})
    assert said_of(process) == (Variable(name=REGION, value="South"),)


def test_where_the_company_says_secure_no_process_can_say_otherwise(client: Client, process: Process) -> None:
    sealed = vault_of(process.company).sealed(REGION, "of-the-company")
    GlobalVariable.objects.filter(name=REGION).update(value=sealed, is_secure=True)
    assert rows(client, process)[REGION] == ("••••••", "company")
    save(client, process, "variables", **OWN | {"variables-1-secure": ""})
    assert said_of(process)[0].secure
    short = save(client, process, "variables", **OWN | {"variables-1-value": "123"})
    assert short.status_code == 422 and "s3cr3t" not in short.content.decode()


def test_an_own_value_from_before_is_hidden_and_has_to_be_entered_again(client: Client, process: Process) -> None:
    save(client, process, "variables", **{"variables-1-origin": "process", "variables-1-value": "lies open"})
    GlobalVariable.objects.filter(name=REGION).update(value="", is_secure=True)
    shown = client.get(reverse("process-variables", args=[process.public_id]))
    assert "lies open" not in shown.content.decode()
    assert any("Enter it again" in place.sentence for place in shown.context["problems"])


def test_a_company_value_that_is_secure_is_taken_over_sealed(client: Client, process: Process) -> None:
    sealed = vault_of(process.company).sealed(SINCE, "of-the-company")
    GlobalVariable.objects.filter(name=SINCE).update(value=sealed, is_secure=True)
    save(client, process, "variables", add=SINCE)
    assert said_of(process) == (Variable(name=SINCE, value=sealed, secure=True),)
