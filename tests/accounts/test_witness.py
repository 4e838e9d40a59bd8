"""All machines of an installation hold the same keys, or the one that does not says so before it does harm."""

import base64
import secrets
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command

from accounts.keys import open_sealed, seal
from accounts.models import AuditEntry, Company
from accounts.witness import foreign_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def other_field_key() -> bytes:
    return secrets.token_bytes(32)


def test_the_first_machine_leaves_witnesses_and_every_later_one_fits() -> None:
    assert foreign_key() == ""
    assert foreign_key() == ""


def test_another_secret_key_is_foreign(settings: Any) -> None:
    foreign_key()
    settings.SECRET_KEY = "another"

    assert foreign_key().startswith("WAYBILL_SECRET_KEY is not the one of this installation.")


def test_other_field_keys_are_foreign(settings: Any, other_field_key: bytes) -> None:
    foreign_key()
    settings.FIELD_KEYS = [other_field_key]

    assert foreign_key().startswith("WAYBILL_FIELD_KEYS is not the one of this installation.")


def test_new_keys_in_front_of_the_old_ones_fit(settings: Any, other_field_key: bytes) -> None:
    foreign_key()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    settings.FIELD_KEYS = [other_field_key, *settings.FIELD_KEYS]

    assert foreign_key() == ""


def test_once_new_keys_are_accepted_the_old_ones_can_go_and_secrets_still_open(
    company: Company, settings: Any, other_field_key: bytes
) -> None:
    foreign_key()
    sealed = seal(company.data_key, "place", "swordfish")
    settings.FIELD_KEYS = [other_field_key, *settings.FIELD_KEYS]

    call_command("accept_keys")
    settings.FIELD_KEYS = [other_field_key]

    company.refresh_from_db()
    assert foreign_key() == ""
    assert open_sealed(bytes(company.data_key), "place", sealed) == "swordfish"
    assert AuditEntry.objects.get().action == "installation.keys_accepted"


def test_where_a_key_is_lost_the_installation_goes_on_and_says_whose_secrets_are_gone(
    company: Company, settings: Any, other_field_key: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign_key()
    settings.FIELD_KEYS = [other_field_key]

    call_command("accept_keys")

    company.refresh_from_db()
    assert foreign_key() == ""
    assert "1 companies need their secrets entered again" in capsys.readouterr().out
    assert open_sealed(bytes(company.data_key), "p", seal(bytes(company.data_key), "p", "new")) == "new"


@pytest.mark.parametrize("keys", ["", "no base64!", base64.b64encode(b"short").decode()])
def test_a_field_key_that_is_none_is_refused_in_a_sentence(keys: str) -> None:
    given = {"WAYBILL_DATA_DIR": str(django_settings.DATA_DIR), "WAYBILL_FIELD_KEYS": keys or ","}

    done = subprocess.run(
        [sys.executable, "manage.py", "owner"],
        cwd=django_settings.BASE_DIR,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "WAYBILL_FIELD_KEYS has to list keys of 32 bytes in base64" in done.stderr
