"""What a version of a process holds, and how two of them, or one and the draft, differ."""

from dataclasses import dataclass
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.engine.plan import Plan
from integrations.exchange.compare import parts_of, side_by_side, text_of
from integrations.exchange.things import names
from integrations.forms.differences import differences
from integrations.models import Process, Run
from integrations.web.editor import found, frame, respond

DRAFT = "draft"
NUMBERS_OFFERED = 500


@dataclass(frozen=True)
class Side:
    """One of two definitions that are compared: `key` is a version's number or “draft”."""

    key: str
    title: str
    plan: Plan


@require_GET
@requires(Role.VIEWER)
def version(request: Request, public_id: UUID, number: int) -> HttpResponse:
    """Show one version as readable text, part by part, with who made it and what it changed."""
    process = found(public_id)
    shown = get_object_or_404(process.versions.select_related("created_by"), number=number)
    before = process.versions.filter(number__lt=number).order_by("-number").first()
    after = process.versions.filter(number__gt=number).order_by("number").first()
    context = frame(
        request,
        process,
        "versions",
        version=shown,
        before=before,
        after=after,
        parts=parts_of(shown.plan, names()),
        told=differences(before.plan, shown.plan) if before else [],
        last_run=Run.objects.filter(version=shown).order_by("-number").first(),
    )
    return respond(request, "version", context)


@require_GET
@requires(Role.VIEWER)
def compare(request: Request, public_id: UUID) -> HttpResponse:
    """Show two definitions side by side: `old` and `new` are numbers of versions, or “draft”."""
    process = found(public_id)
    numbers = list(process.versions.order_by("-number").values_list("number", flat=True)[:NUMBERS_OFFERED])
    if not numbers:
        raise Http404
    old = _side(process, request.GET.get("old") or str(numbers[0]))
    new = _side(process, request.GET.get("new") or DRAFT)
    called = names()
    context = frame(
        request,
        process,
        "versions",
        old=old,
        new=new,
        sides=[("old", "From", old), ("new", "to", new)],
        offered=[(DRAFT, "Draft"), *((str(number), f"Version {number}") for number in numbers)],
        told=differences(old.plan, new.plan),
        rows=side_by_side(text_of(old.plan, called), text_of(new.plan, called)),
    )
    return respond(request, "compare", context)


def _side(process: Process, key: str) -> Side:
    if key == DRAFT:
        return Side(key, "Draft", process.drafted)
    number = int(key) if key.isdecimal() and len(key) < 9 else 0
    return Side(str(number), f"Version {number}", get_object_or_404(process.versions, number=number).plan)
