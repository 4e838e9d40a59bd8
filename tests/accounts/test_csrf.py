"""A form of a stranger's page does nothing here."""

from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests import factories
from tests.accounts.table import TABLE
from tests.accounts.world import World, state_of


def test_no_post_is_taken_without_the_token_of_a_page(world: World) -> None:
    before = state_of(world.ours.company)
    everybody = world.client("administrator")
    for name, row in TABLE.items():
        if "POST" not in row.methods:
            continue
        person = next(person for person in ("administrator", "owner") if row.allows(person))
        client = world.client(person, enforce_csrf_checks=True)
        data = row.data(world, world.ours, everybody)

        response = client.post(reverse(name, args=row.args(world, world.ours)), data)

        assert response.status_code == 403, f"{name} gave {response.status_code}"
        assert "Please send it again" in response.content.decode(), name

    assert state_of(world.ours.company) == before


def test_the_page_says_in_plain_words_what_to_do(client: Client, vera: User) -> None:
    strict: Any = Client(enforce_csrf_checks=True)
    strict.force_login(vera)

    page = strict.post(reverse("profile"), {"name": "V"}).content.decode()

    assert "This page was open for too long or cookies are switched off, so nothing was changed." in page
    assert "CSRF" not in page and "token" not in page


def token_of(client: Client, address: str) -> str:
    page = client.get(address).content.decode()
    return page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]


def test_the_token_of_a_page_is_taken_from_that_page_only(vera: User) -> None:
    client = Client(enforce_csrf_checks=True)
    token = token_of(client, "/sign-in/")
    answers = {"login": vera.email, "password": factories.PASSWORD, "csrfmiddlewaretoken": token}

    for elsewhere in ("http://evil.test", "null", "http://testserver.evil.test"):
        assert client.post("/sign-in/", answers, headers={"Origin": elsewhere}).status_code == 403
    assert Client(enforce_csrf_checks=True).post("/sign-in/", answers).status_code == 403
    assert client.post("/sign-in/", answers, headers={"Origin": "http://testserver"}).status_code == 302


def test_a_token_does_not_outlive_the_sign_in(vera: User) -> None:
    client = Client(enforce_csrf_checks=True)
    before = token_of(client, "/sign-in/")
    client.post("/sign-in/", {"login": vera.email, "password": factories.PASSWORD, "csrfmiddlewaretoken": before})

    late = client.post(reverse("profile"), {"name": "V", "theme": "auto", "csrfmiddlewaretoken": before})

    assert late.status_code == 403
    fresh = token_of(client, reverse("profile"))
    answers = {"name": "V", "theme": "auto", "csrfmiddlewaretoken": fresh}
    assert client.post(reverse("profile"), answers).status_code == 302


def test_htmx_sends_the_token_of_the_page_along(vera: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(vera)

    page = client.get(reverse("runs")).content.decode()

    token = page.split("""hx-headers='{"X-CSRFToken": \"""")[1].split('"')[0]
    answers = {"name": "V", "theme": "auto"}
    assert client.post(reverse("profile"), answers, headers={"X-CSRFToken": token}).status_code == 302
