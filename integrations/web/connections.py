"""Connections: named settings and secrets for one outside system, made from a connector."""

import re
from collections import defaultdict
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import TextField
from django.db.models.functions import Cast
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.audit import record
from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.connectors.registry import CONNECTORS
from integrations.connectors.spec import Connector, FieldKind, Setting
from integrations.engine.errors import WaybillError
from integrations.forms.connection import ConnectionForm
from integrations.models import Connection, Process, ProcessVersion, Run
from integrations.runs.connections import opened

DOTS = "••••••"
NAMES_A_CONNECTION = re.compile(r'"(?:\w+_)?connection": ?"([0-9a-f-]{36})"')
"""A connection in the text of a plan: of its source, its destination, a task, or whatever else has one."""
TAKEN = "A connection of this name was made a moment ago. Choose another name."


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    connection: Connection
    connector: str
    points_at: str
    used_by: list[Process]


@dataclass(frozen=True)
class Group:
    """Settings that are shown together. `only` is the value that the choice `only_with` has to have; empty: always."""

    title: str
    only_with: str
    only: str
    fields: list[dict[str, Any]]


@require_GET
@requires(Role.VIEWER)
def connections(request: Request) -> HttpResponse:
    """List the company's connections: what each points at, and where it is used."""
    used_by = _users()
    rows = [_row(connection, used_by) for connection in Connection.objects.select_related("company")]
    return render(
        request,
        "connections/connections.html",
        {
            "rows": rows,
            "connectors": [item for item in CONNECTORS.values() if item.settings],
            "may_edit": _may_edit(request),
        },
    )


@require_http_methods(["GET", "POST"])
@requires(Role.DESIGNER)
def new(request: Request, connector: str) -> HttpResponse:
    """Make a connection from a connector."""
    chosen = _connector(connector)
    form = ConnectionForm(request.POST or None, connector=chosen, company=request.company)
    if not form.is_valid():
        return _page(request, form, chosen, None, status=422 if form.is_bound else 200)
    connection = Connection(
        company=request.company,
        name=form.cleaned_data["name"],
        connector=chosen.key,
        settings=form.settings,
        updated_by=request.user,
    )
    for name, text in form.new_secrets.items():
        connection.seal_secret(name, text)
    try:
        with transaction.atomic():
            connection.save()
            record("connection.created", connection.name, after=_shown(connection), request=request)
    except IntegrityError:
        form.add_error("name", TAKEN)
        return _page(request, form, chosen, None, status=422)
    messages.success(request, f"{connection.name} is saved..")
    return redirect("connection", connection.public_id)


@require_GET
@requires(Role.VIEWER)
def connection(request: Request, public_id: UUID) -> HttpResponse:
    """Show a connection: its settings, never its secrets, and where it is used."""
    found = _connection(public_id)
    chosen = _connector(found.connector)
    form = ConnectionForm(connector=chosen, company=request.company, connection=found)
    return _page(request, form, chosen, found)


@require_POST
@requires(Role.DESIGNER)
def save(request: Request, public_id: UUID) -> HttpResponse:
    """Write name, settings and replaced secrets, unless someone else saved meanwhile."""
    found = _connection(public_id)
    chosen = _connector(found.connector)
    form = ConnectionForm(request.POST, connector=chosen, company=request.company, connection=found)
    if not form.is_valid():
        return _page(request, form, chosen, found, status=422)
    before = _shown(found)
    fields = {"name": form.cleaned_data["name"], **_typed(form, found)}
    replaced = sorted({*form.new_secrets, *form.forgotten})
    try:
        with transaction.atomic():
            changed = found.change(revision=form.cleaned_data["revision"] or 0, by=request.user, **fields)
            if changed:
                after = _shown(found) | ({"secrets replaced": replaced} if replaced else {})
                record("connection.saved", found.name, before=before, after=after, request=request)
    except IntegrityError:
        form.add_error("name", TAKEN)
        return _page(request, form, chosen, found, status=422)
    if not changed:
        found.refresh_from_db()
        form.build_on(found.revision)
        return _page(request, form, chosen, found, status=409, conflict=True)
    messages.success(request, f"{found.name} is saved.")
    return redirect("connection", found.public_id)


