"""The Options tab of a process: how its runs behave, and who may start them."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.audit import record
from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.forms.options import OptionsForm, RunnersForm, initial_of
from integrations.models import Process
from integrations.web.editor import catch_up, editable, found, frame, go_on, respond, write_draft


@require_GET
@requires(Role.VIEWER)
def options(request: Request, public_id: UUID) -> HttpResponse:
    process = found(public_id)
    form = OptionsForm(initial=initial_of(process.drafted.options) | {"revision": process.revision})
    return _page(request, process, form)


@require_POST
@requires(Role.DESIGNER)
def save_options(request: Request, public_id: UUID) -> HttpResponse:
    process = editable(public_id)
    form = OptionsForm(request.POST)
    if not form.is_valid():
        return _page(request, process, form, status=422)
    plan = replace(process.drafted, options=form.options())
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        catch_up(form, process)
        return _page(request, process, form, status=409, conflict=True)
    return go_on(request, process, reverse("process-options", args=[public_id]))


@require_POST
@requires(Role.DESIGNER)
def save_runners(request: Request, public_id: UUID) -> HttpResponse:
    """Say who may run the integration. It holds from this moment, for versions of any age."""
    process = editable(public_id)
    form = RunnersForm(request.POST, process=process)
    if not form.is_valid():
        options_form = OptionsForm(initial=initial_of(process.drafted.options) | {"revision": process.revision})
        return _page(request, process, options_form, status=422, runners=form)
    before = _may_run(process)
    with transaction.atomic():
        process.runners.set(form.cleaned_data["people"])
        process.only_administrators_run = form.cleaned_data["only_administrators_run"]
        process.save(update_fields=["only_administrators_run"])
        after = _may_run(process)
        if before != after:
            record(
                "process.runners_saved",
                process.name,
                before={"may run": before},
                after={"may run": after},
                request=request,
            )
    return go_on(request, process, reverse("process-options", args=[public_id]), "Saved.")


def _may_run(process: Process) -> list[str]:
    return ["administrators only"] if process.only_administrators_run else sorted(map(str, process.runners.all()))


def _page(
    request: Request, process: Process, form: OptionsForm, *, status: int = 200, runners: Any = None, **more: Any
) -> HttpResponse:
    runners = runners or RunnersForm(process=process)
    context = frame(request, process, "options", saves_tab=True, form=form, runners=runners, **more)
    return respond(request, "options", context, status)
