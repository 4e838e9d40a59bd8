"""Invitations: a one-time link for an e-mail and a role, good for seven days."""

import logging
from collections.abc import Callable
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from accounts.models import Company, Invitation, Membership, User
from accounts.tokens import hash_of, new_token

log = logging.getLogger(__name__)

GOOD_FOR = timedelta(days=7)


def invite(company: Company, *, email: str, role: str, by: User) -> tuple[Invitation, str]:
    """Offer a role and give the invitation with its link; open ones for the same e-mail end. `mail` sends the link."""
    token, token_hash = new_token()
    now = timezone.now()
    with transaction.atomic():
        Invitation.objects.filter(email=email, accepted_at=None, revoked_at=None).update(revoked_at=now)
        invitation = Invitation.objects.create(
            company=company, email=email, role=role, token_hash=token_hash, invited_by=by, expires_at=now + GOOD_FOR
        )
    return invitation, settings.PUBLIC_URL + reverse("invitation-accept", args=[token])


def mail(invitation: Invitation, link: str) -> bool:
    """Mail the link. False, with the reason in the log, when the mail server does not take it."""
    company, by = invitation.company, invitation.invited_by
    words = f"{by} invites you to {company.name} as {invitation.get_role_display()}."
    # A name may hold a line break; a subject must not.
    subject = " ".join(f"{by} invites you to {company.name}".split())
    try:
        send_mail(
            subject, f"{words}\n\n{link}\n\nThe link opens once and is good for seven days.", None, [invitation.email]
        )
    except (OSError, SMTPException):
        log.exception("the invitation of %s could not be mailed", invitation.email)
        return False
    return True


def found(token: str) -> Invitation | None:
    """Give the invitation a link stands for while it is open. The token alone decides, in whichever company."""
    with scopes_disabled():
        return (
            Invitation.objects.filter(
                token_hash=hash_of(token), accepted_at=None, revoked_at=None, expires_at__gt=timezone.now()
            )
            .select_related("company", "invited_by")
            .first()
        )


def accept(invitation: Invitation, user: Callable[[], User]) -> User | None:
    """Make the person that `user` gives a member. None when the invitation was used or revoked meanwhile.

    The person is asked for once the invitation is theirs: of two tabs, one makes them.
    """
    with scopes_disabled(), transaction.atomic():
        taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
            accepted_at=timezone.now()
        )
        if not taken:
            return None
        person = user()
        Membership.objects.get_or_create(user=person, company=invitation.company, defaults={"role": invitation.role})
        return person