@require_POST
@requires(Role.DESIGNER)
def test(request: Request, public_id: UUID) -> HttpResponse:
    """Try the connection as it is typed and say check by check what came of it. Writes nothing."""
    found = _connection(public_id)
    return _test(request, _connector(found.connector), found)


@require_POST
@requires(Role.DESIGNER)
def test_new(request: Request, connector: str) -> HttpResponse:
    """Try a connection before it is saved for the first time. Writes nothing."""
    return _test(request, _connector(connector), None)


def _test(request: Request, connector: Connector, connection: Connection | None) -> HttpResponse:
    form = ConnectionForm(request.POST, connector=connector, company=request.company, connection=connection)
    answer = {"connection": connection, **_tried(request, form, connector, connection)}
    if request.htmx:
        return render(request, "connections/_tested.html", answer)
    return _page(request, form, connector, **answer)


def _tried(
    request: Request, form: ConnectionForm, connector: Connector, connection: Connection | None
) -> dict[str, Any]:
    """Test what the form says, or say why that cannot be. What it is called matters to nobody it speaks to."""
    if connector.test is None:
        raise Http404
    if complaints := [error for name, errors in form.errors.items() if name != "name" for error in errors]:
        return {"refused": " ".join(map(str, complaints))}
    typed = copy(connection) if connection else Connection(company=request.company, connector=connector.key)
    typed.name = form["name"].value() or connector.title
    for name, value in _typed(form, typed).items():
        setattr(typed, name, value)
    try:
        tested = connector.test(opened(typed))
    except WaybillError as error:
        record("connection.tested", typed.name, after={"ok": False}, request=request)
        return {"refused": error.sentence}
    record("connection.tested", typed.name, after={"ok": tested.ok}, request=request)
    # What the test offers is done to the connection as it is saved.
    return {"tested": tested, "is_saved": connection is not None and not {*form.changed_data} - {"revision"}}


def _typed(form: ConnectionForm, connection: Connection) -> dict[str, Any]:
    """Give what the form says of settings and secrets. A secret that was not typed in is the one `connection` has."""
    for name, text in form.new_secrets.items():
        connection.seal_secret(name, text)
    answered = {*form.new_secrets, *form.forgotten}
    return {
        "settings": form.settings,
        "secrets": {name: sealed for name, sealed in connection.secrets.items() if name not in form.forgotten},
        "missing_secrets": [name for name in connection.missing_secrets if name not in answered],
    }


@require_POST
@requires(Role.DESIGNER)
def offer(request: Request, public_id: UUID, key: str) -> HttpResponse:
    """Carry out what the test offered, such as creating the delivery marker table."""
    found = _connection(public_id)
    carry_out = _connector(found.connector).offers.get(key)
    if carry_out is None:
        raise Http404
    try:
        sentence = carry_out(opened(found))
    except WaybillError as error:
        messages.error(request, error.sentence)
    else:
        record("connection.offer_taken", found.name, after={"offer": key}, request=request)
        messages.success(request, sentence)
    return redirect("connection", found.public_id)


@require_POST
@requires(Role.DESIGNER)
def delete(request: Request, public_id: UUID) -> HttpResponse:
    """Delete a connection that nothing uses; otherwise say what does."""
    found = _connection(public_id)
    if users := _users_of(found):
        names = ", ".join(process.name for process in users[:5]) + (" and others" if len(users) > 5 else "")
        messages.error(request, f"{found.name} is used by {names}. Choose another connection there first.")
        return redirect("connection", found.public_id)
    with transaction.atomic():
        record("connection.deleted", found.name, before=_shown(found), request=request)
        found.delete()
    messages.success(request, f"{found.name} is deleted.")
    return redirect("connections")


