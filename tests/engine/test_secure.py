"""Handles: what stands in for a secure value while a run carries it."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from integrations.engine.secret import DOTS
from integrations.engine.secure import Vault, has_handle, is_handle, masked, set_at
from integrations.engine.variables import Variables

NAME, TEXT = "GBL_API_KEY", "s3cr3t ~GBL_ value"
SET = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)


@pytest.fixture
def vault() -> Vault:
    """Seals as a real one does, as far as anyone can see: bound to a place, in the letters of an address."""

    def seal(place: str, text: str) -> str:
        return base64.urlsafe_b64encode(json.dumps([place, text]).encode()).decode().rstrip("=")

    def unseal(place: str, sealed: str) -> str:
        bound_to, text = json.loads(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
        assert bound_to == place
        return str(text)

    return Vault(seal, unseal)


def test_a_handle_says_its_variable_and_when_it_was_set_and_nothing_of_its_value(vault: Vault) -> None:
    handle = vault.sealed(NAME, TEXT, at=SET)
    assert is_handle(handle) and NAME in handle and TEXT not in handle
    assert set_at(handle) == SET and set_at("plain") is None
    assert vault.opened(handle) == TEXT


@pytest.mark.parametrize("made", ["{}", "Bearer {}", "{0}{0}", "x~{}~y"])
def test_what_a_script_makes_of_a_handle_is_opened_in_its_place(vault: Vault, made: str) -> None:
    text = made.format(vault.sealed(NAME, TEXT))
    assert vault.opened(text) == made.format(TEXT)
    assert masked(text) == made.format(DOTS)
    assert has_handle(text) and is_handle(text) == (made == "{}")


def test_a_handle_is_found_in_lists_and_objects_and_other_values_stay_as_they_are(vault: Vault) -> None:
    handle = vault.sealed(NAME, TEXT)
    value: dict[str, Any] = {"a": [handle, 7, None, True], handle: "~"}
    assert vault.opened(value) == {"a": [TEXT, 7, None, True], TEXT: "~"}
    assert masked(value) == {"a": [DOTS, 7, None, True], DOTS: "~"}


@pytest.mark.parametrize("prepared", [quote, lambda text: json.dumps(text)[1:-1]])
def test_a_handle_survives_what_prepares_it_for_an_address_or_json(vault: Vault, prepared: Any) -> None:
    handle = vault.sealed(NAME, TEXT)
    assert prepared(handle) == handle


def test_nothing_is_sealed_as_nothing(vault: Vault) -> None:
    assert vault.sealed(NAME, "") == "" and not vault.known


def test_a_vault_knows_what_was_in_the_clear(vault: Vault) -> None:
    handle = Vault(vault._seal, vault._unseal).sealed(NAME, TEXT)
    assert vault.known == set()
    vault.opened(handle)
    assert vault.known == {TEXT}


def test_what_is_written_into_a_secure_variable_is_sealed(vault: Vault) -> None:
    handle = vault.sealed("GBL_OTHER", TEXT)
    variables = Variables({NAME: "", "GBL_PLAIN": "", "GBL_OTHER": handle}, vault=vault, secure=[NAME])
    for written, stands_for in (
        ("plain text", "plain text"),
        (f"Bearer {handle}", f"Bearer {TEXT}"),
        ({"token": handle}, json.dumps({"token": TEXT})),
        (None, ""),
    ):
        variables.update({NAME: written})
        kept = variables.value(NAME)
        assert (is_handle(kept) or kept == "") and variables.opened(kept) == stands_for
    variables.update({NAME: handle, "GBL_PLAIN": handle})
    assert variables.value(NAME) == variables.value("GBL_PLAIN") == handle


def test_a_handle_that_the_run_does_not_hold_stays_closed_and_a_variable_keeps_dots_of_it(vault: Vault) -> None:
    foreign, own = vault.sealed(NAME, TEXT), vault.sealed(NAME, "own")
    variables = Variables({NAME: own, "GBL_PLAIN": "", "GBL_OTHER": ""}, vault=vault, secure=[NAME, "GBL_OTHER"])

    assert variables.opened([f"{foreign} {own}"]) == [f"{foreign} own"]
    variables.update({"GBL_PLAIN": f"{foreign} {own}", "GBL_OTHER": foreign})
    assert variables.value("GBL_PLAIN") == f"{DOTS} {own}"
    assert variables.opened(variables.value("GBL_OTHER")) == DOTS


def test_what_a_child_sealed_and_handed_back_is_opened(vault: Vault) -> None:
    sealed, variables = vault.sealed(NAME, TEXT), Variables({NAME: ""}, vault=vault, secure=[NAME])
    variables.take_back({NAME: sealed})
    assert variables.opened(variables.value(NAME)) == TEXT
