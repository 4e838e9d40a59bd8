"""Who changed what: every change leaves an entry, and no entry is ever changed."""

import json
from importlib import import_module
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from accounts.audit import record
from accounts.audit_words import ACTIONS
from accounts.models import AuditEntry, Company, User
from tests import factories
from tests.accounts.table import NEW_PASSWORD, TABLE, Row
from tests.accounts.world import SECRET, WORD, World, state_of, undone

POSTS = [name for name, row in TABLE.items() if "POST" in row.methods]
OF_ONE_PERSON = ("integrations.RunsColumns", "integrations.RunsView")


@pytest.fixture
def guarded(db: None) -> None:
    """The triggers that every installation has; tests take them off to empty tables between them."""
    migration: Any = import_module("accounts.migrations.0002_append_only")
    with connection.cursor() as cursor:
        for statement in migration.SQLITE if connection.vendor == "sqlite" else migration.POSTGRES:
            cursor.execute(statement)


def doer(row: Row) -> str:
    """Who does it: whoever just may."""
    return row.by or {"anyone": "viewer"}.get(row.least, row.least)


def shared(world: World) -> dict[str, Any]:
    """All that a company has, without what only one person sees: which columns and views of a list they like."""
    return {what: rows for what, rows in state_of(world.ours.company).items() if what not in OF_ONE_PERSON}


def test_every_post_leaves_an_entry_or_says_why_it_changes_nothing(world: World, guarded: None) -> None:
    everybody = world.client("administrator")
    for name in POSTS:
        row = TABLE[name]
        with undone():
            row.before()
            data = row.data(world, world.ours, everybody)
            client = world.client(doer(row))
            last = AuditEntry.objects.order_by("pk").last()
            before = shared(world)
            response = client.post(reverse(name, args=row.args(world, world.ours)), data)

            assert response.status_code < 400, f"{name} gave {response.status_code}"
            made = list(AuditEntry.objects.filter(pk__gt=last.pk if last else 0))
            if row.unaudited:
                assert shared(world) == before, f"{name} says: {row.unaudited}"
                continue
            assert made, f"{name} left no entry"
            for entry in made:
                _tells_who_and_what(world, entry, row, name)


