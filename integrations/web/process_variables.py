"""The Variables tab: the global variables a process uses, the values that apply, and what a run leaves to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.engine.plan import Variable
from integrations.engine.variables import FACTS, STANDING
from integrations.forms.judging import Problem
from integrations.forms.prompt import TYPES, PromptForm
from integrations.forms.variables import (
    AddVariableForm,
    Applies,
    BaseVariableForms,
    VariableForm,
    applying,
    variable_forms,
)
from integrations.models import GlobalVariable, Process
from integrations.models.vault import vault_of
from integrations.web.editor import (
    Place,
    catch_up,
    editable,
    found,
    frame,
    go_on,
    place_of,
    respond,
    write_draft,
)


@dataclass(frozen=True)
class Row:
    """One variable of the tab: its form, the value that applies, and where it is mentioned."""

    form: VariableForm
    applies: Applies
    places: list[Place]

    @property
    def prompt(self) -> str:
        """In words, how the variable is asked for when the process runs; "" where it is not."""
        said = self.form.own.prompt
        if said is None:
            return ""
        kind = "Secure text" if self.applies.secure else dict(TYPES)[said.type.value]
        words = [f"“{said.label}”" if said.label else "", kind, "required" if said.required else ""]
        return ", ".join([word for word in words if word])

    @property
    def place(self) -> int | None:
        """Where it is asked for among the others; None where nobody said."""
        said = self.form.own.prompt
        return said.place if said else None


@require_GET
@requires(Role.VIEWER)
def variables(request: Request, public_id: UUID) -> HttpResponse:
    """Show every variable that the process mentions or has a say on."""
    process = found(public_id)
    company = _company()
    form = AddVariableForm(others=_others(process, company), initial={"revision": process.revision})
    return _page(request, process, company, form, _rows(process, company))


@require_POST
@requires(Role.DESIGNER)
def save_variables(request: Request, public_id: UUID) -> HttpResponse:
    """Write overrides and what is kept; `do` may add a variable to the tab or forget a kept value (“forget-GBL_…”)."""
    process = editable(public_id)
    company = _company()
    form = AddVariableForm(request.POST, others=_others(process, company))
    rows = _rows(process, company, request.POST)
    if not (form.is_valid() and rows.is_valid()):
        return _page(request, process, company, form, rows, status=422)
    said = rows.variables()
    sentence, anchor = "Saved to the draft.", ""
    if (name := form.cleaned_data["add"]) and name not in {item.name for item in said}:
        said = (*said, Variable(name=name, value=company[name], secure=name in _secure()))
        sentence = f"Saved to the draft. {name} has a value of this process's own now; change it below."
        anchor = f"#{name}"
    fields: dict[str, Any] = {}
    forgotten = request.POST.get("do", "").removeprefix("forget-")
    if forgotten in process.kept_values:
        fields["kept_values"] = {key: value for key, value in process.kept_values.items() if key != forgotten}
        sentence = f"Saved to the draft. The kept value of {forgotten} is forgotten, for the next run too."
        anchor = f"#{forgotten}"
    plan = replace(process.drafted, variables=tuple(sorted(said, key=lambda item: item.name)))
    if not write_draft(request, process, plan, form.cleaned_data["revision"], **fields):
        catch_up(form, process)
        return _page(request, process, company, form, rows, conflict=True, status=409)
    return go_on(request, process, reverse("process-variables", args=[public_id]) + anchor, sentence)


@require_GET
@requires(Role.VIEWER)
def prompt(request: Request, public_id: UUID, name: str) -> HttpResponse:
    """Show whether and how a variable is asked for when the process runs."""
    process = found(public_id)
    said = _said_of(process, name)
    # The link that says “Ask for it” has said that already.
    asked = said.prompt is not None or "ask" in request.GET
    form = _prompt_form(said, initial={"revision": process.revision, "asked": asked})
    return _prompt_page(request, process, said, form)


@require_POST
@requires(Role.DESIGNER)
def save_prompt(request: Request, public_id: UUID, name: str) -> HttpResponse:
    """Write the prompt of a variable to the draft."""
    process = editable(public_id)
    said = _said_of(process, name)
    form = _prompt_form(said, request.POST)
    if not form.is_valid():
        return _prompt_page(request, process, said, form, status=422)
    others = [item for item in process.drafted.variables if item.name != name]
    now = replace(said, prompt=form.prompt())
    listed = [*others, now] if now != Variable(name=name) else others
    plan = replace(process.drafted, variables=tuple(sorted(listed, key=lambda item: item.name)))
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        catch_up(form, process)
        return _prompt_page(request, process, said, form, conflict=True, status=409)
    return go_on(request, process, reverse("process-variables", args=[public_id]) + f"#{name}")


def _said_of(process: Process, name: str) -> Variable:
    """Give what the process says of a variable of the company's."""
    get_object_or_404(GlobalVariable, name=name)
    return next((item for item in process.drafted.variables if item.name == name), Variable(name=name))


def _prompt_form(said: Variable, data: Any = None, **kwargs: Any) -> PromptForm:
    return PromptForm(data, variable=said, secure=said.secure or said.name in _secure(), **kwargs)


def _prompt_page(
    request: Request, process: Process, said: Variable, form: PromptForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = frame(request, process, "variables", saves_tab=True, form=form, said=said, **more)
    return respond(request, "prompt", context, status)


def _company() -> dict[str, str]:
    return dict(GlobalVariable.objects.values_list("name", "value"))


def _secure() -> frozenset[str]:
    return frozenset(GlobalVariable.objects.filter(is_secure=True).values_list("name", flat=True))


def _listed(process: Process, company: Mapping[str, str]) -> list[Applies]:
    return applying(process.drafted, company, process.kept_values, _secure())


def _others(process: Process, company: Mapping[str, str]) -> list[str]:
    shown = {item.name for item in _listed(process, company)}
    return [name for name in company if name not in shown]


def _rows(process: Process, company: Mapping[str, str], data: Any = None) -> BaseVariableForms:
    names = [item.name for item in _listed(process, company)]
    return variable_forms(process.drafted, names, company, data, vault=vault_of(process.company), secure=_secure())


def _page(
    request: Request,
    process: Process,
    company: Mapping[str, str],
    form: AddVariableForm,
    rows: BaseVariableForms,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    for row in rows.forms:
        row.forget_secure()
    about = {item.name: item for item in _listed(process, company)}
    shown = [
        Row(row, about[name], _places(process, about[name])) for row in rows.forms if (name := _name_of(row)) in about
    ]
    context = frame(
        request,
        process,
        "variables",
        saves_tab=True,
        form=form,
        grid=rows,
        rows=shown,
        has_company_variables=bool(company),
        facts=FACTS,
        standing=STANDING,
        **more,
    )
    return respond(request, "variables", context, status)


def _name_of(form: VariableForm) -> str:
    name: str = form["name"].value() or ""
    return name


def _places(process: Process, applies: Applies) -> list[Place]:
    return [
        Place(item.words, place_of(process, Problem(sentence="", tab=item.tab, line=item.line, part=item.part)))
        for item in applies.mentions
    ]
