"""Processes: the list, a new one, its details, versions, and its way to the trash and back."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import IntegrityError, transaction
from django.db.models import Case, OuterRef, Subquery, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.audit import record
from accounts.http import Request
from accounts.models import Role, User
from accounts.policy import requires
from integrations.connectors.spec import DestinationKind, SourceKind
from integrations.engine.errors import WaybillError
from integrations.engine.plan import Plan
from integrations.forms.differences import differences
from integrations.forms.mapping import RevisionForm
from integrations.forms.process import (
    COPIED_NAME,
    DetailsForm,
    NewProcessForm,
    free_copy_name,
    name_is_taken,
)
from integrations.forms.surroundings import (
    destination_choices,
    destination_kinds,
    every_connection,
    profile,
    source_kinds,
)
from integrations.forms.used import callers_of
from integrations.models import Connection, Process, ProcessVersion, Run
from integrations.runs import preview
from integrations.web.editor import (
    catch_up,
    editable,
    found,
    frame,
    go_on,
    make_version,
    respond,
    who_saved,
)

PAGE_ROWS = 100
TAKEN = "A process of this name was made a moment ago. Choose another name."
COPIED = (
    "description",
    "group",
    "owner",
    "is_active",
    "only_administrators_run",
    "sample",
    "default_file",
    "target_profile",
)
SHOWN = {"active": "Active", "inactive": "Inactive", "trash": "Trash"}


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    process: Process
    version: ProcessVersion | None
    differs: bool
    source: str
    destination: str
    last_run: Run | None


@dataclass(frozen=True)
class Saved:
    """One line of the list of versions: what it changed against the one before."""

    version: ProcessVersion
    changes: list[str]
    before: ProcessVersion | None


# The list -------------------------------------------------------------------------------------------------------


@require_GET
@requires(Role.VIEWER)
def processes(request: Request) -> HttpResponse:
    """List processes by group: `show` is active, inactive or trash; `q` is part of a name, `group` the name of one."""
    show = request.GET.get("show", "active")
    show = show if show in SHOWN else "active"
    query = request.GET.get("q", "").strip()
    listed = {
        "active": Process.objects.kept().filter(is_active=True),
        "inactive": Process.objects.kept().filter(is_active=False),
        "trash": Process.objects.exclude(trashed_at=None),
    }
    group, groups = request.GET.get("group", ""), _groups()
    matching = listed[show].filter(name__icontains=query).select_related("owner")
    if group in groups:
        matching = matching.filter(group=group)
    # Those without a group come last.
    pages = Paginator(matching.order_by(Case(When(group="", then=1), default=0), "group", "name"), PAGE_ROWS)
    page = pages.get_page(request.GET.get("page"))
    context = {
        "rows": _rows(list(page.object_list)),
        "page": page,
        "query": query,
        "show": show,
        "group": group if group in groups else "",
        "groups": groups,
        "pills": [(key, label, listed[key].count()) for key, label in SHOWN.items()],
        "may_edit": Role(request.membership.role).includes(Role.DESIGNER),
    }
    return render(request, "processes/processes.html", context)


def _rows(page: list[Process]) -> list[Row]:
    """Gather what the list shows of these processes, in three queries however many there are."""
    newest = {v.process_id: v for v in ProcessVersion.objects.that_are_newest().filter(process__in=page)}
    newest_run = Run.objects.filter(process=OuterRef("pk")).order_by("-number").values("pk")[:1]
    last = Process.objects.filter(pk__in=[process.pk for process in page]).values(last=Subquery(newest_run))
    runs = {run.process_id: run for run in Run.objects.filter(pk__in=last)}
    names = {str(key): name for key, name in Connection.objects.values_list("public_id", "name")}
    sources, destinations = source_kinds(), destination_kinds()
    rows = []
    for process in page:
        draft, version = process.drafted, newest.get(process.pk)
        rows.append(
            Row(
                process=process,
                version=version,
                differs=version is not None and bool(differences(version.plan, draft)),
                source=_source_words(draft, sources, names),
                destination=_destination_words(draft, destinations, names),
                last_run=runs.get(process.pk),
            )
        )
    return rows


def _source_words(plan: Plan, kinds: "dict[str, SourceKind] | Any", names: dict[str, str]) -> str:
    kind = kinds.get(plan.source.kind)
    words = [kind.title if kind else "No source", names.get(plan.source.connection, "")]
    return " from ".join(word for word in words if word)


def _destination_words(plan: Plan, kinds: "dict[str, DestinationKind] | Any", names: dict[str, str]) -> str:
    kind = kinds.get(plan.destination.kind)
    if kind is None or (kind.needs_connection and not plan.destination.connection):
        return "No destination"
    targets = ", ".join(line.target for line in plan.lines if line.target)
    name = names.get(plan.destination.connection, "a deleted connection") if kind.needs_connection else kind.title
    return f"{name}: {targets}" if targets else name


@require_http_methods(["GET", "POST"])
@requires(Role.DESIGNER)
def new(request: Request) -> HttpResponse:
    """Make a process with its first draft, and open its Source tab."""
    kinds = source_kinds()
    form = NewProcessForm(
        request.POST or None,
        sources=kinds,
        connections_of=every_connection(kinds),
        destinations=destination_choices(),
        initial={"kind": next(iter(kinds), "")},
    )
    if not form.is_valid():
        return render(request, "processes/new.html", {"form": form}, status=422 if form.is_bound else 200)
    plan = form.plan()
    process = Process(
        company=request.company,
        name=form.cleaned_data["name"],
        description=form.cleaned_data["description"],
        draft=plan.to_json(),
        target_profile=_first_profile(request, plan),
        created_by=request.user,
        updated_by=request.user,
    )
    try:
        with transaction.atomic():
            process.save()
            record("process.created", process.name, after={"description": process.description}, request=request)
    except IntegrityError:
        form.add_error("name", TAKEN)
        return render(request, "processes/new.html", {"form": form}, status=422)
    messages.success(request, f"{process.name} is made. Say next where its rows come from.")
    return redirect("process-source", process.public_id)


def _first_profile(request: Request, plan: Plan) -> dict[str, Any]:
    if not plan.destination.connection:
        return {}
    try:
        return profile(preview.targets_of(plan.destination))
    except WaybillError as error:
        messages.warning(request, f"The targets of the destination could not be read: {error.sentence}")
        return {}


# Details ----------------------------------------------------------------------------------------------


@require_GET
@requires(Role.VIEWER)
def details(request: Request, public_id: UUID) -> HttpResponse:
    process = found(public_id)
    names = ("name", "description", "group", "owner", "is_active", "revision")
    initial = {name: getattr(process, name) for name in names} | {"owner": process.owner_id}
    form = DetailsForm(initial=initial, process=process, people=_people(request))
    return _details_page(request, process, form)


@require_POST
@requires(Role.DESIGNER)
def save_details(request: Request, public_id: UUID) -> HttpResponse:
    process = editable(public_id)
    form = DetailsForm(request.POST, process=process, people=_people(request))
    if not form.is_valid():
        return _details_page(request, process, form, status=422)
    given = dict(form.cleaned_data)
    revision = given.pop("revision")
    before = {name: getattr(process, name) for name in given}
    plan = replace(process.drafted, process=given["name"])
    if before != given:
        try:
            with transaction.atomic():
                changed = process.change(revision=revision, by=request.user, draft=plan.to_json(), **given)
                if changed:
                    record(
                        "process.details_saved", process.name, before=_told(before), after=_told(given), request=request
                    )
        except IntegrityError:
            form.add_error("name", TAKEN)
            return _details_page(request, process, form, status=422)
        if not changed:
            catch_up(form, process)
            return _details_page(request, process, form, conflict=True, status=409)
    return go_on(request, process, reverse("process", args=[public_id]), "Saved.")


def _details_page(
    request: Request, process: Process, form: DetailsForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    runs = Run.objects.filter(process=process)
    context = frame(
        request,
        process,
        "details",
        saves_tab=True,
        form=form,
        run_count=runs.count(),
        unfinished=runs.unfinished().count(),
        callers=callers_of(process),
        groups=_groups(),
        **more,
    )
    return respond(request, "details", context, status)


def _told(details: dict[str, Any]) -> dict[str, Any]:
    """Details as the audit log holds them."""
    told = dict(details)
    owner = told.pop("owner")
    return told | {"owned by": str(owner or "")}


def _people(request: Request) -> list[User]:
    members = User.objects.filter(memberships__company=request.company)
    return sorted(members, key=lambda person: str(person).casefold())


def _groups() -> list[str]:
    """The groups that processes are in, by name."""
    return list(Process.objects.kept().exclude(group="").order_by("group").values_list("group", flat=True).distinct())


@require_POST
@requires(Role.DESIGNER)
def copy(request: Request, public_id: UUID) -> HttpResponse:
    """Make another process of the draft of this one. Its runs and versions are not copied: saving makes its first."""
    process = editable(public_id)
    taken = Process.objects.kept().filter(name__istartswith=process.name[:COPIED_NAME])
    name = free_copy_name(process.name, {other.casefold() for other in taken.values_list("name", flat=True)})
    copied = Process(
        company=request.company,
        name=name,
        draft=replace(process.drafted, process=name).to_json(),
        created_by=request.user,
        updated_by=request.user,
        **{field: getattr(process, field) for field in COPIED},
    )
    try:
        with transaction.atomic():
            copied.save()
            copied.runners.set(process.runners.all())
            record("process.created", name, after={"copy of": process.name}, request=request)
    except IntegrityError:
        messages.error(request, f"A process named {name} was made a moment ago. Copy again.")
        return redirect("process", public_id)
    messages.success(request, f"{name} is a copy of {process.name}, as a draft: nothing runs until you press Save.")
    return redirect("process", copied.public_id)


# Versions -------------------------------------------------------------------------------------------------------


@require_GET
@requires(Role.VIEWER)
def versions(request: Request, public_id: UUID) -> HttpResponse:
    """List versions, newest first: who saved each, when, and what it changed."""
    process = found(public_id)
    pages = Paginator(process.versions.select_related("created_by").order_by("-number"), 25)
    page = pages.get_page(request.GET.get("page"))
    shown = list(page.object_list)
    oldest = shown[-1].number if shown else 0
    before = process.versions.filter(number__lt=oldest).order_by("-number").first()
    saved = [
        Saved(version, differences(earlier.plan, version.plan) if earlier else ["The first version"], earlier)
        for version, earlier in zip(shown, [*shown[1:], before], strict=False)
    ]
    return respond(request, "versions", frame(request, process, "versions", saved=saved, page=page))


@require_POST
@requires(Role.DESIGNER)
def save(request: Request, public_id: UUID) -> HttpResponse:
    """Make the draft, as the person saw it, the version that runs use."""
    process = editable(public_id)
    form = RevisionForm(request.POST)
    if not form.is_valid() or form.cleaned_data["revision"] != process.revision:
        messages.error(request, f"{who_saved(process)} meanwhile. Look at the draft again before you save a version.")
    else:
        make_version(request, process)
    return redirect(_way_back(request, process))


@require_POST
@requires(Role.DESIGNER)
def discard(request: Request, public_id: UUID) -> HttpResponse:
    """Put the newest version back into the draft."""
    process = editable(public_id)
    newest = process.newest_version
    if newest is None:
        messages.error(request, "There is no version yet to go back to.")
        return redirect("process", public_id)
    return _draft_from(request, process, newest, "The draft is discarded: it is version {number} again.")


@require_POST
@requires(Role.DESIGNER)
def restore_version(request: Request, public_id: UUID, number: int) -> HttpResponse:
    """Put an earlier version into the draft; saving it makes a new version."""
    process = editable(public_id)
    version = get_object_or_404(process.versions, number=number)
    return _draft_from(request, process, version, "Version {number} is in the draft now. Save makes it a new version.")


def _draft_from(request: Request, process: Process, version: ProcessVersion, sentence: str) -> HttpResponse:
    form = RevisionForm(request.POST)
    # Runs know a process by its present name, whatever it was called when the version was saved.
    plan = replace(version.plan, process=process.name)
    with transaction.atomic():
        changed = form.is_valid() and process.change(
            revision=form.cleaned_data["revision"], by=request.user, draft=plan.to_json()
        )
        if changed:
            record("process.draft_replaced", process.name, after={"version": version.number}, request=request)
    if changed:
        messages.success(request, sentence.format(number=version.number))
    else:
        messages.error(request, f"{who_saved(process)} meanwhile. Nothing was changed; look at the draft again.")
    return redirect("process-versions", process.public_id)


def _way_back(request: Request, process: Process) -> str:
    """The page of the editor that the person came from; only its own pages are taken."""
    home = reverse("process", args=[process.public_id])
    asked = request.POST.get("next", "")
    return asked if asked.startswith(home) else home


# Trash ----------------------------------------------------------------------------------------------------------


@require_POST
@requires(Role.DESIGNER)
def trash(request: Request, public_id: UUID) -> HttpResponse:
    """Put a process in the trash: it can no longer be started, its runs and versions stay."""
    process = editable(public_id)
    form = RevisionForm(request.POST)
    with transaction.atomic():
        changed = form.is_valid() and process.change(
            revision=form.cleaned_data["revision"], by=request.user, trashed_at=timezone.now()
        )
        if changed:
            record("process.trashed", process.name, request=request)
    if not changed:
        messages.error(request, f"{who_saved(process)} meanwhile. Nothing was changed; look at it again.")
        return redirect("process", public_id)
    under_way = Run.objects.unfinished().filter(process=process).count()
    going_on = f" {under_way} unfinished {'run goes' if under_way == 1 else 'runs go'} on." if under_way else ""
    messages.success(request, f"{process.name} is in the trash.{going_on}")
    return redirect("processes")


@require_POST
@requires(Role.DESIGNER)
def restore(request: Request, public_id: UUID) -> HttpResponse:
    """Take a process out of the trash, unless its name is taken by now."""
    process = found(public_id)
    if complaint := name_is_taken(process.name, but_for=process):
        messages.error(request, f"{complaint} Rename the other one, then restore this one.")
        return redirect("process", public_id)
    try:
        with transaction.atomic():
            restored = process.change(revision=process.revision, by=request.user, trashed_at=None)
            if restored:
                record("process.restored", process.name, request=request)
    except IntegrityError:
        messages.error(request, TAKEN)
        return redirect("process", public_id)
    if restored:
        messages.success(request, f"{process.name} is back.")
    return redirect("process", public_id)
