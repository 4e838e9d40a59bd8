"""Global Variables: the company's named values that scripts and tasks use, and where they are used."""

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
from integrations.forms.used import Use, uses, uses_of
from integrations.forms.variable import GlobalVariableForm
from integrations.models import GlobalVariable
from integrations.models.vault import vault_of
from integrations.web.used_in import used_in


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    variable: GlobalVariable
    used_in: list[Use]


@require_GET
@requires(Role.VIEWER)
def global_variables(request: Request) -> HttpResponse:
    """List the company's variables; `q` is part of a name, a value or a description."""
    query = request.GET.get("q", "").strip()[:200]
    listed = GlobalVariable.objects.select_related("updated_by")
    total = listed.count()
    if query:
        listed = listed.filter(
            Q(name__icontains=query) | Q(is_secure=False, value__icontains=query) | Q(description__icontains=query)
        )
    used = uses()
    rows = [Row(variable, used.get(variable.name, [])) for variable in listed]
    context = {"rows": rows, "total": total, "query": query, "may_edit": _may_edit(request)}
    return render(request, "global_variables/global_variables.html", context)


@require_http_methods(["GET", "POST"])
@requires(Role.DESIGNER)
def new(request: Request) -> HttpResponse:
    """Create a variable. `?name=` begins with a name that a script uses already."""
    form = GlobalVariableForm(_answers(request), initial={"name": request.GET.get("name", "")[:80]})
    if not form.is_valid():
        return _page(request, form, None, status=422 if form.is_bound else 200)
    given = form.fields_to_store(vault_of(request.company))
    variable = GlobalVariable(company=request.company, updated_by=request.user, **given)
    try:
        with transaction.atomic():
            variable.save()
            record("variable.created", variable.name, after=_shown(variable), request=request)
    except IntegrityError:
        form.add_error("name", "A variable of this name was made a moment ago. Choose another name.")
        return _page(request, form, None, status=422)
    messages.success(request, f"{variable.name} is saved. Scripts read and write it as this.{variable.name}.")
    return redirect("global-variables")


@require_GET
@requires(Role.VIEWER)
def global_variable(request: Request, public_id: UUID) -> HttpResponse:
    """Show a variable and where it is used."""
    variable = _variable(public_id)
    used = uses_of(variable.name)
    return _page(request, GlobalVariableForm(variable=variable, is_used=bool(used)), variable, used=used)


@require_POST
@requires(Role.DESIGNER)
def save(request: Request, public_id: UUID) -> HttpResponse:
    """Write name, value and description, unless someone else saved meanwhile."""
    variable = _variable(public_id)
    used = uses_of(variable.name)
    form = GlobalVariableForm(_answers(request), variable=variable, is_used=bool(used))
    if not form.is_valid():
        return _page(request, form, variable, used=used, status=422)
    before, value_before = _shown(variable), variable.value
    fields = form.fields_to_store(vault_of(request.company))
    try:
        with transaction.atomic():
            saved = variable.change(revision=form.cleaned_data["revision"] or 0, by=request.user, **fields)
            if saved and (before != _shown(variable) or value_before != variable.value):
                record("variable.saved", variable.name, before=before, after=_shown(variable), request=request)
    except IntegrityError:
        form.add_error("name", "A variable of this name was made a moment ago. Choose another name.")
        return _page(request, form, variable, used=used, status=422)
    if not saved:
        variable.refresh_from_db()
        form.build_on(variable.revision)
        return _page(request, form, variable, used=used, status=409, conflict=True)
    messages.success(request, f"{variable.name} is saved. Runs begin with it from now on.")
    return redirect("global-variable", variable.public_id)


@require_POST
@requires(Role.DESIGNER)
def delete(request: Request, public_id: UUID) -> HttpResponse:
    """Delete a variable that nothing uses; otherwise say what does."""
    variable = _variable(public_id)
    if used := uses_of(variable.name):
        names = ", ".join(use.process.name for use in used[:5]) + (" and others" if len(used) > 5 else "")
        messages.error(request, f"{variable.name} is used by {names}. Take it out there first; the places are below.")
        return redirect("global-variable", variable.public_id)
    before = _shown(variable)
    with transaction.atomic():
        variable.delete()
        record("variable.deleted", variable.name, before=before, request=request)
    messages.success(request, f"{variable.name} is deleted.")
    return redirect("global-variables")


def _page(
    request: Request,
    form: GlobalVariableForm,
    variable: GlobalVariable | None,
    *,
    used: list[Use] | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    if not _may_edit(request):
        form.disable()
    form.forget_secure()
    context = {
        "form": form,
        "variable": variable,
        "used_in": [used_in(use) for use in used or ()],
        "may_edit": _may_edit(request),
        **more,
    }
    return render(request, "global_variables/global_variable.html", context, status=status)


def _answers(request: Request) -> Any:
    """What was typed; the offer of a right name is taken by a button."""
    if request.method != "POST":
        return None
    answers = request.POST.copy()
    if taken := answers.get("take"):
        answers["name"] = taken
    return answers


def _may_edit(request: Request) -> bool:
    return Role(request.membership.role).includes(Role.DESIGNER)


def _variable(public_id: UUID) -> GlobalVariable:
    return get_object_or_404(GlobalVariable.objects.select_related("company", "updated_by"), public_id=public_id)


def _shown(variable: GlobalVariable) -> dict[str, Any]:
    shown = {"name": variable.name, "value": variable.shown, "description": variable.description}
    if not variable.is_secure:
        return shown
    return shown | {"secure": True, "set": variable.set_at.isoformat() if variable.set_at else ""}
