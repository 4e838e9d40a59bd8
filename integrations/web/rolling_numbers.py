"""Rolling Numbers: the sequences that processes number their documents by, and where they are used."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.audit import record
from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.forms.rolling_number import SAID, RollingNumberForm
from integrations.forms.used import Use, uses_of_number, uses_of_numbers
from integrations.models import RollingNumber
from integrations.web.used_in import used_in

TAKEN = "A rolling number of this name was made a moment ago. Choose another name."


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    sequence: RollingNumber
    used_in: list[Use]


@require_GET
@requires(Role.VIEWER)
def rolling_numbers(request: Request) -> HttpResponse:
    """List the company's rolling numbers; `q` is part of a name, a prefix or a description."""
    query = request.GET.get("q", "").strip()[:200]
    listed = RollingNumber.objects.select_related("updated_by")
    total = listed.count()
    if query:
        listed = listed.filter(Q(name__icontains=query) | Q(prefix__icontains=query) | Q(description__icontains=query))
    used = uses_of_numbers()
    rows = [Row(sequence, used.get(str(sequence.public_id), [])) for sequence in listed]
    context = {"rows": rows, "total": total, "query": query, "may_edit": _may_edit(request)}
    return render(request, "rolling_numbers/rolling_numbers.html", context)


@require_http_methods(["GET", "POST"])
@requires(Role.DESIGNER)
def new(request: Request) -> HttpResponse:
    """Create a rolling number."""
    form = RollingNumberForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return _page(request, form, None, status=422 if form.is_bound else 200)
    sequence = RollingNumber(company=request.company, updated_by=request.user, **form.fields_to_store())
    try:
        with transaction.atomic():
            sequence.save()
            record("rolling_number.created", sequence.name, after=_shown(sequence), request=request)
    except IntegrityError:
        form.add_error("name", TAKEN)
        return _page(request, form, None, status=422)
    messages.success(request, f"{sequence.name} is saved. A mapping may number by it.")
    return redirect("rolling-numbers")


@require_GET
@requires(Role.VIEWER)
def rolling_number(request: Request, public_id: UUID) -> HttpResponse:
    """Show a rolling number and where it is used."""
    sequence = _sequence(public_id)
    return _page(request, RollingNumberForm(sequence=sequence), sequence)


@require_POST
@requires(Role.DESIGNER)
def save(request: Request, public_id: UUID) -> HttpResponse:
    """Write what was said, unless someone else saved meanwhile, or the numbers went past the next one."""
    sequence = _sequence(public_id)
    form = RollingNumberForm(request.POST, sequence=sequence)
    if not form.is_valid():
        return _page(request, form, sequence, status=422)
    before = _shown(sequence)
    try:
        with transaction.atomic():
            saved = sequence.change(
                revision=form.cleaned_data["revision"] or 0, by=request.user, **form.fields_to_store()
            )
            if saved and before != _shown(sequence):
                record("rolling_number.saved", sequence.name, before=before, after=_shown(sequence), request=request)
    except IntegrityError:
        form.add_error("name", TAKEN)
        return _page(request, form, sequence, status=422)
    if not saved:
        sequence.refresh_from_db()
        form.build_on(sequence.revision)
        return _page(request, form, sequence, status=409, conflict=True)
    messages.success(request, f"{sequence.name} is saved. The next number is {sequence.next}.")
    return redirect("rolling-number", sequence.public_id)


@require_POST
@requires(Role.DESIGNER)
def delete(request: Request, public_id: UUID) -> HttpResponse:
    """Delete a rolling number that nothing uses; otherwise say what does."""
    sequence = _sequence(public_id)
    if used := uses_of_number(sequence):
        names = ", ".join(use.process.name for use in used[:5]) + (" and others" if len(used) > 5 else "")
        messages.error(request, f"{sequence.name} is used by {names}. Take it out there first; the places are below.")
        return redirect("rolling-number", sequence.public_id)
    before = _shown(sequence)
    with transaction.atomic():
        sequence.delete()
        record("rolling_number.deleted", sequence.name, before=before, request=request)
    messages.success(request, f"{sequence.name} is deleted.")
    return redirect("rolling-numbers")


def _page(
    request: Request, form: RollingNumberForm, sequence: RollingNumber | None, *, status: int = 200, **more: Any
) -> HttpResponse:
    if not _may_edit(request):
        form.disable()
    context = {
        "form": form,
        "sequence": sequence,
        "used_in": [used_in(use) for use in uses_of_number(sequence)] if sequence else [],
        "may_edit": _may_edit(request),
        **more,
    }
    return render(request, "rolling_numbers/rolling_number.html", context, status=status)


def _may_edit(request: Request) -> bool:
    return Role(request.membership.role).includes(Role.DESIGNER)


def _sequence(public_id: UUID) -> RollingNumber:
    return get_object_or_404(RollingNumber.objects.select_related("company", "updated_by"), public_id=public_id)


def _shown(sequence: RollingNumber) -> dict[str, Any]:
    return {name: getattr(sequence, name) for name in SAID}
