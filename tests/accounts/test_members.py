"""Roles of members, and how a membership ends."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, Company, Membership, Role, User
from tests import factories

REFUSED = "is the last Administrator. Make somebody else Administrator first."


def membership_of(user: User) -> Membership:
    return Membership.objects.get(user=user)


def change(client: Client, user: User, role: str) -> Any:
    return client.post(reverse("user-role", args=[membership_of(user).pk]), {"role": role}, follow=True)


def remove(client: Client, user: User) -> Any:
    return client.post(reverse("user-remove", args=[membership_of(user).pk]), follow=True)


@pytest.fixture
def desk(client: Client, ada: User) -> Client:
    """A browser in which Ada is signed in."""
    client.force_login(ada)
    return client


def test_the_list_shows_members_and_open_invitations(desk: Client, vera: User, dora: User, mallory: User) -> None:
    desk.post(reverse("invitation-new"), {"email": "nia@harwood.test", "role": "viewer"})

    page = desk.get(reverse("users")).content.decode()

    assert all(email in page for email in (vera.email, dora.email, "ada@harwood.test", "nia@harwood.test"))
    assert "mallory" not in page


def test_an_administrator_changes_a_role_and_it_holds_at_once(desk: Client, vera: User) -> None:
    hers = Client()
    hers.force_login(vera)
    assert hers.get(reverse("run-panel")).status_code == 403

    page = change(desk, vera, "operator")

    assert "Vera is Operator now." in page.content.decode()
    assert hers.get(reverse("run-panel")).status_code == 200
    entry = AuditEntry.objects.get(action="user.role_changed")
    assert (entry.thing, entry.changes) == (vera.email, [("role", "viewer", "operator")])


def test_a_role_that_does_not_exist_is_not_given(desk: Client, vera: User) -> None:
    assert change(desk, vera, "owner").status_code == 404
    assert membership_of(vera).role == Role.VIEWER


def test_a_removed_member_is_out_at_once(desk: Client, vera: User) -> None:
    hers = Client()
    hers.force_login(vera)
    assert hers.get(reverse("runs")).status_code == 200

    page = remove(desk, vera)

    assert "Vera is no member of Harwood Outdoor any more." in page.content.decode()
    assert hers.get(reverse("runs"))["Location"] == reverse("no-company")
    assert hers.post(reverse("profile"), {"name": "Vera", "theme": "auto"}).status_code == 302, "still a user"
    assert AuditEntry.objects.get(action="user.removed").before == {"role": "viewer"}


def test_the_last_administrator_stays(desk: Client, ada: User, vera: User) -> None:
    assert REFUSED in remove(desk, ada).content.decode()
    assert REFUSED in change(desk, ada, "designer").content.decode()
    assert membership_of(ada).role == Role.ADMINISTRATOR
    assert not AuditEntry.objects.filter(action__in=["user.removed", "user.role_changed"]).exists()


def test_the_last_administrator_may_be_confirmed_as_what_they_are(desk: Client, ada: User) -> None:
    assert REFUSED not in change(desk, ada, "administrator").content.decode()


def test_with_a_second_administrator_the_first_may_go(desk: Client, ada: User, vera: User) -> None:
    change(desk, vera, "administrator")

    remove(desk, ada)

    assert not Membership.objects.filter(user=ada).exists()
    assert membership_of(vera).role == Role.ADMINISTRATOR


def test_an_administrator_elsewhere_does_not_count(desk: Client, ada: User, mallory: User) -> None:
    assert REFUSED in remove(desk, ada).content.decode()


def test_a_member_of_another_company_is_out_of_reach(desk: Client, mallory: User) -> None:
    assert remove(desk, mallory).status_code == 404
    assert change(desk, mallory, "viewer").status_code == 404
    assert membership_of(mallory).role == Role.ADMINISTRATOR


def test_a_designer_administers_nobody(client: Client, dora: User, vera: User) -> None:
    client.force_login(dora)

    assert client.get(reverse("users")).status_code == 403
    assert remove(client, vera).status_code == 403
    assert change(client, dora, "administrator").status_code == 403
    assert membership_of(dora).role == Role.DESIGNER


def test_what_a_removed_member_did_keeps_their_name(desk: Client, dora: User, company: Company) -> None:
    process = factories.make_process(company, factories.make_plan(factories.make_connection(company)), by=dora)

    remove(desk, dora)

    process.refresh_from_db()
    assert process.created_by == dora


def test_a_refused_attempt_is_noted(client: Client, vera: User, company: Company) -> None:
    client.force_login(vera)

    client.get(reverse("users"))

    entry = AuditEntry.objects.get(action="access.denied")
    assert (entry.user, entry.company, entry.thing) == (vera, company, "/users/")
    assert entry.after == {"needs": "the role Administrator"}
