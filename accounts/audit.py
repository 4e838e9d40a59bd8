"""Who changed what: one entry for every change a person or a program makes. The database refuses to change entries."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from accounts.models import AuditEntry, Company, User


def record(
    action: str,
    thing: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    request: HttpRequest | None = None,
    user: User | None = None,
    company: Company | None = None,
) -> None:
    """Write one entry. `action` is noun.verb ("process.saved"); person, company and address come from `request`.

    Secrets are never given to it: whoever calls shows dots in their place.
    """
    if request is not None:
        user = user or (request.user if isinstance(request.user, User) else None)
        company = company or getattr(request, "company", None)
    AuditEntry.objects.create(
        company=company,
        user=user,
        action=action,
        thing=thing[:200],
        before=dict(before or {}),
        after=dict(after or {}),
        address=request.META.get("REMOTE_ADDR") or None if request is not None else None,
    )
