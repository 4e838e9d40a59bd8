"""Secrets at rest: sealed for one place, opened by the keys that were given, never shown."""

import copy
import json
import logging
import pickle
import sqlite3
from base64 import b64decode, b64encode
from contextlib import closing
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django_scopes import scope

from accounts.keys import CannotOpen, new_data_key, open_sealed, rewrap, seal
from accounts.models import Company
from integrations.engine.errors import AdministratorError
from integrations.engine.secret import DOTS, Secret
from integrations.models import Connection
from integrations.runs.connections import opened
from tests import factories

TEXT = "only the CRM knows · 9b2d"
PLACE = "connection/1/password"


@pytest.fixture
def key(settings: Any) -> bytes:
    settings.FIELD_KEYS = [b"1" * 32]
    return new_data_key()


def test_a_sealed_value_opens_at_its_place(key: bytes) -> None:
    sealed = seal(key, PLACE, TEXT)

    assert open_sealed(key, PLACE, sealed) == TEXT
    assert TEXT.encode() not in b64decode(sealed)


def test_the_same_text_is_sealed_differently_each_time(key: bytes) -> None:
    assert len({seal(key, PLACE, TEXT) for _ in range(50)}) == 50


def test_a_value_moved_elsewhere_does_not_open(key: bytes) -> None:
    sealed = seal(key, PLACE, TEXT)

    for place in ("connection/2/password", "connection/1/user", ""):
        with pytest.raises(CannotOpen):
            open_sealed(key, place, sealed)


def test_a_value_moved_to_another_company_does_not_open(key: bytes) -> None:
    with pytest.raises(CannotOpen):
        open_sealed(new_data_key(), PLACE, seal(key, PLACE, TEXT))


def test_a_value_that_was_tampered_with_does_not_open(key: bytes) -> None:
    raw = bytearray(b64decode(seal(key, PLACE, TEXT)))

    for index in (0, 12, len(raw) - 1):
        changed = bytearray(raw)
        changed[index] ^= 1
        with pytest.raises(CannotOpen):
            open_sealed(key, PLACE, b64encode(changed).decode())


@pytest.mark.parametrize("sealed", ["", "AAAA", "no base64!", "ä", b64encode(b"\0" * 11).decode()])
def test_what_was_never_sealed_does_not_open(key: bytes, sealed: str) -> None:
    with pytest.raises(CannotOpen):
        open_sealed(key, PLACE, sealed)


def test_a_new_field_key_opens_what_the_old_one_sealed(key: bytes, settings: Any) -> None:
    sealed = seal(key, PLACE, TEXT)

    settings.FIELD_KEYS = [b"2" * 32, b"1" * 32]

    assert open_sealed(key, PLACE, sealed) == TEXT
    made_since = new_data_key()
    settings.FIELD_KEYS = [b"2" * 32]
    assert open_sealed(made_since, PLACE, seal(made_since, PLACE, TEXT)) == TEXT
    with pytest.raises(CannotOpen):
        open_sealed(key, PLACE, sealed)


def test_a_rewrapped_key_lets_the_old_field_key_go(key: bytes, settings: Any) -> None:
    sealed = seal(key, PLACE, TEXT)
    settings.FIELD_KEYS = [b"2" * 32, b"1" * 32]

    wrapped_anew = rewrap(key)

    settings.FIELD_KEYS = [b"2" * 32]
    assert open_sealed(wrapped_anew, PLACE, sealed) == TEXT


@pytest.fixture
def crm(company: Company) -> Connection:
    connection = factories.make_connection(company)
    connection.seal_secret("password", TEXT)
    with scope(company=company):
        connection.save()
    return connection


def test_a_connections_secret_opens_for_that_connection_only(company: Company, crm: Connection) -> None:
    other = factories.make_connection(company, "Other")
    other.secrets = crm.secrets

    assert crm.opened_settings()["password"].reveal() == TEXT
    with pytest.raises(CannotOpen):
        other.opened_settings()


def test_a_secret_under_another_name_does_not_open(crm: Connection) -> None:
    crm.secrets = {"user": crm.secrets["password"]}

    with pytest.raises(CannotOpen):
        crm.opened_settings()


def test_a_connection_moved_to_another_company_keeps_its_secret(crm: Connection) -> None:
    crm.company = factories.make_company("Elsewhere Ltd")

    with pytest.raises(CannotOpen):
        crm.opened_settings()


def test_without_its_key_a_connection_says_what_to_do(crm: Connection, settings: Any) -> None:
    settings.FIELD_KEYS = [b"3" * 32]

    with pytest.raises(AdministratorError, match="Restore WAYBILL_FIELD_KEYS, or enter the secret again"):
        opened(crm)


def test_a_secret_prints_dots_wherever_it_may_be_printed(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(TEXT)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("opened %s %r", secret, {"password": secret})
    try:
        raise ValueError(f"refused {secret}")
    except ValueError as error:
        said = str(error)

    printed = [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", f"{[secret]}", "%s" % secret, said]  # noqa: UP031
    printed += [json.dumps({"password": secret}, default=str, ensure_ascii=False), caplog.text]
    assert all(TEXT not in text and DOTS in text for text in printed)
    assert secret.reveal() == TEXT


@pytest.mark.parametrize(
    "leave",
    [
        pickle.dumps,
        copy.deepcopy,
        json.dumps,
        lambda secret: json.dumps(secret, cls=DjangoJSONEncoder),
        lambda secret: vars(secret),
        lambda secret: secret.encode(),
        lambda secret: "".join(secret),
        lambda secret: b"" + secret,
    ],
)
def test_a_secret_does_not_leave_by_accident(leave: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        leave(Secret(TEXT))


def test_a_database_driver_does_not_take_a_secret_for_a_text() -> None:
    with closing(sqlite3.connect(":memory:")) as database, pytest.raises(sqlite3.Error):
        database.execute("SELECT ?", (Secret(TEXT),))
