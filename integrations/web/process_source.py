"""The Source tab: kind, connection, options, sample file, columns and key fields."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import BaseFormSet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.audit import record
from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.connectors.spec import SourceKind
from integrations.engine.errors import WaybillError
from integrations.engine.plan import DOCUMENT, Column, Plan, SourceSpec
from integrations.forms.mapping import RevisionForm
from integrations.forms.process import ColumnForm, SampleForm, SourceForm, WatermarkForm, column_forms
from integrations.forms.surroundings import connections_for, source_kinds
from integrations.models import Process, Run, RunStatus, Watermark
from integrations.runs import preview
from integrations.runs.files import path_of, store
from integrations.runs.watermarks import changing
from integrations.web.editor import catch_up, editable, found, frame, go_on, respond, who_saved, write_draft


@require_GET
@requires(Role.VIEWER)
def source(request: Request, public_id: UUID) -> HttpResponse:
    """Where rows come from. `?kind=` shows another kind's options before it is saved."""
    process = found(public_id)
    return _source_page(request, process, _chosen_kind(request, process))


@require_POST
@requires(Role.DESIGNER)
def save_source(request: Request, public_id: UUID) -> HttpResponse:
    process = editable(public_id)
    kind = _chosen_kind(request, process)
    if kind is None:
        messages.warning(request, "Choose a kind of source first.")
        return redirect("process-source", public_id)
    draft = process.drafted
    form = SourceForm(request.POST, kind=kind, connections=connections_for(kind), spec=draft.source)
    columns = column_forms(draft, request.POST)
    if not (form.is_valid() and columns.is_valid()):
        return _source_page(request, process, kind, form=form, columns=columns, status=422)
    declared = [item.column() for item in columns.forms]
    keys = tuple(item.cleaned_data["name"] for item in columns.forms if item.cleaned_data["key"])
    spec = form.source(declared)
    keys = keys or keys_of(spec)
    if spec.kind != draft.source.kind or spec.options != draft.source.options or not declared:
        spec = replace(spec, columns=_columns_now(request, process, replace(spec, columns=()), declared))
        names = {column.name for column in spec.columns}
        keys = tuple(key for key in keys if key in names) or keys_of(spec)
    if not write_draft(request, process, replace(draft, source=spec, key_fields=keys), form.cleaned_data["revision"]):
        catch_up(form, process)
        return _source_page(request, process, kind, form=form, columns=columns, conflict=True, status=409)
    return go_on(request, process, reverse("process-source", args=[public_id]))


@require_POST
@requires(Role.DESIGNER)
def upload_sample(request: Request, public_id: UUID) -> HttpResponse:
    """Keep the file that previews read, and learn the columns from it."""
    process = editable(public_id)
    kind = source_kinds().get(process.drafted.source.kind)
    if kind is None:
        raise Http404
    form = SampleForm(request.POST, request.FILES, kind=kind)
    if not form.is_valid():
        return _source_page(request, process, kind, sample_form=form, status=422)
    file = form.cleaned_data["file"]
    stored = store(request.company, file, name=file.name, by=request.user)
    files = {"sample": stored} | ({"default_file": stored} if form.cleaned_data["keep_as_default"] else {})
    spec = process.drafted.source
    if kind.guess is not None and not spec.columns:
        # Nothing was fixed yet: what fits the first sample is offered, to be kept or changed.
        spec = replace(spec, options={**spec.options, **kind.guess(path_of(stored))})
    return _learn_columns(request, process, form.cleaned_data["revision"], spec, **files)


@require_POST
@requires(Role.DESIGNER)
def read_columns(request: Request, public_id: UUID) -> HttpResponse:
    """Read the columns again: of the query, of the sample, or of a file fetched through the connection."""
    process = editable(public_id)
    form = RevisionForm(request.POST)
    if not form.is_valid():
        raise Http404
    spec = process.drafted.source
    kind = source_kinds().get(spec.kind)
    files = {}
    if kind and kind.takes_file and spec.connection:
        try:
            files["sample"] = preview.fetch_sample(process, spec, by=request.user)
        except WaybillError as error:
            messages.error(request, error.sentence)
            return redirect("process-source", public_id)
    return _learn_columns(request, process, form.cleaned_data["revision"], spec, **files)


@require_POST
@requires(Role.DESIGNER)
def set_watermark(request: Request, public_id: UUID) -> HttpResponse:
    """Let the next run begin behind another value."""
    process = editable(public_id)
    spec = _read_for_changes(process)
    form = WatermarkForm(request.POST, spec=spec)
    if not form.is_valid():
        kind = source_kinds().get(process.drafted.source.kind)
        return _source_page(request, process, kind, watermark_form=form, status=422)
    with changing(process) as watermark:
        before = watermark.value
        watermark.set(spec.watermark, form.cleaned_data["value"], by=request.user)
        _record_watermark(request, process, "process.watermark_set", before, watermark.value)
    messages.success(request, f"The watermark is set. {_next_run(process)} reads what lies behind it.")
    return redirect("process-source", public_id)


