"""How a person signs in: by e-mail, with attempts counted before any password is hashed, and every one in the audit."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.signals import password_changed, password_reset, password_set, user_logged_in, user_logged_out
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest
from django.urls import reverse

from accounts.audit import record
from accounts.models import User


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]
    """No sign-up: people come in by invitation."""

    error_messages = {  # noqa: RUF012  (as allauth declares it)
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "This e-mail and password do not fit together. Check both, or reset the password.",
        "too_many_login_attempts": "Too many attempts. Wait five minutes, then try again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def format_email_subject(self, subject: str) -> str:
        return subject

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Build the link on PUBLIC_URL: what a request calls this host is nobody's word to mail."""
        uid, _, secret = key.partition("-")
        return str(settings.PUBLIC_URL + reverse("account_reset_password_from_key", args=[uid, secret]))


@receiver(user_logged_in)
def note_sign_in(request: HttpRequest, user: User, **told: Any) -> None:
    record("user.signed_in", user.email, request=request, user=user)


@receiver(user_logged_out)
def note_sign_out(request: HttpRequest, user: User | None, **told: Any) -> None:
    if user is not None:
        record("user.signed_out", user.email, request=request, user=user)


@receiver(user_login_failed)
def note_failure(request: HttpRequest | None, credentials: dict[str, Any], **told: Any) -> None:
    email = str(credentials.get("email") or credentials.get("username") or "")
    record("user.sign_in_failed", email, request=request)


@receiver([password_changed, password_reset, password_set])
def note_new_password(request: HttpRequest, user: User, **told: Any) -> None:
    record("user.password_changed", user.email, request=request, user=user)
