"""The first Owner: by the link that is printed at start, once; or by two settings."""

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import check_password
from django.core.exceptions import ValidationError
from django.test import Client
from django_scopes import scope

from accounts import first_visit
from accounts.models import AuditEntry, Company, OwnerLink, Role, User
from integrations.models import Process
from tests import factories

PERSON = {
    "name": "Olga",
    "email": "Olga@Install.test",
    "password": "Another-Horse-8!stable",
    "time_zone": "Europe/Berlin",
}


@pytest.fixture(autouse=True)
def folders(tmp_path: object, settings: pytest.FixtureRequest) -> None:
    settings.DEMO_CRM = tmp_path / "demo_crm.db"  # type: ignore[attr-defined, operator]
    settings.FOLDERS = [tmp_path]  # type: ignore[attr-defined]


@pytest.fixture
def link(db: None) -> str:
    offered = first_visit.owner_link()
    assert offered is not None
    return offered


def test_the_link_makes_the_owner_signs_in_and_shows_the_demo_company(client: Client, link: str) -> None:
    assert "Your name" in client.get(link).content.decode()

    page = client.post(link, PERSON, follow=True)

    owner = User.objects.get()
    assert (owner.email, owner.is_owner, owner.time_zone) == ("olga@install.test", True, "Europe/Berlin")
    assert check_password(PERSON["password"], owner.password)
    assert page.status_code == 200 and page.request["PATH_INFO"] == "/runs/"
    company = Company.objects.get()
    assert (company.name, company.time_zone) == ("Demo", "Europe/Berlin")
    assert owner.memberships.get().role == Role.ADMINISTRATOR
    with scope(company=company):
        assert {process.name for process in Process.objects.all()} == {
            "CUSTOMERS_TO_CRM",
            "ORDERS_TO_CRM",
            "WEB_SHOP_TO_CRM",
            "MARK_WEB_SHOP",
        }
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"user.created", "company.created"}


def test_the_link_opens_once(client: Client, link: str) -> None:
    client.post(link, PERSON)

    again = Client().post(link, PERSON | {"email": "mallory@elsewhere.test"})

    assert again.status_code == 404
    assert "This link is over" in again.content.decode()
    assert User.objects.count() == 1


def test_the_token_itself_is_not_stored(link: str) -> None:
    token = link.rstrip("/").rsplit("/", 1)[-1]

    assert len(token) >= 43
    assert token not in OwnerLink.objects.get().token_hash


def test_a_new_start_offers_a_new_link_and_the_old_one_ends(client: Client, link: str) -> None:
    newer = first_visit.owner_link()

    assert newer is not None and newer != link
    assert client.get(link).status_code == 404
    assert client.get(newer).status_code == 200


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "é", "A" * 5000])
def test_a_wrong_link_says_so_in_plain_words(client: Client, link: str, token: str) -> None:
    response = client.post(f"/welcome/{token}/", PERSON)

    assert response.status_code == 404
    assert "It was used, revoked, replaced or is too old" in response.content.decode()
    assert not User.objects.exists()


def test_a_link_that_ended_meanwhile_makes_nobody(link: str) -> None:
    """Read in a page that is still open, sent after another start offered a newer one."""
    first_visit.owner_link()

    token = link.rstrip("/").rsplit("/", 1)[-1]
    made = first_visit.redeem(token, email="olga@install.test", name="Olga", password=PERSON["password"])

    assert made is None
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("short", "This password is too short"),
        ("q1w2e3r4t5y6", "This password is too common"),
        ("olga@install.test", "The password is too similar to the"),
        ("", "This field is required"),
    ],
)
def test_a_weak_password_is_refused_at_its_field_and_the_link_stays(
    client: Client, link: str, password: str, sentence: str
) -> None:
    response = client.post(link, PERSON | {"password": password})

    assert response.status_code == 422
    assert sentence in str(response.context["form"].errors["password"])
    assert not User.objects.exists()
    assert client.get(link).status_code == 200


def test_there_is_no_link_once_there_is_an_owner(client: Client, link: str) -> None:
    factories.make_user("olga@install.test", is_owner=True)

    assert first_visit.owner_link() is None
    assert client.post(link, PERSON).status_code == 404
    assert User.objects.count() == 1


def test_an_owner_whose_demo_company_cannot_be_made_begins_again(
    client: Client, link: str, settings: pytest.FixtureRequest
) -> None:
    settings.FOLDERS = []  # type: ignore[attr-defined]
    client.raise_request_exception = False

    assert client.post(link, PERSON).status_code == 500

    assert not User.objects.exists() and not Company.objects.exists()
    settings.FOLDERS = [django_settings.DEMO_CRM]  # type: ignore[attr-defined]
    assert client.post(link, PERSON).status_code == 302


def test_two_settings_make_the_owner_without_a_link(client: Client, link: str) -> None:
    owner = first_visit.ensure_owner("Olga@Install.test", PERSON["password"])

    assert owner is not None and owner.is_owner
    assert client.login(email="olga@install.test", password=PERSON["password"])
    assert Company.objects.get().name == "Demo"
    assert client.get(link).status_code == 404
    assert AuditEntry.objects.filter(action="user.created", user=owner).exists()


def test_the_two_settings_change_nothing_where_there_is_an_owner(db: None) -> None:
    owner = factories.make_user("olga@install.test", is_owner=True)

    assert first_visit.ensure_owner("mallory@elsewhere.test", PERSON["password"]) is None
    assert list(User.objects.all()) == [owner]


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("olga@install.test", "short", "WAYBILL_OWNER_PASSWORD: This password is too short"),
        ("olga", PERSON["password"], "WAYBILL_OWNER_EMAIL: Enter a valid email address"),
    ],
)
def test_settings_that_cannot_be_taken_are_refused_in_a_sentence(
    db: None, email: str, password: str, sentence: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        first_visit.ensure_owner(email, password)

    assert sentence in " ".join(refused.value.messages)
    assert not User.objects.exists()


def test_the_demo_company_is_made_once(db: None) -> None:
    from integrations.management.demo import create_demo

    owner = factories.make_user("olga@install.test", is_owner=True)

    assert create_demo(owner) == create_demo(owner)
    assert Company.objects.count() == 1
