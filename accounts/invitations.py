"""Invitations: a one-time link for an e-mail and a role, good for seven days."""

from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from accounts.models import Company, Invitation, Membership, User
from accounts.tokens import hash_of, new_token

GOOD_FOR = timedelta(days=7)


def invite(company: Company, *, email: str, role: str, by: User) -> tuple[Invitation, str]:
    """Offer a role and give the invitation with its link; open ones for the same e-mail end. Mails the link as well."""
    token, token_hash = new_token()
    now = timezone.now()
    with transaction.atomic():
        Invitation.objects.filter(email=email, accepted_at=None, revoked_at=None).update(revoked_at=now)
        invitation = Invitation.objects.create(
            company=company, email=email, role=role, token_hash=token_hash, invited_by=by, expires_at=now + GOOD_FOR
        )
    link = settings.PUBLIC_URL + reverse("invitation-accept", args=[token])
    send_mail(
        f"{by} invites you to {company.name}",
        f"{by} invites you to {company.name} as {invitation.get_role_display()}.\n\n{link}\n\n"
        "The link opens once and is good for seven days.",
        None,
        [email],
    )
    return invitation, link


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


def accept(invitation: Invitation, user: User) -> bool:
    """Make `user` a member. False when the invitation was used or revoked meanwhile."""
    with scopes_disabled(), transaction.atomic():
        taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
            accepted_at=timezone.now()
        )
        if not taken:
            return False
        Membership.objects.get_or_create(user=user, company=invitation.company, defaults={"role": invitation.role})
        return True