def test_a_change_that_cannot_be_noted_does_not_happen(world: World) -> None:
    """The change and its entry are one transaction, so that neither stands without the other."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT INTO") and AuditEntry._meta.db_table in sql:
            raise DatabaseError("The log is full.")
        return execute(sql, params, many, context)

    everybody = world.client("administrator")
    for name in POSTS:
        row = TABLE[name]
        if row.unaudited or name in NOTED_AFTERWARDS:
            continue
        with undone():
            row.before()
            data = row.data(world, world.ours, everybody)
            client = world.client(doer(row), raise_request_exception=False)
            before = kept(world)
            with connection.execute_wrapper(refuse):
                response = client.post(reverse(name, args=row.args(world, world.ours)), data)

            assert response.status_code == 500, name
            assert kept(world) == before, name


NOTED_AFTERWARDS = {
    "account_login",
    "account_logout",
    "account_change_password",
    "connection-test",
    "connection-new-test",
    "connection-offer",
}
"""Those of allauth tell what happened once it has; those of connections act elsewhere, where no transaction reaches."""


def kept(world: World) -> dict[str, Any]:
    """Everything of our company and of the installation, but for files: one that nothing names is not seen."""
    state = {label: rows for label, rows in state_of(world.ours.company).items() if label != "integrations.StoredFile"}
    return state | {
        "users": list(User.objects.order_by("pk").values()),
        "companies": list(Company.objects.values("name")),
    }


def _tells_who_and_what(world: World, entry: AuditEntry, row: Row, name: str) -> None:
    assert entry.action in ACTIONS and entry.thing, name
    text = json.dumps([entry.thing, entry.before, entry.after])
    for secret in (SECRET, factories.PASSWORD, NEW_PASSWORD, world.owner_token, world.ours.invitation_link):
        assert secret not in text, name
    if row.least in ("nobody", "owner"):
        assert entry.user is not None, name
        return
    assert entry.user == world.people[doer(row)], name
    # What a person changes of themselves belongs to no company in particular, but happened in one.
    assert entry.company == world.ours.company, name


def test_a_change_tells_what_it_was_and_what_it_is(world: World) -> None:
    names = ("user-role", "connection-save", "process-details-save", "profile")
    for name in names:
        row = TABLE[name]
        client = world.client("administrator")
        data = row.data(world, world.ours, client)
        client.post(reverse(name, args=row.args(world, world.ours)), data)

        entry = AuditEntry.objects.order_by("pk").last()
        assert entry is not None and entry.before and entry.after and entry.changes, name


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE accounts_auditentry SET thing = 'nothing'",
        "UPDATE accounts_auditentry SET user_id = NULL WHERE id = (SELECT max(id) FROM accounts_auditentry)",
        "DELETE FROM accounts_auditentry",
    ],
)
def test_the_database_refuses_to_change_or_delete_an_entry(guarded: None, ada: User, attempt: str) -> None:
    record("user.signed_in", ada.email, user=ada)
    before = list(AuditEntry.objects.values())

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(attempt)

    assert list(AuditEntry.objects.values()) == before
    record("user.signed_out", ada.email, user=ada)
    assert AuditEntry.objects.count() == len(before) + 1


@pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite has no TRUNCATE; `make test` runs it on PostgreSQL."
)
def test_the_database_refuses_to_empty_the_log(guarded: None, ada: User) -> None:
    record("user.signed_in", ada.email, user=ada)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # No check of what was written before is still to come.
        cursor.execute("TRUNCATE accounts_auditentry CASCADE")


def test_the_product_cannot_change_an_entry_by_its_models_either(guarded: None, ada: User) -> None:
    record("user.signed_in", ada.email, user=ada)
    entry = AuditEntry.objects.get()
    entry.thing = "nothing"

    for attempt in (entry.save, entry.delete, AuditEntry.objects.all().delete):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            attempt()


def test_who_stands_in_the_log_cannot_be_deleted(ada: User) -> None:
    record("user.signed_in", ada.email, user=ada)

    with pytest.raises(Exception, match="protected foreign keys"):
        ada.delete()


def test_the_page_shows_only_ones_own_company(world: World) -> None:
    record("process.saved", f"Harwood's {WORD}", user=world.people["designer"], company=world.ours.company)
    record("company.created", f"Installation's {WORD}", user=world.people["owner"])

    ours = world.client("administrator").get(reverse("audit-log")).content.decode()
    theirs = world.client("mallory").get(reverse("audit-log")).content.decode()

    assert f"Harwood&#x27;s {WORD}" in ours and "Installation" not in ours
    assert WORD not in theirs


def test_the_page_shows_what_it_was_and_what_it_is(client: Client, ada: User) -> None:
    company = ada.memberships.get().company
    record("process.saved", "P", user=ada, company=company, before={"a": 1, "b": 2}, after={"a": 3, "b": 2, "c": 4})
    client.force_login(ada)

    page = client.get(reverse("audit-log")).content.decode()

    assert "A: <del>1</del> 3" in page and "C: 4" in page and "B: " not in page


def test_the_page_finds_by_action_person_and_thing(client: Client, ada: User, vera: User) -> None:
    company = ada.memberships.get().company
    record("process.saved", "ORDERS", user=ada, company=company)
    record("connection.saved", "CRM", user=vera, company=company)
    client.force_login(ada)

    def found(**query: str) -> set[str]:
        return {entry.thing for entry, *_ in client.get(reverse("audit-log"), query).context["entries"]}

    assert found(action="process") == {"ORDERS"}
    assert found(person="vera") == {"CRM"}
    assert found(thing="cr") == {"CRM"}
    assert found(action="process", person="vera") == set()


def test_a_long_log_is_paged_without_loss(client: Client, ada: User) -> None:
    company = ada.memberships.get().company
    for number in range(120):
        record("process.saved", f"P{number:03}", user=ada, company=company)
    client.force_login(ada)

    seen, address = [], reverse("audit-log") + "?action=process"
    while True:
        context = client.get(address).context
        seen += [entry.thing for entry, *_ in context["entries"]]
        if not context["older"]:
            break
        address = f"{reverse('audit-log')}?action=process&before={context['older']}"

    assert seen == [f"P{number:03}" for number in reversed(range(120))]


def test_an_entry_is_rolled_back_with_its_change(ada: User) -> None:
    """Nothing is said to have happened that did not."""
    with undone():
        record("process.saved", "P", user=ada)

    assert not AuditEntry.objects.exists()


def test_the_log_tells_in_words_what_changed(client: Client, ada: User, company: Company) -> None:
    steps = ["Task SLOW: switched off", "Options: the separator changed"]
    record("process.saved", "P", user=ada, company=company, after={"changes": steps})
    asked = {"version": 3, "trigger": "rerun", "file": "", "re-run of": None}
    record("run.requested", "Run 4", user=ada, company=company, after=asked)
    client.force_login(ada)

    page = client.get(reverse("audit-log")).content.decode()

    assert "<li>Task SLOW: switched off</li><li>Options: the separator changed</li>" in page
    assert "<li>Trigger: re-run</li><li>Version: 3</li></ul>" in page
    assert "Process draft saved" in page and "process.saved" not in page and "None" not in page


@pytest.mark.parametrize("words", ["draft saved", "process.sav", "process"])
def test_an_action_is_found_by_its_words(client: Client, ada: User, company: Company, words: str) -> None:
    record("process.saved", "P", user=ada, company=company)
    record("run.requested", "Run 4", user=ada, company=company)
    client.force_login(ada)

    assert [entry.thing for entry, *_ in client.get(reverse("audit-log"), {"action": words}).context["entries"]] == [
        "P"
    ]