@require_POST
@requires(Role.DESIGNER)
def reset_watermark(request: Request, public_id: UUID) -> HttpResponse:
    """Let the next run read from the beginning, and carry nothing."""
    process = editable(public_id)
    with changing(process) as watermark:
        before = watermark.value
        watermark.reset(by=request.user)
        _record_watermark(request, process, "process.watermark_reset", before, "")
    messages.success(request, f"The watermark is reset. {_next_run(process)} reads from the beginning.")
    return redirect("process-source", public_id)


def _read_for_changes(process: Process) -> SourceSpec:
    """Give the source that runs read for changes, or the draft where none does yet. Nothing else has a watermark."""
    newest = process.newest_version
    for spec in (*([newest.plan.source] if newest else []), process.drafted.source):
        if spec.reads_changes and spec.watermark:
            return spec
    raise Http404


def _record_watermark(request: Request, process: Process, action: str, before: str, after: str) -> None:
    record(action, process.name, before={"watermark": before}, after={"watermark": after}, request=request)


def _next_run(process: Process) -> str:
    """Name the run that will see what was changed: one that goes on has read what it reads."""
    going_on = Run.objects.filter(process=process, status=RunStatus.IN_PROGRESS).first()
    return f"Run {going_on.number} goes on as it began; the next one" if going_on else "The next run"


def keys_of(spec: SourceSpec) -> tuple[str, ...]:
    """The key fields of a source that says itself what its documents are."""
    return (DOCUMENT,) if spec.options.get("shape") == "documents" else ()


def _learn_columns(request: Request, process: Process, revision: int, spec: SourceSpec, **files: Any) -> HttpResponse:
    for name, stored in files.items():
        setattr(process, name, stored)
    draft = process.drafted
    columns = _columns_now(request, process, spec, draft.source.columns)
    keys = tuple(key for key in draft.key_fields if key in {column.name for column in columns}) or keys_of(spec)
    plan = replace(draft, source=replace(spec, columns=columns), key_fields=keys)
    if not write_draft(request, process, plan, revision, **files):
        messages.error(request, f"{who_saved(process)} meanwhile. Nothing was changed; try again on what is there now.")
    elif columns:
        known = "1 column is" if len(columns) == 1 else f"{len(columns):,} columns are"
        messages.success(request, f"{known} known. Check their types and choose the key fields.")
    return redirect("process-source", process.public_id)


def _columns_now(request: Request, process: Process, spec: SourceSpec, known: Sequence[Column]) -> tuple[Column, ...]:
    """Read the columns of the source as it is declared now, keeping declared types; on a fault keep what is known."""
    kind = source_kinds()[spec.kind]
    if kind.takes_file and not (process.sample or process.default_file):
        return tuple(known)
    if kind.needs_connection and not spec.connection:
        return tuple(known)
    try:
        names = preview.columns_of(process, spec)
    except WaybillError as error:
        messages.warning(request, f"The columns could not be read: {error.sentence}")
        return tuple(known)
    by_name = {column.name: column for column in known}
    return tuple(by_name.get(name, Column(name=name)) for name in names)


def _chosen_kind(request: Request, process: Process) -> SourceKind | None:
    asked = request.POST.get("kind") or request.GET.get("kind") or process.drafted.source.kind
    return source_kinds().get(asked)


def _source_page(
    request: Request,
    process: Process,
    kind: SourceKind | None,
    *,
    form: SourceForm | None = None,
    columns: "BaseFormSet[ColumnForm] | None" = None,
    sample_form: SampleForm | None = None,
    watermark_form: WatermarkForm | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    draft = process.drafted
    revision = {"revision": process.revision}
    if kind is not None:
        offered = connections_for(kind)
        form = form or SourceForm(kind=kind, connections=offered, spec=draft.source, initial=revision)
        sample_form = sample_form or SampleForm(kind=kind, initial=revision)
    columns = columns or column_forms(draft)
    first = _first_values(process, draft) if kind and kind.key == draft.source.kind else {}
    context = frame(
        request,
        process,
        "source",
        saves_tab=kind is not None,
        kind=kind,
        kinds=source_kinds().values(),
        saved_kind=draft.source.kind,
        form=form,
        columns=columns,
        column_rows=[(item, first.get(_name_of(item), [])) for item in columns.forms],
        sample_form=sample_form,
        watermark=Watermark.objects.select_related("moved_by", "set_by", "carried_from")
        .filter(process=process)
        .first(),
        watermark_form=watermark_form or WatermarkForm(spec=draft.source, auto_id="watermark-%s"),
        from_connection=bool(kind and not kind.from_parent and (not kind.takes_file or draft.source.connection)),
        **more,
    )
    return respond(request, "source", context, status)


def _name_of(form: ColumnForm) -> str:
    name: str = form["name"].value() or ""
    return name


def _first_values(process: Process, draft: Plan) -> dict[str, list[str]]:
    """Three different values of every column, to recognise it by; none while the source cannot be read."""
    if not draft.source.columns:
        return {}
    try:
        names, rows = preview.first_rows(process, draft.source)
    except WaybillError:
        # The problem list and the Preview page say why; a column is still worth showing without its values.
        return {}
    return {name: list(dict.fromkeys(row[index] for row in rows))[:3] for index, name in enumerate(names)}
