"""Default-deny: before a view runs, its policy is read and obeyed. A view without one is never served."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django_scopes import scope

from accounts.audit import record
from accounts.models import Membership, Role
from accounts.policy import Policy, policy_of

log = logging.getLogger(__name__)

ACTIVE_COMPANY = "company"
"""The key of the session under which the active company's id stands."""


class PolicyMiddleware:
    """Sets `request.company` and `request.membership`, and keeps every query of the request in that company."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.company = request.membership = None  # type: ignore[attr-defined]
        with ExitStack() as active:
            request.active_scope = active  # type: ignore[attr-defined]
            return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        policy = policy_of(view)
        if policy is None:
            log.error("the view %s.%s has no policy and is not served", view.__module__, view.__qualname__)
            raise Http404
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
    if request.headers.get("HX-Request"):
        response = HttpResponse(status=401)
        response["HX-Redirect"] = f"{reverse('account_login')}?next={request.headers.get('HX-Current-URL-Path', '/')}"
        return response
    return redirect_to_login(request.get_full_path() if request.method == "GET" else "/", reverse("account_login"))


def _forbidden(request: HttpRequest, needed: str) -> HttpResponse:
    record("access.denied", request.path[:200], request=request, after={"needs": needed})
    return render(request, "403.html", {"needed": needed}, status=403)
