"""The Source tab: kind, connection, options, sample file, columns and key fields."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
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
from integrations.forms.process import (
    BaseColumnForms,
    SampleForm,
    SourceForm,
    WatermarkForm,
    column_forms,
    option,
)
from integrations.forms.renaming import renamed
from integrations.forms.surroundings import connections_for, source_kinds
from integrations.models import Process, Run, RunStatus, StoredFile, Watermark
from integrations.runs import preview
from integrations.runs.files import path_of, store
from integrations.runs.watermarks import changing
from integrations.web.editor import catch_up, editable, found, frame, go_on, respond, write_draft

SPARE_COLUMNS = 3


@require_GET
@requires(Role.VIEWER)
def source(request: Request, public_id: UUID) -> HttpResponse:
    """Where rows come from. `?kind=` shows another kind's options before it is saved."""
    process = found(public_id)
    return _source_page(request, process, _chosen_kind(request, process))


@require_POST
@requires(Role.DESIGNER)
def save_source(request: Request, public_id: UUID) -> HttpResponse:
    """Write the tab to the draft; a sample file that was chosen comes along."""
    return _save(request, editable(public_id))


@require_POST
@requires(Role.DESIGNER)
def upload_sample(request: Request, public_id: UUID) -> HttpResponse:
    """Save the tab with the file that previews read, and learn the columns from it."""
    return _save(request, editable(public_id), wants_file=True)


@require_POST
@requires(Role.DESIGNER)
def read_columns(request: Request, public_id: UUID) -> HttpResponse:
    """Save the tab and read the columns: of the query, of the sample, or of a file fetched through the connection."""
    return _save(request, editable(public_id), reads=True)


def _save(request: Request, process: Process, *, wants_file: bool = False, reads: bool = False) -> HttpResponse:
    kind = _chosen_kind(request, process)
    if kind is None:
        messages.warning(request, "Choose a kind of source first.")
        return redirect("process-source", process.public_id)
    draft = process.drafted
    form = SourceForm(request.POST, kind=kind, connections=connections_for(kind), spec=draft.source)
    columns = column_forms(draft, request.POST)
    sample_form = SampleForm(request.POST, request.FILES, kind=kind, is_wanted=wants_file and kind.takes_file)
    page = partial(_source_page, request, process, kind, form=form, columns=columns, sample_form=sample_form)
    if not all([form.is_valid(), columns.is_valid(), sample_form.is_valid()]):
        return page(status=422)
    declared = [item.column() for item in columns.kept]
    draft = renamed(draft, columns.renamed)
    spec = form.source(declared)
    spec = replace(spec, watermark=columns.renamed.get(spec.watermark, spec.watermark))
    files = _kept_files(request, sample_form) if kind.takes_file else {}
    if files and kind.guess is not None and not declared:
        # Nothing was fixed yet: what fits the first sample is offered, to be kept or changed.
        spec = replace(spec, options={**spec.options, **_guessed(kind, files["sample"], form)})
    fetches = bool(reads and kind.takes_file and spec.connection)
    if fetches:
        files |= _fetched(request, process, spec)
    asked = bool(files) or (reads and not fetches)
    for name, stored in files.items():
        setattr(process, name, stored)
    if _are_to_be_read(process.drafted, spec, asked=asked):
        spec = replace(spec, columns=_columns_now(request, process, replace(spec, columns=()), declared))
    names = {column.name for column in spec.columns}
    keys = tuple(item.cleaned_data["name"] for item in columns.kept if item.cleaned_data["key"])
    plan = replace(draft, source=spec, key_fields=tuple(key for key in keys if key in names) or keys_of(spec))
    if not write_draft(request, process, plan, form.cleaned_data["revision"], **files):
        catch_up(form, process)
        return page(conflict=True, status=409)
    sentence = _saved(columns, spec, asked=asked)
    return go_on(request, process, reverse("process-source", args=[process.public_id]), sentence)


def _kept_files(request: Request, form: SampleForm) -> dict[str, StoredFile]:
    """Keep the file that was chosen, as the fields of the process that it belongs to; nothing when none was."""
    file = form.cleaned_data["file"]
    if not file:
        return {}
    stored = store(request.company, file, name=file.name, by=request.user)
    return {"sample": stored} | ({"default_file": stored} if form.cleaned_data["keep_as_default"] else {})


def _fetched(request: Request, process: Process, spec: SourceSpec) -> dict[str, StoredFile]:
    """Fetch a sample through the connection; when there is none to be had, say why."""
    try:
        return {"sample": preview.fetch_sample(process, spec, by=request.user)}
    except WaybillError as error:
        messages.error(request, error.sentence)
        return {}


def _guessed(kind: SourceKind, sample: StoredFile, form: SourceForm) -> dict[str, Any]:
    """The options that fit a sample, but for those that a person has just typed."""
    found = kind.guess(path_of(sample)) if kind.guess else {}
    return {name: value for name, value in found.items() if option(name) not in form.changed_data}


def _are_to_be_read(before: Plan, spec: SourceSpec, *, asked: bool) -> bool:
    """Say whether the source is asked for its columns: where a person wants it, or where it is read in another way.

    What a person typed of the columns stands: it is not read over unless that is asked for.
    """
    names = [column.name for column in spec.columns]
    if asked or not names:
        return True
    is_typed = names != [column.name for column in before.source.columns]
    is_other = (spec.kind, spec.options) != (before.source.kind, before.source.options)
    return is_other and not is_typed


def _saved(columns: BaseColumnForms, spec: SourceSpec, *, asked: bool) -> str:
    """Say what came of the columns."""
    known = len(spec.columns)
    sentences = ["Saved to the draft."]
    if asked and known:
        is_known = "1 column is" if known == 1 else f"{known:,} columns are"
        sentences.append(f"{is_known} known. Check their types and choose the key fields.")
    names = {column.name for column in spec.columns}
    if there := [f"{old} is {new} now" for old, new in columns.renamed.items() if new in names]:
        sentences.append(f"{', '.join(there)}. What is mapped, grouped or matched by it follows; scripts do not.")
    if gone := [item.cleaned_data["name"] for item in columns.kept if item.cleaned_data["name"] not in names]:
        more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
        sentences.append(f"No longer there: {', '.join(gone[:5])}{more}.")
    return " ".join(sentences)


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
    columns: BaseColumnForms | None = None,
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
        sample_form = sample_form or SampleForm(kind=kind, is_wanted=False)
    columns = columns or column_forms(draft, spare=0 if kind and kind.from_parent else SPARE_COLUMNS)
    first = _first_values(process, draft) if kind and kind.key == draft.source.kind else {}
    context = frame(
        request,
        process,
        "source",
        saves_tab=kind is not None,
        saved_url=reverse("process-source", args=[process.public_id]),
        kind=kind,
        kinds=source_kinds().values(),
        saved_kind=draft.source.kind,
        form=form,
        columns=columns,
        column_rows=[(item, first.get(item.called, [])) for item in columns.forms],
        known=len(draft.source.columns),
        sample_form=sample_form,
        watermark=Watermark.objects.select_related("moved_by", "set_by", "carried_from")
        .filter(process=process)
        .first(),
        watermark_form=watermark_form or WatermarkForm(spec=draft.source, auto_id="watermark-%s"),
        reads=bool(kind and not kind.from_parent),
        **more,
    )
    return respond(request, "source", context, status)


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
