"""Default-deny: before a view runs, its policy is read and obeyed. A view without one is never served."""

import logging
import zoneinfo
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django_scopes import scope

from accounts.audit import record
from accounts.models import Membership, Role
from accounts.policy import Policy, policy_of

log = logging.getLogger(__name__)

ACTIVE_COMPANY = "company"
"""The key of the session under which the active company's id stands."""


class PolicyMiddleware:
    """Sets `request.company` and `request.membership`, and keeps every query of the request in that company.

    Times are shown in the zone of the person, else of the company.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.company = request.membership = None  # type: ignore[attr-defined]
        with ExitStack() as active:
            request.active_scope = active  # type: ignore[attr-defined]
            response = self.get_response(request)
        if request.user.is_authenticated and not response.has_header("Cache-Control"):
            # After the sign-out, *Back* must not show what was there, and no shared cache may keep it.
            patch_cache_control(response, private=True, no_store=True)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        policy = policy_of(view)
        if policy is None:
            log.error("the view %s.%s has no policy and is not served", view.__module__, view.__qualname__)
            raise Http404
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            # No name or text holds one, and PostgreSQL refuses to look for it.
            raise BadRequest("A NUL character stands in the query string.")
        if request.user.is_authenticated:
            self._enter_company(request)
        if policy.public:
            return None
        if not request.user.is_authenticated:
            return _sign_in(request)
        return self._refusal(request, policy)

    def _enter_company(self, request: HttpRequest) -> None:
        memberships = (
            Membership.objects.filter(user=request.user.pk).select_related("company").order_by("company__name")
        )
        request.memberships = list(memberships)  # type: ignore[attr-defined]
        wanted = request.session.get(ACTIVE_COMPANY)
        found = next((m for m in request.memberships if m.company_id == wanted), None)  # type: ignore[attr-defined]
        found = found or next(iter(request.memberships), None)  # type: ignore[attr-defined]
        if found is not None:
            request.membership, request.company = found, found.company  # type: ignore[attr-defined]
            request.active_scope.enter_context(scope(company=found.company))  # type: ignore[attr-defined]
        zone = request.user.time_zone or (found.company.time_zone if found else "UTC")  # type: ignore[union-attr]
        request.active_scope.enter_context(timezone.override(zoneinfo.ZoneInfo(zone)))  # type: ignore[attr-defined]

    def _refusal(self, request: HttpRequest, policy: Policy) -> HttpResponse | None:
        if policy.owner:
            return None if request.user.is_owner else _forbidden(request, "an Owner of this installation")  # type: ignore[union-attr]
        if policy.role is None:
            return None
        membership: Membership | None = request.membership  # type: ignore[attr-defined]
        if membership is None:
            return redirect("no-company")
        if not Role(membership.role).includes(policy.role):
            return _forbidden(request, f"the role {policy.role.label}")
        return None


def _sign_in(request: HttpRequest) -> HttpResponse:
    """Lead to the sign-in and back: to the page asked for, or to the one that a fragment was asked for from."""
    if request.htmx:  # type: ignore[attr-defined]
        here = request.htmx.current_url_abs_path  # type: ignore[attr-defined]
        # Several slashes at the beginning would name another host.
        path = f"/{here.lstrip('/')}" if here else "/"
        return HttpResponse(status=401, headers={"HX-Redirect": redirect_to_login(path, reverse("account_login")).url})
    return redirect_to_login(request.get_full_path() if request.method == "GET" else "/", reverse("account_login"))


def _forbidden(request: HttpRequest, needed: str) -> HttpResponse:
    record("access.denied", request.path[:200], request=request, after={"needs": needed})
    return render(request, "403.html", {"needed": needed}, status=403)
