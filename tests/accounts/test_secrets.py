"""A stored secret is shown nowhere: not on a page, not in a log, not in a figure, not in the database."""

import base64
import logging
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.urls import reverse
from django_scopes import scopes_disabled

from integrations.models import Connection
from tests.accounts.table import TABLE
from tests.accounts.world import SECRET, World, text_of, undone

FORMS = (SECRET, SECRET[::-1], base64.b64encode(SECRET.encode()).decode(), SECRET.encode().hex(), quote(SECRET))


def unseen(text: str, where: str) -> None:
    assert not [form for form in FORMS if form.lower() in text.lower()], where


def test_no_page_and_no_log_shows_a_stored_secret(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed = world.ours.connection.secrets["password"]
    with caplog.at_level(logging.DEBUG):
        for name, row in TABLE.items():
            person = next(person for person in ("administrator", "owner") if row.allows(person))
            for method in row.methods:
                with undone():
                    row.before()
                    client: Any = world.client(person)
                    data = row.data(world, world.ours, client) if method == "POST" else {}
                    send = client.get if method == "GET" else client.post
                    response = send(reverse(name, args=row.args(world, world.ours)), data, follow=True)
                    body = text_of(response)
                    unseen(body + str(response.headers), f"{method} {name}")
                    assert sealed not in body, f"{method} {name} shows it sealed"
    unseen(caplog.text, "log")
    printed = capsys.readouterr()
    unseen(printed.out + printed.err, "output")


def test_a_secret_that_is_typed_and_refused_is_not_shown_again(world: World) -> None:
    client = world.client("designer")
    connection = world.ours.connection
    typed = {"name": "", "system": "sqlite", "path": "", "password": SECRET, "revision": 0}

    for address in (reverse("connection-new", args=["sql"]), reverse("connection-save", args=[connection.public_id])):
        response = client.post(address, typed)
        assert response.status_code == 422
        unseen(response.content.decode(), address)


def test_a_password_that_is_typed_and_refused_is_not_shown_again(world: World) -> None:
    client = world.client("nobody")

    for name, field in (("account_login", "password"), ("invitation-accept", "password")):
        row = TABLE[name]
        answers = {"login": "x@y.test", "name": "", "time_zone": "nowhere", field: SECRET}
        response = client.post(reverse(name, args=row.args(world, world.ours)), answers)
        unseen(response.content.decode(), name)


def test_the_database_holds_secrets_only_sealed(world: World) -> None:
    """Every column of every table, as text."""
    client = world.client("administrator")
    answers = {"name": "Spare", "system": "sqlite", "path": "/x", "revision": 0, "password": SECRET}
    client.post(reverse("connection-save", args=[world.ours.spare_connection.public_id]), answers)

    with scopes_disabled():
        assert Connection.objects.filter(name="Spare").exists(), "it was saved"
        for model in apps.get_models():
            for row in model._default_manager.values():
                unseen(" ".join(str(bytes(v) if isinstance(v, memoryview) else v) for v in row.values()), str(model))


def test_an_empty_answer_keeps_a_stored_secret_and_a_box_removes_it(world: World) -> None:
    client, connection = world.client("designer"), world.ours.connection
    save = reverse("connection-save", args=[connection.public_id])
    answers = {"name": "CRM", "system": "sqlite", "path": connection.settings["path"], "password": ""}

    client.post(save, answers | {"revision": 0})
    connection.refresh_from_db()
    assert connection.opened_settings()["password"].reveal() == SECRET

    client.post(save, answers | {"revision": 1, "forget-password": "on"})
    connection.refresh_from_db()
    assert "password" not in connection.opened_settings()
