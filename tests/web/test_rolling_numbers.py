"""Rolling Numbers: what people see and may do, and what keeps one from repeating or from being deleted."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.engine.plan import ColumnType, FieldMap
from integrations.models import Process, RollingNumber
from tests import factories
from tests.web.defining import said


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    with scope(company=company):
        yield


@pytest.fixture
def sequence(company: Company) -> RollingNumber:
    return RollingNumber.objects.create(company=company, name="Invoices", prefix="INV-", width=6, next_number=42)


@pytest.fixture
def doras(client: Client, dora: User) -> Client:
    client.force_login(dora)
    return client


def answers(client: Client, sequence: RollingNumber, **changes: Any) -> dict[str, Any]:
    form = client.get(reverse("rolling-number", args=[sequence.public_id])).context["form"]
    return {name: form[name].value() for name in form.fields} | changes


def save(client: Client, sequence: RollingNumber, typed: dict[str, Any]) -> Any:
    return client.post(reverse("rolling-number-save", args=[sequence.public_id]), typed, follow=True)


def numbered(company: Company, sequence: RollingNumber) -> Process:
    plan = factories.make_plan(factories.make_connection(company))
    field = FieldMap(target="name", column_type=ColumnType.ROLLING_NUMBER, sequence=str(sequence.public_id))
    line = replace(plan.lines[0], fields=(plan.lines[0].fields[0], field))
    return factories.make_process(company, replace(plan, lines=(line,)))


def test_an_empty_list_says_what_they_are_for(doras: Client) -> None:
    shown = doras.get(reverse("rolling-numbers")).content.decode()
    assert "INV-000042" in shown and "Create the first one" in shown


def test_a_designer_makes_one_and_the_list_shows_its_next_number(doras: Client, dora: User) -> None:
    typed = {"name": "Orders", "prefix": "O", "width": "5", "step": "10", "next_number": "100"}
    response = doras.post(reverse("rolling-number-new"), typed, follow=True)
    assert "Orders is saved" in said(response) and "O00100" in response.content.decode()
    made = RollingNumber.objects.get()
    assert (made.step, made.updated_by) == (10, dora)
    assert AuditEntry.objects.get(action="rolling_number.created").after["next_number"] == 100


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("next_number", 41, "Numbers below 42 may have been given"),
        ("prefix", "INV-1", "differ in digits alone, so that a number could come twice"),
        ("prefix", "INV\t", "holds a line break, a tab or another control character"),
        ("width", "wide", "Width is not a whole number. Enter digits only."),
    ],
)
def test_what_could_repeat_a_number_or_is_none_is_refused(
    doras: Client, sequence: RollingNumber, field: str, typed: Any, sentence: str
) -> None:
    response = save(doras, sequence, answers(doras, sequence, **{field: typed}))

    assert response.status_code == 422
    assert sentence in str(response.context["form"].errors[field])
    sequence.refresh_from_db()
    assert (sequence.next_number, sequence.prefix, sequence.revision) == (42, "INV-", 0)


def test_numbers_that_runs_took_while_someone_edits_stay_taken(doras: Client, sequence: RollingNumber) -> None:
    typed = answers(doras, sequence, description="of the shop")
    RollingNumber.take(str(sequence.public_id), 5)

    response = save(doras, sequence, typed)

    assert "The next number is INV-000047" in said(response)
    sequence.refresh_from_db()
    assert (sequence.next_number, sequence.description) == (47, "of the shop")


def test_a_save_from_an_older_state_overwrites_nothing(doras: Client, sequence: RollingNumber) -> None:
    typed = answers(doras, sequence, description="mine")
    sequence.change(revision=0, by=None, description="theirs")

    response = save(doras, sequence, typed)

    assert response.status_code == 409 and "Nothing was overwritten" in response.content.decode()
    sequence.refresh_from_db()
    assert sequence.description == "theirs"


def test_one_that_is_used_says_where_and_cannot_be_deleted(
    doras: Client, company: Company, sequence: RollingNumber
) -> None:
    process = numbered(company, sequence)

    response = doras.post(reverse("rolling-number-delete", args=[sequence.public_id]), follow=True)

    assert f"Invoices is used by {process.name}" in said(response)
    assert "the mapping of name" in response.content.decode()
    assert RollingNumber.objects.exists()


def test_one_that_nothing_uses_is_deleted(doras: Client, sequence: RollingNumber) -> None:
    doras.post(reverse("rolling-number-delete", args=[sequence.public_id]))

    assert not RollingNumber.objects.exists()
    assert AuditEntry.objects.get(action="rolling_number.deleted").before["name"] == "Invoices"


def test_a_designer_maps_one_and_sees_the_next_number_without_taking_it(
    doras: Client, company: Company, sequence: RollingNumber
) -> None:
    process = numbered(company, sequence)

    shown = doras.get(reverse("process-mapping", args=[process.public_id, 1])).content.decode()

    assert f'<option value="{sequence.public_id}" selected>Invoices</option>' in shown
