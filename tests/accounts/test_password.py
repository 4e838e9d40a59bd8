"""Changing a password, and getting a new one by mail."""

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, User
from tests import factories

NEW = "Another-Horse-8!stable"
RESET = "/password/reset/"


def link_in(text: str) -> str:
    found = re.search(r"https?://\S+", text)
    assert found is not None, text
    return found.group()


def asked_for(client: Client, email: str) -> Any:
    return client.post(RESET, {"email": email}, follow=True)


def follow(client: Client, link: str, settings: Any) -> Any:
    return client.get(link.removeprefix(settings.PUBLIC_URL), follow=True)


def test_a_new_password_by_mail(client: Client, vera: User, settings: Any) -> None:
    asked_for(client, vera.email)
    link = link_in(str(mail.outbox[0].body))
    page = follow(client, link, settings)
    assert "set-password" in page.request["PATH_INFO"], "the key itself is not in the address of the form"

    done = client.post(page.request["PATH_INFO"], {"password1": NEW, "password2": NEW}, follow=True)

    assert done.status_code == 200
    assert not done.context["request"].user.is_authenticated, "the new password is asked for once more"
    assert not client.login(email=vera.email, password=factories.PASSWORD)
    assert client.login(email=vera.email, password=NEW)
    assert AuditEntry.objects.filter(action="user.password_changed", user=vera).count() == 1


def test_the_link_of_the_mail_works_once(client: Client, vera: User, settings: Any) -> None:
    asked_for(client, vera.email)
    link = link_in(str(mail.outbox[0].body))
    page = follow(client, link, settings)
    assert "password1" in page.content.decode()
    client.post(page.request["PATH_INFO"], {"password1": NEW, "password2": NEW})

    again = follow(Client(), link, settings)

    assert "password1" not in again.content.decode()


def test_the_link_leads_to_the_public_address_whatever_the_request_calls_this_host(
    client: Client, vera: User, settings: Any
) -> None:
    client.post(RESET, {"email": vera.email}, headers={"Host": "localhost:9"})

    message = mail.outbox[0]
    assert link_in(str(message.body)).startswith(settings.PUBLIC_URL + RESET)
    assert message.subject == "Reset your Waybill password"
    assert "localhost:9" not in str(message.body)


@pytest.mark.parametrize("email", ["vera@harwood.test", "nobody@harwood.test"])
def test_asking_does_not_tell_who_is_a_user_here(client: Client, vera: User, email: str) -> None:
    page = asked_for(client, email)

    assert page.request["PATH_INFO"] == reverse("account_reset_password_done")
    assert page.status_code == 200
    assert email not in page.content.decode()
    assert [message.to for message in mail.outbox] == ([[email]] if email == vera.email else [])


def test_an_inactive_user_gets_no_mail(client: Client, vera: User) -> None:
    User.objects.filter(pk=vera.pk).update(is_active=False)

    asked_for(client, vera.email)

    assert mail.outbox == []


@pytest.mark.parametrize("key", ["1-set-password", "zz-wrong", "1-%00", "zzzzzzzzzzzzzzzzzzzz-key"])
def test_a_wrong_link_says_so(client: Client, vera: User, key: str) -> None:
    response = client.get(f"{RESET}key/{key}/")

    assert response.status_code == 200
    assert "password1" not in response.content.decode()


def test_mails_are_throttled(client: Client, vera: User) -> None:
    for _ in range(7):
        asked_for(client, vera.email)

    assert len(mail.outbox) == 5


def test_a_changed_password_ends_every_other_session(client: Client, vera: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(vera)
    client.force_login(vera)

    response = client.post(
        reverse("account_change_password"),
        {"oldpassword": factories.PASSWORD, "password1": NEW, "password2": NEW},
        follow=True,
    )

    assert response.status_code == 200
    assert client.get(reverse("runs")).status_code == 200
    assert elsewhere.get(reverse("runs")).status_code == 302
    entry = AuditEntry.objects.get(action="user.password_changed")
    assert NEW not in str(entry.__dict__) and entry.user == vera


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"oldpassword": "wrong"}, "oldpassword"),
        ({"password1": "short", "password2": "short"}, "password1"),
        ({"password2": "different-from-it-9!"}, "password2"),
    ],
)
def test_a_password_that_cannot_be_taken_is_refused_at_its_field(
    client: Client, vera: User, given: dict[str, str], field: str
) -> None:
    client.force_login(vera)
    answers = {"oldpassword": factories.PASSWORD, "password1": NEW, "password2": NEW} | given

    response = client.post(reverse("account_change_password"), answers)

    assert list(response.context["form"].errors) == [field]
    assert client.login(email=vera.email, password=factories.PASSWORD)


def test_a_long_password_with_every_kind_of_letter_is_taken(client: Client, vera: User) -> None:
    client.force_login(vera)
    long = "ünder 🚢 the bridge " * 6

    client.post(
        reverse("account_change_password"),
        {"oldpassword": factories.PASSWORD, "password1": long.strip(), "password2": long.strip()},
    )

    assert client.login(email=vera.email, password=long.strip())


def test_whoever_has_no_password_sets_one(client: Client, vera: User) -> None:
    vera.set_unusable_password()
    vera.save()
    client.force_login(vera)

    client.post(reverse("account_set_password"), {"password1": NEW, "password2": NEW})

    assert client.login(email=vera.email, password=NEW)
    assert AuditEntry.objects.filter(action="user.password_changed", user=vera).exists()
