"""Companies: who makes them, who moves between them, what their time zone does."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.forms import zones
from accounts.models import AuditEntry, Company, Membership, Role, User
from integrations.models import Run, RunStatus
from tests import factories
from tests.accounts.world import World
from tests.runs.making import make_run, process_of

NEW_YEAR = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)


@pytest.fixture
def olga(db: None) -> User:
    return factories.make_user("olga@install.test", is_owner=True)


@pytest.fixture
def northwind(vera: User) -> Company:
    """A second company of Vera's, in which she is Designer."""
    other = factories.make_company("Northwind")
    Membership.objects.create(user=vera, company=other, role=Role.DESIGNER)
    return other


def switch(client: Client, company: Company | str) -> Any:
    wanted = company if isinstance(company, str) else str(company.public_id)
    return client.post(reverse("company-switch"), {"company": wanted}, follow=True)


def test_an_owner_makes_a_company_and_is_its_administrator(client: Client, olga: User) -> None:
    client.force_login(olga)

    page = client.post(reverse("companies"), {"name": "Harwood Outdoor", "time_zone": "Europe/Berlin"}, follow=True)

    made = Company.objects.get()
    assert (made.name, made.time_zone) == ("Harwood Outdoor", "Europe/Berlin")
    assert made.public_id.version == 4 and len(bytes(made.data_key)) > 32
    assert olga.memberships.get(company=made).role == Role.ADMINISTRATOR
    assert str(made.public_id) in page.content.decode()
    entry = AuditEntry.objects.get(action="company.created")
    assert (entry.user, entry.company) == (olga, made)
    assert entry.after == {"name": "Harwood Outdoor", "time_zone": "Europe/Berlin"}


def test_two_companies_cannot_share_a_name(client: Client, olga: User, company: Company) -> None:
    client.force_login(olga)

    response = client.post(reverse("companies"), {"name": company.name, "time_zone": "UTC"})

    assert response.status_code == 422
    assert Company.objects.count() == 1


def test_two_companies_have_different_keys(db: None) -> None:
    one, other = factories.make_company("One"), factories.make_company("Other")

    assert bytes(one.data_key) != bytes(other.data_key)


def test_an_owner_renames_a_company_and_the_entry_says_what_it_was(
    client: Client, olga: User, company: Company
) -> None:
    client.force_login(olga)

    client.post(reverse("company", args=[company.public_id]), {"name": "Harwood", "time_zone": "Asia/Tokyo"})

    company.refresh_from_db()
    assert (company.name, company.time_zone) == ("Harwood", "Asia/Tokyo")
    entry = AuditEntry.objects.get(action="company.changed")
    assert entry.changes == [("name", "Harwood Outdoor", "Harwood"), ("time_zone", "UTC", "Asia/Tokyo")]


def test_a_time_zone_that_does_not_exist_is_refused(client: Client, olga: User, company: Company) -> None:
    client.force_login(olga)

    response = client.post(reverse("company", args=[company.public_id]), {"name": "H", "time_zone": "Mars/Olympus"})

    assert response.status_code == 422
    assert "time_zone" in response.context["form"].errors


def test_being_an_administrator_does_not_open_companies(client: Client, ada: User) -> None:
    client.force_login(ada)

    assert client.get(reverse("companies")).status_code == 403


def test_the_switcher_changes_company_and_role(
    client: Client, vera: User, company: Company, northwind: Company
) -> None:
    client.force_login(vera)
    assert client.get(reverse("process-new")).status_code == 403

    page = switch(client, northwind)

    assert "You are in Northwind now." in page.content.decode()
    assert page.context["request"].company == northwind
    assert client.get(reverse("process-new")).status_code == 200
    switch(client, company)
    assert client.get(reverse("process-new")).status_code == 403


def test_the_switcher_lists_only_ones_own_companies(client: Client, vera: User, northwind: Company) -> None:
    factories.make_company("Elsewhere Ltd")
    client.force_login(vera)

    page = client.get(reverse("runs")).content.decode()

    assert "Northwind" in page and "Elsewhere" not in page


@pytest.mark.parametrize("wanted", ["", "no-uuid", str(UUID(int=1)), "1"])
def test_a_company_that_is_not_ones_own_cannot_be_switched_to(client: Client, vera: User, wanted: str) -> None:
    client.force_login(vera)

    assert switch(client, wanted).status_code == 404


def test_another_company_cannot_be_switched_to_even_by_its_customer_id(client: Client, vera: User) -> None:
    client.force_login(vera)

    response = switch(client, factories.make_company("Elsewhere Ltd"))

    assert response.status_code == 404
    assert "Elsewhere" not in client.get(reverse("runs")).content.decode()


def test_a_session_that_names_a_left_company_falls_back_to_another(
    client: Client, vera: User, company: Company, northwind: Company
) -> None:
    client.force_login(vera)
    switch(client, northwind)

    Membership.objects.filter(user=vera, company=northwind).delete()

    assert client.get(reverse("runs")).context["request"].company == company


def test_members_see_the_customer_id_of_their_company(client: Client, ada: User, company: Company) -> None:
    client.force_login(ada)

    page = client.get(reverse("users")).content.decode()

    assert "Customer Id" in page and str(company.public_id) in page


