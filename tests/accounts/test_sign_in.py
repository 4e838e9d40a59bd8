"""Signing in and out: what is said, what is counted before a password is looked at, what a session is good for."""

from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, Company, User
from tests import factories

PATH = "/sign-in/"
WRONG = "This e-mail and password do not fit together. Check both, or reset the password."
THROTTLED = "Too many attempts. Wait five minutes, then try again."
hashed: list[str] = []


class CountingHasher(Argon2PasswordHasher):
    """Argon2id, and a note of every password it was given."""

    def encode(self, password: str, salt: str) -> str:
        hashed.append(password)
        return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        hashed.append(password)
        return super().verify(password, encoded)


@pytest.fixture
def counting(settings: Any) -> list[str]:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    hashed.clear()
    return hashed


def sign_in(client: Client, email: str, password: str = factories.PASSWORD, **more: Any) -> Any:
    return client.post(PATH, {"login": email, "password": password}, **more)


def test_the_right_password_opens_the_list_of_runs(client: Client, vera: User) -> None:
    response = sign_in(client, "vera@harwood.test", follow=True)

    assert response.request["PATH_INFO"] == reverse("runs")
    assert response.context["request"].user == vera
    entry = AuditEntry.objects.get(action="user.signed_in")
    assert (entry.user, entry.thing, entry.address) == (vera, vera.email, "127.0.0.1")


def test_the_e_mail_is_known_in_any_case(client: Client, vera: User) -> None:
    assert sign_in(client, "VERA@Harwood.Test").status_code == 302


@pytest.mark.parametrize("email", ["vera@harwood.test", "nobody@harwood.test"])
def test_a_wrong_password_and_an_unknown_e_mail_get_the_same_sentence(client: Client, vera: User, email: str) -> None:
    response = sign_in(client, email, "not-the-password")

    assert response.status_code == 200
    assert response.context["form"].non_field_errors() == [WRONG]
    assert WRONG in response.content.decode()
    entry = AuditEntry.objects.get(action="user.sign_in_failed")
    assert entry.thing == email
    assert "not-the-password" not in str(entry.__dict__)


def test_an_unknown_e_mail_costs_as_much_as_a_wrong_password(client: Client, vera: User, counting: list[str]) -> None:
    """Otherwise the time of the answer tells who is a user here."""
    sign_in(client, "vera@harwood.test", "wrong")
    known = len(counting)
    sign_in(client, "nobody@harwood.test", "wrong")

    assert known == len(counting) - known == 1


def test_passwords_are_kept_by_argon2id(vera: User, db: None) -> None:
    made = User.objects.create_user("new@harwood.test", "Another-Horse-8!stable")

    assert made.password.startswith("argon2$argon2id$")
    assert vera.password.startswith("argon2$argon2id$")


def test_attempts_are_counted_before_any_password_is_hashed(client: Client, vera: User, counting: list[str]) -> None:
    for _ in range(5):
        assert WRONG in sign_in(client, "vera@harwood.test", "wrong").content.decode()
    assert len(counting) == 5

    response = sign_in(client, "vera@harwood.test")

    assert THROTTLED in response.content.decode()
    assert len(counting) == 5, "a throttled attempt costs no hash, not even with the right password"


def test_one_address_cannot_try_many_people(client: Client, db: None, counting: list[str]) -> None:
    answers = [sign_in(client, f"person{number}@harwood.test", "wrong") for number in range(12)]

    assert [THROTTLED in answer.content.decode() for answer in answers] == [False] * 10 + [True] * 2
    assert len(counting) == 10


def test_a_forged_forwarding_header_makes_nobody_another_address(client: Client, db: None, counting: list[str]) -> None:
    for number in range(12):
        last = sign_in(client, f"p{number}@harwood.test", "wrong", headers={"X-Forwarded-For": f"203.0.113.{number}"})

    assert THROTTLED in last.content.decode()
    assert len(counting) == 10
    assert set(AuditEntry.objects.values_list("address", flat=True)) == {"127.0.0.1"}


def test_a_flood_of_sign_ins_gets_a_plain_page(client: Client, vera: User, counting: list[str]) -> None:
    answers = [sign_in(client, "vera@harwood.test", "wrong") for _ in range(31)]

    assert answers[-1].status_code == 429
    assert "Too many attempts" in answers[-1].content.decode()
    assert len(counting) == 5


def test_other_people_get_in_while_one_account_is_guessed_at(client: Client, vera: User, omar: User) -> None:
    for _ in range(6):
        sign_in(client, "vera@harwood.test", "wrong")

    assert sign_in(Client(REMOTE_ADDR="192.0.2.9"), "omar@harwood.test").status_code == 302


