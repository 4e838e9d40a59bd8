"""The first Owner of a new installation: by a one-time link printed at start, or by settings."""

import logging

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils.module_loading import import_string

from accounts.audit import record
from accounts.models import OwnerLink, User
from accounts.tokens import hash_of, new_token

log = logging.getLogger(__name__)


def owner_link() -> str | None:
    """Offer the path of a new one-time link while there is no Owner; earlier links end."""
    if User.objects.filter(is_owner=True).exists():
        return None
    token, token_hash = new_token()
    with transaction.atomic():
        OwnerLink.objects.all().delete()
        OwnerLink.objects.create(token_hash=token_hash)
    return reverse("welcome", args=[token])


def is_valid(token: str) -> bool:
    there_is_an_owner = User.objects.filter(is_owner=True).exists()
    return not there_is_an_owner and OwnerLink.objects.filter(token_hash=hash_of(token)).exists()


def redeem(token: str, *, email: str, name: str, password: str, time_zone: str = "UTC") -> User | None:
    """Make the Owner the link was for. None when it was used meanwhile: it opens once, in whichever tab comes first."""
    with transaction.atomic():
        deleted, _ = OwnerLink.objects.filter(token_hash=hash_of(token)).delete()
        if not deleted or User.objects.filter(is_owner=True).exists():
            return None
        owner = User.objects.create_user(email, password, name=name, time_zone=time_zone, is_owner=True)
        _welcome(owner)
    return owner


def ensure_owner(email: str, password: str) -> User | None:
    """Make the first Owner from the settings; None where there is one already. Raises `ValidationError`."""
    if User.objects.filter(is_owner=True).exists():
        return None
    from django.contrib.auth.password_validation import validate_password
    from django.core.validators import validate_email

    for name, check, value in (("EMAIL", validate_email, email), ("PASSWORD", validate_password, password)):
        try:
            check(value)
        except ValidationError as error:
            raise ValidationError(f"WAYBILL_OWNER_{name}: " + " ".join(error.messages)) from error
    with transaction.atomic():
        OwnerLink.objects.all().delete()
        owner = User.objects.create_user(email, password, is_owner=True)
        _welcome(owner)
    return owner


def _welcome(owner: User) -> None:
    """Note the first Owner and prepare what they find (the Demo company); accounts does not know what that is.

    All or nothing with the Owner: whoever was interrupted begins again, and finds it whole.
    """
    record("user.created", owner.email, user=owner, after={"owner": True})
    import_string(settings.ON_FIRST_OWNER)(owner)
    log.info("the first Owner is %s", owner.email)