@pytest.mark.parametrize(
    ("of_company", "of_user", "shown"),
    [
        ("UTC", "", "2026-12-31 23:30:00 UTC"),
        ("Europe/Berlin", "", "2027-01-01 00:30:00 CET"),
        ("Europe/Berlin", "America/New_York", "2026-12-31 18:30:00 EST"),
        ("UTC", "Asia/Kathmandu", "2027-01-01 05:15:00 +0545"),
    ],
)
def test_times_are_shown_in_the_zone_of_the_person_else_of_the_company(
    world: World, of_company: str, of_user: str, shown: str
) -> None:
    Company.objects.filter(pk=world.ours.company.pk).update(time_zone=of_company)
    User.objects.filter(pk=world.people["viewer"].pk).update(time_zone=of_user)
    with scope(company=world.ours.company):
        Run.objects.filter(pk=world.ours.run.pk).update(
            queued_at=NEW_YEAR, started_at=NEW_YEAR, ended_at=NEW_YEAR, status=RunStatus.COMPLETED
        )
    viewer = world.client("viewer")

    assert shown in viewer.get(reverse("runs")).content.decode()
    assert shown in viewer.get(reverse("run-summary", args=[world.ours.run.number])).content.decode()


def test_the_zone_of_one_request_does_not_stay_for_the_next(client: Client, vera: User) -> None:
    from django.utils import timezone

    User.objects.filter(pk=vera.pk).update(time_zone="Asia/Tokyo")
    client.force_login(vera)
    client.get(reverse("runs"))

    assert timezone.get_current_timezone_name() == "UTC"


def test_a_person_changes_name_zone_and_theme(client: Client, vera: User) -> None:
    client.force_login(vera)

    page = client.post(
        reverse("profile"), {"name": "Vera V", "time_zone": "Asia/Tokyo", "theme": "dark"}, follow=True
    ).content.decode()

    vera.refresh_from_db()
    assert (vera.name, vera.time_zone, vera.theme) == ("Vera V", "Asia/Tokyo", "dark")
    assert "Your profile is saved." in page and 'data-theme="dark"' in page
    entry = AuditEntry.objects.get(action="user.changed")
    assert ("name", "Vera", "Vera V") in entry.changes and ("theme", "auto", "dark") in entry.changes


@pytest.mark.parametrize("given", [{"theme": "pink"}, {"time_zone": "Mars/Olympus"}, {"name": "x" * 121}])
def test_what_a_profile_cannot_hold_is_refused(client: Client, vera: User, given: dict[str, str]) -> None:
    client.force_login(vera)

    response = client.post(reverse("profile"), {"name": "Vera", "time_zone": "", "theme": "auto"} | given)

    assert response.status_code == 422
    vera.refresh_from_db()
    assert (vera.name, vera.theme, vera.time_zone) == ("Vera", "auto", "")


def test_whoever_makes_a_company_is_in_it(client: Client, olga: User, company: Company) -> None:
    Membership.objects.create(user=olga, company=company, role=Role.ADMINISTRATOR)
    client.force_login(olga)

    page = client.post(reverse("companies"), {"name": "New Ltd", "time_zone": "UTC"}, follow=True)

    assert page.wsgi_request.company.name == "New Ltd"  # type: ignore[attr-defined]
    assert "you are in it now" in page.content.decode()


def test_time_zones_are_those_of_places_and_the_one_chosen_before(client: Client, olga: User, company: Company) -> None:
    offered = {name for name, _ in zones()}
    assert {"UTC", "Europe/Berlin", "America/Argentina/Ushuaia"} <= offered
    assert not offered & {"Factory", "localtime", "posixrules", "Etc/GMT+5", "GMT", "Japan", "EST5EDT"}

    Company.objects.filter(pk=company.pk).update(time_zone="Japan")
    client.force_login(olga)
    address = reverse("company", args=[company.public_id])
    assert '<option value="Japan" selected>' in client.get(address).content.decode()
    assert client.post(address, {"name": "Harwood", "time_zone": "Japan"}).status_code == 302


def test_a_thing_of_another_company_of_ones_own_offers_to_switch_and_leads_there(
    client: Client, vera: User, company: Company, northwind: Company
) -> None:
    run = make_run(process_of(northwind), number=7_001)
    client.force_login(vera)
    for there in (f"/runs/{run.number}/summary/", f"/processes/{run.process.public_id}/"):
        switch(client, company)
        lost = client.get(there)
        assert lost.status_code == 404 and "Switch to Northwind" in lost.content.decode()
        answers = {"company": str(northwind.public_id), "next": there}
        assert client.post(reverse("company-switch"), answers).url == there
        assert client.get(there).status_code == 200


def test_a_thing_of_a_company_that_is_not_ones_own_is_not_told(client: Client, vera: User, northwind: Company) -> None:
    run = make_run(process_of(factories.make_company("Elsewhere Ltd")), number=7_002)
    client.force_login(vera)
    for there in (f"/runs/{run.number}/summary/", f"/processes/{run.process.public_id}/", "/runs/7003/summary/"):
        lost = client.get(there)
        assert lost.status_code == 404 and "Switch to" not in lost.content.decode()


@pytest.mark.parametrize("there", ["https://elsewhere.test/", "//elsewhere.test/", "/\\elsewhere.test", "javascript:1"])
def test_the_switch_leads_nowhere_outside(client: Client, vera: User, company: Company, there: str) -> None:
    client.force_login(vera)
    assert client.post(reverse("company-switch"), {"company": str(company.public_id), "next": there}).url == "/"