def test_an_inactive_user_does_not_get_in(client: Client, vera: User) -> None:
    User.objects.filter(pk=vera.pk).update(is_active=False)

    response = sign_in(client, "vera@harwood.test", follow=True)

    assert not response.context["request"].user.is_authenticated
    assert client.get(reverse("runs")).status_code == 302


def test_who_becomes_inactive_loses_every_session_at_once(client: Client, vera: User) -> None:
    sign_in(client, "vera@harwood.test")
    assert client.get(reverse("runs")).status_code == 200

    User.objects.filter(pk=vera.pk).update(is_active=False)

    assert client.get(reverse("runs")).status_code == 302


def test_a_session_made_before_the_sign_in_is_worth_nothing_after_it(client: Client, vera: User, settings: Any) -> None:
    """Session fixation: an attacker who planted the cookie must not be signed in with the victim."""
    sign_in(client, "vera@harwood.test", "wrong")
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = planted = str(session.session_key)

    sign_in(client, "vera@harwood.test")

    attacker = Client()
    attacker.cookies[settings.SESSION_COOKIE_NAME] = planted
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != planted
    assert client.get(reverse("runs")).status_code == 200
    assert attacker.get(reverse("runs")).status_code == 302


def test_the_cookie_of_the_session_is_for_this_host_and_no_script(client: Client, vera: User, settings: Any) -> None:
    sign_in(client, "vera@harwood.test")

    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/" and not cookie["domain"]
    assert 0 < cookie["max-age"] <= 12 * 3600
    assert client.cookies[settings.CSRF_COOKIE_NAME]["httponly"]


def test_signing_out_ends_the_session_on_the_server(client: Client, vera: User, settings: Any) -> None:
    sign_in(client, "vera@harwood.test")
    stolen = Client()
    stolen.cookies[settings.SESSION_COOKIE_NAME] = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert stolen.get(reverse("runs")).status_code == 200

    response = client.post(reverse("account_logout"))

    assert response["Location"] == PATH
    assert client.get(reverse("runs")).status_code == 302
    assert stolen.get(reverse("runs")).status_code == 302
    assert AuditEntry.objects.filter(action="user.signed_out", user=vera).exists()


def test_signing_out_takes_a_click_not_a_link(client: Client, vera: User) -> None:
    sign_in(client, "vera@harwood.test")

    assert client.get(reverse("account_logout")).status_code == 200
    assert client.get(reverse("runs")).status_code == 200


def test_what_a_signed_in_person_saw_is_not_kept_by_browsers(client: Client, vera: User) -> None:
    client.force_login(vera)

    assert "no-store" in client.get(reverse("runs"))["Cache-Control"]


def test_the_page_asked_for_comes_after_the_sign_in(client: Client, vera: User) -> None:
    asked = client.get("/runs/?status=failed&q=a%26b")

    assert asked["Location"] == "/sign-in/?next=/runs/%3Fstatus%3Dfailed%26q%3Da%2526b"
    response = sign_in(client, vera.email, follow=False, QUERY_STRING=asked["Location"].partition("?")[2])
    assert response["Location"] == "/runs/?status=failed&q=a%26b"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://evil.test/",
        "https://evil.test/",
        "//evil.test/",
        "///evil.test/",
        "\\\\evil.test\\",
        "/\\evil.test",
        "javascript:alert(1)",
        "http:evil.test",
        " //evil.test",
    ],
)
def test_the_sign_in_leads_nowhere_else(client: Client, vera: User, elsewhere: str) -> None:
    response = client.post(PATH, {"login": vera.email, "password": factories.PASSWORD, "next": elsewhere})

    assert response.status_code == 302
    assert response["Location"] == "/"


def test_there_is_no_sign_up(client: Client, db: None) -> None:
    for address in ("/signup/", "/sign-up/", "/accounts/signup/", "/email/", "/accounts/login/"):
        assert client.get(address).status_code == 404
    sign_in(client, "new@harwood.test", "Another-Horse-8!stable")
    assert not User.objects.exists()


def test_a_session_ends_by_itself(client: Client, vera: User) -> None:
    sign_in(client, "vera@harwood.test")
    session = client.session
    assert session.get_expiry_date() <= timezone.now() + timezone.timedelta(hours=12)
    session.set_expiry(-1)
    session.save()

    assert client.get(reverse("runs")).status_code == 302


def test_a_user_without_a_company_is_told_whom_to_ask(client: Client, company: Company) -> None:
    client.force_login(factories.make_user("loner@harwood.test"))

    page = client.get("/", follow=True)

    assert page.request["PATH_INFO"] == reverse("no-company")
    assert "Ask an Administrator to invite loner@harwood.test" in page.content.decode()
