"""The main menu: what works, and what the person may open."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.models import Role


@dataclass(frozen=True)
class Entry:
    label: str
    icon: str
    url: str
    current: bool = False


@dataclass(frozen=True)
class Offer:
    label: str
    route: str
    icon: str
    role: Role | None = Role.VIEWER


GROUPS: tuple[tuple[str, tuple[Offer, ...]], ...] = (
    (
        "Run",
        (
            Offer("Run an Integration", "run-panel", icon="player-play", role=Role.OPERATOR),
            Offer("Runs", "runs", icon="list-details"),
        ),
    ),
    (
        "Define",
        (
            Offer("Processes", "processes", icon="arrows-exchange"),
            Offer("Connections", "connections", icon="plug-connected"),
        ),
    ),
    (
        "Maintenance",
        (
            Offer("Global Variables", "global-variables", icon="variable"),
            Offer("Translation Tables", "translation-tables", icon="file-spreadsheet"),
            Offer("Rolling Numbers", "rolling-numbers", icon="list-numbers"),
        ),
    ),
    (
        "Administer",
        (
            Offer("Users", "users", icon="users", role=Role.ADMINISTRATOR),
            Offer("Audit Log", "audit-log", icon="history", role=Role.ADMINISTRATOR),
            Offer("Companies", "companies", icon="building-store", role=None),
        ),
    ),
)


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Give the groups of the menu with the entries this person may open; the page they are on is marked."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"nav": []}
    membership = getattr(request, "membership", None)
    groups = []
    for title, offers in GROUPS:
        entries = [
            Entry(offer.label, offer.icon, url, request.path.startswith(url))
            for offer in offers
            if _may_open(offer, user, membership)
            for url in [reverse(offer.route)]
        ]
        if entries:
            groups.append((title, entries))
    return {"nav": groups, "theme": user.theme}


def _may_open(offer: Offer, user: Any, membership: Any) -> bool:
    if offer.role is None:
        return bool(user.is_owner)
    return membership is not None and Role(membership.role).includes(offer.role)
