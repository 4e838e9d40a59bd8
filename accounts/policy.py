"""Who may open which route. Every view carries a policy; a route without one fails `manage.py check`.

`accounts.middleware` reads the policy before the view runs: no view can forget to ask.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from accounts.models import Role

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a request needs. `role` implies sign-in and an active company."""

    public: bool = False
    role: Role | None = None
    owner: bool = False


def _with(policy: Policy) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        view.policy = policy  # type: ignore[attr-defined]
        return view

    return decorate


def public(view: View) -> View:
    """Open to everyone, signed in or not."""
    return _with(Policy(public=True))(view)


def signed_in(view: View) -> View:
    """Open to every user, with or without a company."""
    return _with(Policy())(view)


def requires(role: Role) -> Callable[[View], View]:
    """Open to members of the active company who hold `role` or one that includes it."""
    return _with(Policy(role=role))


def owner_only(view: View) -> View:
    """Open to an Owner of the installation."""
    return _with(Policy(owner=True))(view)


def policy_of(view: Callable[..., Any]) -> Policy | None:
    """Give the policy a view declares, looking through decorators that keep `__wrapped__`."""
    while view is not None:
        found = getattr(view, "policy", None)
        if isinstance(found, Policy):
            return found
        view = getattr(view, "__wrapped__", None)  # type: ignore[assignment]
    return None
