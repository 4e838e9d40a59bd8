"""The Target tab: where documents go, and the lines that they are written to."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.connectors.spec import DestinationKind
from integrations.engine.errors import WaybillError
from integrations.engine.plan import Line, Plan, WriteMode
from integrations.forms.process import BaseLineForms, DestinationForm, free_copy_name, line_forms, places_in
from integrations.forms.surroundings import destination_choices, destination_kinds, profile, targets_of
from integrations.models import Process
from integrations.runs import preview
from integrations.web.editor import catch_up, editable, found, frame, go_on, respond, write_draft


@require_GET
@requires(Role.VIEWER)
def target(request: Request, public_id: UUID) -> HttpResponse:
    return _target_page(request, found(public_id))


@require_POST
@requires(Role.DESIGNER)
def save_target(request: Request, public_id: UUID) -> HttpResponse:
    """Write destination and lines; `do` may also add, copy, remove or move a line, or read the targets again."""
    process = editable(public_id)
    draft = process.drafted
    kind = destination_kinds().get(draft.destination.kind)
    form = DestinationForm(request.POST, destinations=destination_choices(), spec=draft.destination, kind=kind)
    lines = line_forms(draft.lines, targets_of(process), request.POST, kind=kind)
    if not (form.is_valid() and lines.is_valid()):
        return _target_page(request, process, form=form, lines=lines, status=422)
    destination = form.result()
    action = request.POST.get("do", "")
    chosen = destination_kinds().get(destination.kind)
    plan = replace(draft, destination=destination, lines=_fitting(_arranged(lines.lines(), action), chosen))
    fields: dict[str, Any] = {}
    elsewhere = (destination.kind, destination.connection) != (draft.destination.kind, draft.destination.connection)
    if elsewhere or action == "read":
        known = _profile_now(request, plan)
        fields["target_profile"] = {} if known is None and elsewhere else known
        if fields["target_profile"] is None:
            fields = {}
    if not write_draft(request, process, plan, form.cleaned_data["revision"], **fields):
        catch_up(form, process)
        return _target_page(request, process, form=form, lines=lines, conflict=True, status=409)
    return go_on(request, process, reverse("process-target", args=[public_id]) + _anchor(action, len(plan.lines)))


def _profile_now(request: Request, plan: Plan) -> dict[str, Any] | None:
    """Ask the destination for its targets; None, with the reason said, when it does not answer."""
    if not plan.destination.connection:
        return {}
    try:
        return profile(preview.targets_of(plan.destination))
    except WaybillError as error:
        messages.warning(request, f"The targets could not be read: {error.sentence}")
        return None


def _arranged(lines: Sequence[Line], action: str) -> tuple[Line, ...]:
    """Carry out “add”, “copy-2”, “remove-2”, “up-2”, “down-2” or “move-2-5” (from 1) on the lines; any other word
    leaves them."""
    arranged = list(lines)
    word, at, to = places_in(action, len(lines))
    if word == "add":
        arranged.append(Line(name=_free_name({line.name for line in lines}), target=""))
    elif word == "copy" and at >= 0:
        name = free_copy_name(arranged[at].name, {line.name.casefold() for line in lines})
        arranged.insert(at + 1, replace(arranged[at], name=name))
    elif word == "remove" and at >= 0:
        arranged.pop(at)
    elif word in ("up", "down", "move") and at >= 0 and to >= 0:
        arranged.insert(to, arranged.pop(at))
    return tuple(arranged)


def _fitting(lines: Sequence[Line], kind: DestinationKind | None) -> tuple[Line, ...]:
    """Let every line do what the destination can do; one that finds no records needs no keys."""
    if kind is None:
        return tuple(lines)
    only_new = kind.modes == (WriteMode.INSERT,)
    fitting = [line if line.mode in kind.modes else replace(line, mode=kind.modes[0]) for line in lines]
    return tuple(replace(line, keys=()) if only_new else line for line in fitting)


def _free_name(taken: set[str]) -> str:
    return next(name for number in range(1, len(taken) + 2) if (name := f"Line {number}") not in taken)


def _anchor(action: str, count: int) -> str:
    word, at, to = places_in(action, count)
    if word == "copy" and at >= 0:
        return f"#line-{at + 2}"
    if word in ("up", "down", "move") and to >= 0:
        return f"#line-{to + 1}"
    return f"#line-{count}" if word == "add" else ""


def _target_page(
    request: Request,
    process: Process,
    *,
    form: DestinationForm | None = None,
    lines: BaseLineForms | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    draft = process.drafted
    kind = destination_kinds().get(draft.destination.kind)
    form = form or DestinationForm(
        destinations=destination_choices(), spec=draft.destination, kind=kind, initial={"revision": process.revision}
    )
    targets = targets_of(process)
    lines = lines or line_forms(draft.lines, targets, kind=kind)
    context = frame(
        request,
        process,
        "target",
        saves_tab=True,
        form=form,
        lines=lines,
        kind=kind,
        targets=targets,
        reads=bool(kind and kind.targets),
        **more,
    )
    return respond(request, "target", context, status)
