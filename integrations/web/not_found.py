"""The page for an address that leads nowhere: where the thing lies in another of the person's companies, it says so."""

from typing import Any

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_scopes import scope

from accounts.models import Company, Membership
from accounts.scoping import CompanyOwned
from integrations.models import Run


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 404; offer to switch where exactly what the address names exists in other companies of this person."""
    memberships: list[Membership] = getattr(request, "memberships", [])
    active = getattr(request, "company", None)
    # A GET is done again after the switch; whatever else was posted is not.
    others = [m.company for m in memberships if m.company != active] if request.method == "GET" else []
    found = [company for company in others if _holds(company, request)]
    return render(request, "404.html", {"elsewhere": found, "here": request.get_full_path()}, status=404)


def _holds(company: Company, request: HttpRequest) -> bool:
    match = request.resolver_match
    named: dict[str, Any] = match.kwargs if match else {}
    with scope(company=company):
        if "public_id" in named:
            return any(
                model._default_manager.filter(public_id=named["public_id"]).exists() for model in _with_public_id()
            )
        if "number" in named and match and match.route.startswith("run"):
            return Run.objects.filter(number=named["number"]).exists()
    return False


def _with_public_id() -> list[Any]:
    """The kinds of things that addresses name by a public id."""
    return [
        model
        for model in apps.get_models()
        if issubclass(model, CompanyOwned) and any(field.name == "public_id" for field in model._meta.get_fields())
    ]
