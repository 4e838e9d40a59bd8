"""Inviting people, and what becomes of the link."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_scopes import scope, scopes_disabled

from accounts import invitations
from accounts.models import AuditEntry, Company, Invitation, Membership, Role, User
from tests import factories

PERSON = {"name": "Nia", "password": "Another-Horse-8!stable", "time_zone": "Europe/Berlin"}


@pytest.fixture
def link(company: Company, ada: User) -> str:
    with scope(company=company):
        _, address = invitations.invite(company, email="nia@harwood.test", role=Role.DESIGNER, by=ada)
    return address


def invite(client: Client, email: str = "nia@harwood.test", role: str = "designer") -> Any:
    return client.post(reverse("invitation-new"), {"email": email, "role": role}, follow=True)


def open_ones() -> list[Invitation]:
    with scopes_disabled():
        return list(Invitation.objects.filter(accepted_at=None, revoked_at=None))


def test_an_invitation_is_mailed_and_shown_once(client: Client, ada: User, company: Company, settings: Any) -> None:
    client.force_login(ada)

    page = invite(client, "Nia@Harwood.test").content.decode()

    message = mail.outbox[0]
    address = next(word for word in str(message.body).split() if word.startswith(settings.PUBLIC_URL))
    assert message.to == ["nia@harwood.test"]
    assert "Ada invites you to Harwood Outdoor as Designer" in str(message.body)
    assert address in page
    assert address not in client.get(reverse("users")).content.decode()
    assert address.rstrip("/").rsplit("/", 1)[-1] not in str(dict(client.session))
    token = address.rstrip("/").rsplit("/", 1)[-1]
    assert token not in open_ones()[0].token_hash
    assert AuditEntry.objects.get(action="invitation.made").after == {"role": "designer"}
    assert token not in str(list(AuditEntry.objects.values()))


def test_the_page_after_an_invitation_can_be_loaded_anew(client: Client, ada: User) -> None:
    client.force_login(ada)

    assert invite(client).redirect_chain == [(reverse("users"), 302)]
    assert len(mail.outbox) == 1


def test_a_mail_server_that_is_away_costs_the_mail_not_the_invitation(client: Client, ada: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    client.force_login(ada)

    page = invite(client)

    assert page.status_code == 200
    assert "The mail server did not take the mail: hand over this link." in page.content.decode()
    assert len(open_ones()) == 1


def test_a_new_person_joins_with_a_password_and_the_role_offered(client: Client, company: Company, link: str) -> None:
    assert "Join Harwood Outdoor" in client.get(link).content.decode()

    page = client.post(link, PERSON | {"email": "mallory@elsewhere.test", "role": "administrator"}, follow=True)

    nia = User.objects.get(email="nia@harwood.test")
    assert (nia.name, nia.time_zone, nia.is_owner) == ("Nia", "Europe/Berlin", False)
    assert nia.memberships.get().role == Role.DESIGNER, "what was offered, whatever the form says"
    assert page.context["request"].user == nia and page.context["request"].company == company
    entry = AuditEntry.objects.get(action="invitation.accepted")
    assert (entry.user, entry.company, entry.after) == (nia, company, {"role": "designer"})
    assert not User.objects.filter(email="mallory@elsewhere.test").exists()


def test_a_weak_password_is_refused_and_the_link_stays(client: Client, link: str) -> None:
    response = client.post(link, PERSON | {"password": "short"})

    assert response.status_code == 422
    assert "This password is too short" in response.content.decode()
    assert client.get(link).status_code == 200


def test_a_known_person_is_asked_to_sign_in_first(client: Client, link: str, mallory: User) -> None:
    nia = factories.make_user("nia@harwood.test")

    page = client.get(link).content.decode()
    by_another = Client()
    by_another.force_login(mallory)
    refused = by_another.post(link, PERSON)

    assert "nia@harwood.test is a user already. Sign in" in page
    assert f"?next={link.removeprefix('http://127.0.0.1:8000')}" in page
    assert "Sign in as nia@harwood.test" in refused.content.decode()
    assert not nia.memberships.exists()
    assert mallory.memberships.count() == 1


def test_a_known_person_joins_with_one_click(client: Client, company: Company, link: str) -> None:
    nia = factories.make_user("nia@harwood.test", company=factories.make_company("Northwind"), role=Role.VIEWER)
    client.force_login(nia)
    assert "Join Harwood Outdoor" in client.get(link).content.decode()

    page = client.post(link, follow=True)

    assert page.context["request"].company == company
    assert {m.company.name: m.role for m in nia.memberships.select_related("company")} == {
        "Northwind": "viewer",
        "Harwood Outdoor": "designer",
    }


def test_a_link_opens_once(client: Client, link: str) -> None:
    client.post(link, PERSON)

    again = Client().post(link, PERSON)

    assert again.status_code == 404
    assert "This link is over" in again.content.decode()
    assert Membership.objects.filter(user__email="nia@harwood.test").count() == 1


def test_of_two_tabs_one_makes_the_person(company: Company, ada: User, link: str) -> None:
    """Both have read the open invitation; the second to send it is told."""
    token = link.rstrip("/").rsplit("/", 1)[-1]
    first, second = invitations.found(token), invitations.found(token)
    assert first is not None and second is not None
    made: list[str] = []

    def person() -> User:
        made.append("nia")
        return User.objects.create_user("nia@harwood.test", PERSON["password"])

    assert invitations.accept(first, person) is not None
    assert invitations.accept(second, person) is None
    assert made == ["nia"]


@pytest.mark.parametrize("change", [{"revoked_at": True}, {"accepted_at": True}, {"expires_at": True}])
def test_a_link_that_is_over_says_so(client: Client, company: Company, link: str, change: dict[str, Any]) -> None:
    past = timezone.now() - timedelta(seconds=1)
    with scope(company=company):
        Invitation.objects.update(**dict.fromkeys(change, past))

    for answer in (client.get(link), client.post(link, PERSON)):
        assert answer.status_code == 404
        assert "It was used, revoked, replaced or is too old" in answer.content.decode()
    assert not User.objects.filter(email="nia@harwood.test").exists()


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "é"])
def test_a_wrong_link_says_so(client: Client, link: str, token: str) -> None:
    assert client.get(f"/invitation/{token}/").status_code == 404


def test_a_link_is_good_for_seven_days(link: str) -> None:
    good_for = open_ones()[0].expires_at - timezone.now()

    assert timedelta(days=6, hours=23) < good_for <= timedelta(days=7)


def test_a_new_invitation_ends_the_older_one(client: Client, ada: User, link: str) -> None:
    client.force_login(ada)

    invite(client, role="viewer")

    assert [invitation.role for invitation in open_ones()] == ["viewer"]
    assert Client().get(link).status_code == 404


def test_an_invitation_of_another_company_is_not_ended_by_ours(client: Client, ada: User, mallory: User) -> None:
    theirs = mallory.memberships.get().company
    with scope(company=theirs):
        invitations.invite(theirs, email="nia@harwood.test", role=Role.VIEWER, by=mallory)
    client.force_login(ada)

    invite(client)

    assert len(open_ones()) == 2


def test_a_revoked_link_opens_no_more(client: Client, ada: User, link: str) -> None:
    client.force_login(ada)

    client.post(reverse("invitation-revoke", args=[open_ones()[0].pk]))

    assert Client().get(link).status_code == 404
    assert AuditEntry.objects.get(action="invitation.revoked").thing == "nia@harwood.test"


def test_an_accepted_invitation_cannot_be_revoked(client: Client, ada: User, link: str) -> None:
    number = open_ones()[0].pk
    Client().post(link, PERSON)
    client.force_login(ada)

    assert client.post(reverse("invitation-revoke", args=[number])).status_code == 404


def test_a_member_is_not_invited_again(client: Client, ada: User, vera: User) -> None:
    client.force_login(ada)

    response = invite(client, vera.email)

    assert response.status_code == 422
    assert "This person is a member already. Change the role in the list instead." in response.content.decode()
    assert mail.outbox == []


@pytest.mark.parametrize("given", [{"email": "no-address"}, {"role": "owner"}, {"role": ""}, {"email": ""}])
def test_what_cannot_be_an_invitation_is_refused(client: Client, ada: User, given: dict[str, str]) -> None:
    client.force_login(ada)

    response = client.post(reverse("invitation-new"), {"email": "nia@harwood.test", "role": "viewer"} | given)

    assert response.status_code == 422
    assert open_ones() == []


def test_a_designer_cannot_invite(client: Client, dora: User) -> None:
    client.force_login(dora)

    assert invite(client).status_code == 403
    assert open_ones() == [] and mail.outbox == []


def test_a_line_break_in_a_name_does_not_reach_the_head_of_the_mail(
    client: Client, ada: User, company: Company
) -> None:
    User.objects.filter(pk=ada.pk).update(name="Ada\r\nBcc: mallory@elsewhere.test")
    client.force_login(ada)

    assert invite(client).status_code == 200
    assert mail.outbox[0].subject == "Ada Bcc: mallory@elsewhere.test invites you to Harwood Outdoor"
    assert mail.outbox[0].recipients() == ["nia@harwood.test"]
