"""What a person keeps of the list of runs: its columns, and views by name."""

from urllib.parse import parse_qsl, urlencode

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.models import RunsView
from integrations.web.runs import EVERY, KEPT, is_uuid
from integrations.web.runs_columns import remember

VIEWS_KEPT = 50
NAME_LENGTH = 80


@require_POST
@requires(Role.VIEWER)
def save_columns(request: Request) -> HttpResponse:
    """*Select Columns*: remember which ones, and show the list as it was with them."""
    remember(request.company, request.user, request.POST.getlist("column"))
    return redirect(_list(_kept(request, without="columns")))


@require_POST
@requires(Role.VIEWER)
def save_view(request: Request) -> HttpResponse:
    """Keep the list as it is by a name, a new one or one that is known; `default`: Runs opens with it."""
    query, name = _kept(request), " ".join(request.POST.get("name", "").replace("\0", "").split())
    refused = _refused(request, name)
    if refused:
        messages.error(request, refused)
        return redirect(_list(query))
    is_default = request.POST.get("default") == "on"
    with transaction.atomic():
        if is_default:
            RunsView.objects.filter(user=request.user).update(is_default=False)
        RunsView.objects.update_or_create(
            company=request.company, user=request.user, name=name, defaults={"query": query, "is_default": is_default}
        )
    messages.success(request, f"The view {name} is saved{', and Runs opens with it' if is_default else ''}.")
    return redirect(_list(query))


@require_POST
@requires(Role.VIEWER)
def change_view(request: Request) -> HttpResponse:
    """Delete a view of one's own, or let Runs open with it, or no longer."""
    named = request.POST.get("view", "")
    view = RunsView.objects.filter(user=request.user, public_id=named).first() if is_uuid(named) else None
    do = request.POST.get("do", "")
    if view is None:
        messages.error(request, "The view is no longer here: it was deleted meanwhile. Nothing was changed.")
    elif do == "delete":
        view.delete()
        messages.success(request, f"The view {view.name} is deleted.")
    elif do in ("open-with", "open-without"):
        with transaction.atomic():
            RunsView.objects.filter(user=request.user).update(is_default=False)
            RunsView.objects.filter(pk=view.pk).update(is_default=do == "open-with")
        opens = f"with {view.name}" if do == "open-with" else "with every run"
        messages.success(request, f"Runs opens {opens} now.")
    return redirect(_list(_kept(request)))


def _refused(request: Request, name: str) -> str:
    """Say why the view cannot be saved; "" when it can."""
    if not name:
        return "The view needs a name. Fill in Name of the view."
    if len(name) > NAME_LENGTH:
        return f"The name of the view has {len(name)} characters; it may have {NAME_LENGTH}. Shorten it."
    mine = RunsView.objects.filter(user=request.user)
    if mine.exclude(name=name).count() >= VIEWS_KEPT:
        return f"You have {VIEWS_KEPT} views, and no more are kept. Delete one first."
    return ""


def _kept(request: Request, without: str = "") -> str:
    """Give what the sent address says of the list, and nothing else."""
    sent = dict(parse_qsl(request.POST.get("query", "")[:2_000].replace("\0", "")))
    return urlencode({name: sent[name][:200] for name in KEPT if sent.get(name) and name != without})[:2_000]


def _list(query: str) -> str:
    return f"{reverse('runs')}?{query or EVERY}"