def points_at(connection: Connection, connector: Connector | None) -> str:
    """Say in a few words where a connection leads: the settings that say so under its choices, never a secret."""
    if connector is None:
        return ""
    given = connection.settings
    words = [
        str(given.get(setting.name) or "")
        for setting in connector.settings
        if setting.kind is FieldKind.TEXT
        and (setting.leads or setting.is_path or setting.only_with)
        and (setting.only_with is None or given.get(setting.only_with[0]) == setting.only_with[1])
    ]
    return " · ".join([word for word in words if word][:3])


def _row(connection: Connection, used_by: dict[str, list[Process]]) -> Row:
    connector = CONNECTORS.get(connection.connector)
    title = connector.title if connector else connection.connector
    return Row(connection, title, points_at(connection, connector), used_by.get(str(connection.public_id), []))


def _users_of(connection: Connection) -> list[Process]:
    return _users().get(str(connection.public_id), [])


def _users() -> dict[str, list[Process]]:
    """Give by connection the processes that name it anywhere now, or have a run under way that does."""
    running = ProcessVersion.objects.filter(pk__in=Run.objects.unfinished().values("version"))
    naming: dict[str, set[int]] = defaultdict(set)
    for plans, process, plan in (
        (Process.objects.all(), "pk", "draft"),
        (ProcessVersion.objects.that_are_newest() | running, "process", "plan_json"),
    ):
        for text, pk in plans.annotate(text=Cast(plan, TextField())).values_list("text", process):
            for key in NAMES_A_CONNECTION.findall(text):
                naming[key].add(pk)
    known = {process.pk: process for process in Process.objects.defer("draft", "target_profile")}
    return {key: [known[pk] for pk in known if pk in pks] for key, pks in naming.items()}


def _page(
    request: Request,
    form: ConnectionForm,
    connector: Connector,
    connection: Connection | None,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    if not _may_edit(request):
        form.disable()
    context = {
        "form": form,
        "groups": _groups(form),
        "has_secrets": any(setting.secret for setting in connector.settings),
        "connector": connector,
        "connection": connection,
        "may_edit": _may_edit(request),
        # A template would call the test to learn whether there is one.
        "may_test": _may_edit(request) and connector.test is not None,
        "used_by": _users_of(connection) if connection else [],
        "missing": [s.label for s in connector.settings if connection and s.name in connection.missing_secrets],
        "dots": DOTS,
        **more,
    }
    return render(request, "connections/connection.html", context, status=status)


def _groups(form: ConnectionForm) -> list[Group]:
    """Give the settings in their order, those together that are asked for one value of a choice only."""
    groups = []
    for only, settings in groupby(form.connector.settings, lambda setting: setting.only_with):
        name, value = only or ("", "")
        words = next((dict(item.choices)[value] for item in form.connector.settings if item.name == name), "")
        groups.append(Group(words, name, value, _setting_fields(form, settings)))
    return groups


def _setting_fields(form: ConnectionForm, settings: Iterable[Setting]) -> list[dict[str, Any]]:
    """What the page shows of each setting: its field, whether a secret is stored, and the way to remove that."""
    stored = form.connection.secrets if form.connection else {}
    return [
        {
            "bound": form[setting.name],
            "kept": setting.secret and setting.name in stored,
            "forget": form[f"forget-{setting.name}"] if f"forget-{setting.name}" in form.fields else None,
            "wide": setting.kind is FieldKind.LONG_TEXT,
        }
        for setting in settings
    ]


def _may_edit(request: Request) -> bool:
    return Role(request.membership.role).includes(Role.DESIGNER)


def _connector(key: str) -> Connector:
    try:
        return CONNECTORS[key]
    except KeyError:
        raise Http404 from None


def _connection(public_id: UUID) -> Connection:
    return get_object_or_404(Connection.objects.select_related("company", "updated_by"), public_id=public_id)


def _shown(connection: Connection) -> dict[str, Any]:
    """What the audit may hold of a connection: its settings, and of its secrets only that they exist."""
    secrets = dict.fromkeys(connection.secrets, DOTS)
    return {"name": connection.name, "connector": connection.connector, **connection.settings, **secrets}
