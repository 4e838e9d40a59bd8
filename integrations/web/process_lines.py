"""The Integration tab: per line its source grouping, mapping and restriction."""

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET, require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.engine.errors import WaybillError
from integrations.engine.plan import FieldMap, Line, Plan
from integrations.forms.judging import nearest
from integrations.forms.mapping import (
    BASES,
    COLUMN_TYPES,
    DAYS,
    MOST_MOVED,
    NO_MATCH,
    UNITS,
    WITHOUT_PARENT,
    BaseFieldMaps,
    FieldMapForm,
    GroupingForm,
    RestrictionForm,
    RevisionForm,
    field_map_forms,
    matched_by_name,
)
from integrations.forms.process import TYPES
from integrations.forms.surroundings import destination_choices, first_complaint, targets_of, warnings
from integrations.forms.used import callers_of
from integrations.models import GlobalVariable, Process, RollingNumber, TranslationTable
from integrations.runs.trial import try_restriction
from integrations.web.editor import catch_up, code_names, editable, found, frame, go_on, respond, write_draft
from integrations.web.samples import Cell, LineSample, line_sample, sampled_documents

PARTS = (
    ("grouping", "Source Grouping", "process-grouping"),
    ("mapping", "Mapping", "process-mapping"),
    ("additional", "Additional Columns", "process-additional"),
    ("restriction", "Restriction", "process-restriction"),
)


@require_GET
@requires(Role.VIEWER)
def integration(request: Request, public_id: UUID) -> HttpResponse:
    """Lead to the first line's mapping; without a line, say where lines are made."""
    process = found(public_id)
    if process.drafted.lines:
        return redirect("process-mapping", public_id, 1)
    return respond(request, "integration", frame(request, process, "integration"))


def line_of(process: Process, number: int) -> Line:
    lines = process.drafted.lines
    if not 1 <= number <= len(lines):
        raise Http404
    return lines[number - 1]


def with_line(plan: Plan, number: int, line: Line) -> Plan:
    lines = list(plan.lines)
    lines[number - 1] = line
    return replace(plan, lines=tuple(lines))


def line_frame(request: Request, process: Process, number: int, part: str, **more: Any) -> dict[str, Any]:
    args = [process.public_id, number]
    context = frame(request, process, "integration", saves_tab=True, part=part, number=number, **more)
    context["line"] = line_of(process, number)
    context["parts"] = [(key, label, reverse(name, args=args)) for key, label, name in PARTS]
    context["line_links"] = [
        (at, line.name, reverse(f"process-{part}", args=[process.public_id, at]))
        for at, line in enumerate(process.drafted.lines, start=1)
    ]
    context["destination_words"] = dict(destination_choices()).get(
        f"{process.drafted.destination.kind}@{process.drafted.destination.connection}", ""
    )
    return context


@require_GET
@requires(Role.VIEWER)
def grouping(request: Request, public_id: UUID, number: int) -> HttpResponse:
    process = found(public_id)
    line = line_of(process, number)
    form = GroupingForm(plan=process.drafted, line=line, initial={"revision": process.revision})
    return respond(request, "grouping", line_frame(request, process, number, "grouping", form=form))


@require_POST
@requires(Role.DESIGNER)
def save_grouping(request: Request, public_id: UUID, number: int) -> HttpResponse:
    process = editable(public_id)
    form = GroupingForm(request.POST, plan=process.drafted, line=line_of(process, number))
    if not form.is_valid():
        return respond(request, "grouping", line_frame(request, process, number, "grouping", form=form), 422)
    plan = with_line(process.drafted, number, form.result())
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        catch_up(form, process)
        context = line_frame(request, process, number, "grouping", form=form, conflict=True)
        return respond(request, "grouping", context, 409)
    return go_on(request, process, reverse("process-grouping", args=[public_id, number]))


@require_GET
@requires(Role.VIEWER)
def mapping(request: Request, public_id: UUID, number: int) -> HttpResponse:
    process = found(public_id)
    line = line_of(process, number)
    grid = _grid(process, line)
    form = RevisionForm(initial={"revision": process.revision})
    return _mapping_page(request, process, number, form, grid, process.drafted)


@require_POST
@requires(Role.DESIGNER)
def save_mapping(request: Request, public_id: UUID, number: int) -> HttpResponse:
    process = editable(public_id)
    line = line_of(process, number)
    form, grid = RevisionForm(request.POST), _grid(process, line, request.POST)
    if not (form.is_valid() and grid.is_valid()):
        return _mapping_page(request, process, number, form, grid, process.drafted, status=422)
    line = replace(line, fields=grid.field_maps())
    sentence = "Saved to the draft."
    action = request.POST.get("do", "")
    if action.startswith("take-"):
        line = _taken(process, line, action.removeprefix("take-"))
    elif action == "match":
        line, names = matched_by_name(line, targets_of(process).get(line.target, ()), process.drafted.source.columns)
        matched = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
        sentence = f"{len(names):,} matched by name: {matched}." if names else "No further target has a column's name."
    plan = with_line(process.drafted, number, line)
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        catch_up(form, process)
        return _mapping_page(request, process, number, form, grid, plan, conflict=True, status=409)
    return go_on(request, process, reverse("process-mapping", args=[public_id, number]), sentence)


def _addresses(process: Process, number: int) -> dict[str, str]:
    """Where the grid of a mapping is saved, computed, and completed by lookups."""
    args = [process.public_id, number]
    return {
        "save_url": reverse("process-mapping-save", args=args),
        "sample_url": reverse("process-mapping-sample", args=args),
        "lookup_part": "mapping",
    }


def _taken(process: Process, line: Line, target: str) -> Line:
    """Map `target` to the column whose name is nearest."""
    column = nearest(target, [column.name for column in process.drafted.source.columns])
    about = next((item for item in targets_of(process).get(line.target, ()) if item.name == target), None)
    if not column or about is None:
        return line
    taken = FieldMap(target=target, value=column, type=about.type, required=about.required)
    return replace(line, fields=(*(item for item in line.fields if item.target != target), taken))


@require_POST
@requires(Role.DESIGNER)
def mapping_sample(request: Request, public_id: UUID, number: int) -> HttpResponse:
    """Compute the sample for the grid as it stands on the screen, saved or not. Writes nothing."""
    process = found(public_id)
    line = line_of(process, number)
    grid = _grid(process, line, request.POST)
    # A row that cannot be computed says so itself; the others are computed without it.
    fields = tuple(item for form in grid.forms if form.is_valid() and (item := form.field_map()))
    plan = with_line(process.drafted, number, replace(line, fields=fields))
    sample = sample_of(process, plan, number, request)
    context = {"grid": grid, "sample": sample, "rows": rows_of(grid, sample)} | _addresses(process, number)
    return render(request, "processes/_samples.html", context)


def _grid(process: Process, line: Line, data: Any = None) -> BaseFieldMaps:
    variables = tuple(GlobalVariable.objects.values_list("name", flat=True))
    fields = targets_of(process).get(line.target, ())
    tables = {str(key): name for key, name in TranslationTable.objects.values_list("public_id", "name")}
    sequences = {str(key): name for key, name in RollingNumber.objects.values_list("public_id", "name")}
    return field_map_forms(
        process.drafted,
        line,
        fields,
        first_complaint,
        data,
        variables=variables,
        tables=tables,
        sequences=sequences,
    )


def sample_of(process: Process, plan: Plan, number: int, request: Request) -> LineSample:
    return line_sample(process, plan, number, sample_number(request))


def sample_number(request: Request) -> int:
    """Say which document of the sample was asked for."""
    asked = request.POST.get("sample") or request.GET.get("sample") or "1"
    return int(asked) if asked.isdecimal() and len(asked) < 9 else 1


def rows_of(
    grid: BaseFieldMaps, sample: LineSample, *, mapped: str = "Mapped", more: str = "Add fields"
) -> list[dict[str, Any]]:
    """Give what each row of the grid shows, with its sample, and the title of the group that begins with it."""
    titles = {"missing": "Required, not mapped", "mapped": mapped, "rest": "Optional, not mapped", "": more}
    groups = [item.initial.get("group", "") for item in grid.forms]
    counts, begun = Counter(groups), set[str]()
    rows = []
    for at, (item, group) in enumerate(zip(grid.forms, groups, strict=True)):
        title = "" if group in begun else titles[group]
        rows.append({**_row(at, item, group, sample), "title": title, "count": counts[group]})
        begun.add(group)
    return rows


def blank_row(grid: BaseFieldMaps) -> dict[str, Any] | None:
    """Give the row that a grid adds when more are pasted than it has; None where the target says what its fields are."""
    return None if grid.offered.known else _row("__at__", grid.empty_form, "", LineSample())


def _row(at: int | str, item: FieldMapForm, group: str, sample: LineSample) -> dict[str, Any]:
    offered, target = item.offered, item.shown["target"]
    kind = item.shown["column_type"]
    return {
        "at": at,
        "is_bad": bool(item.errors),
        "shown": item.shown,
        # Nothing but the added fields is named by whoever maps.
        "target": item.initial.get("target") or "",
        "of": item.initial.get("target") or "the added field",
        "kind": kind,
        "kinds": _choices_html(tuple(COLUMN_TYPES), kind),
        "about": offered.known.get(target),
        "key": target in offered.keys,
        "sample": _cell_of(item, sample),
        "group": group,
        "nearest": nearest(target, offered.columns) if group == "missing" else "",
        "place": offered.places.get(target, 0),
        "lookup": item.initial.get("lookup"),
    }


def cells_of(grid: BaseFieldMaps, process: Process) -> dict[str, Any]:
    """What the cells of a grid offer to choose from: once for the page, not once a row."""
    offered = grid.offered
    return {
        "columns": offered.columns,
        "variables": offered.variables,
        "parent_columns": dict.fromkeys(c.name for above in callers_of(process) for c in above.drafted.all_columns),
        "tables": offered.tables.items(),
        "known_tables": offered.tables,
        "sequences": offered.sequences.items(),
        "known_sequences": offered.sequences,
        "no_match": NO_MATCH,
        "bases": BASES,
        "without_parent": WITHOUT_PARENT,
        "units": UNITS,
        "days": DAYS,
        "types": TYPES,
        "kinds": [kind for kind, _ in COLUMN_TYPES if kind],
        "most": str(MOST_MOVED),
    }


# The same few choices stand in each of hundreds of rows.
@lru_cache(maxsize=64)
def _choices_html(choices: tuple[tuple[str, str], ...], chosen: str) -> SafeString:
    return format_html_join(
        "",
        '<option value="{}"{}>{}</option>',
        ((key, mark_safe(" selected") if key == chosen else "", words) for key, words in choices),
    )


def _cell_of(item: FieldMapForm, sample: LineSample) -> Cell | None:
    if item.is_bound and item.errors:
        return Cell(problem=str(next(iter(item.errors.values()))[0]))
    return sample.cells.get(item.shown["target"])


def _mapping_page(
    request: Request,
    process: Process,
    number: int,
    form: RevisionForm,
    grid: BaseFieldMaps,
    plan: Plan,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    sample = sample_of(process, plan, number, request)
    more |= {
        "names": code_names(process),
        "sample": sample,
        "rows": rows_of(grid, sample),
        "blank": blank_row(grid),
        "cells": cells_of(grid, process),
    }
    more |= _addresses(process, number)
    context = line_frame(request, process, number, "mapping", form=form, grid=grid, **more)
    return respond(request, "mapping", context, status)


@require_GET
@requires(Role.VIEWER)
def restriction(request: Request, public_id: UUID, number: int) -> HttpResponse:
    process = found(public_id)
    line = line_of(process, number)
    form = RestrictionForm(check=first_complaint, initial={"revision": process.revision, "script": line.restriction})
    return _restriction_page(request, process, number, form)


@require_POST
@requires(Role.DESIGNER)
def save_restriction(request: Request, public_id: UUID, number: int) -> HttpResponse:
    process = editable(public_id)
    line = line_of(process, number)
    form = RestrictionForm(request.POST, check=first_complaint)
    if not form.is_valid():
        return _restriction_page(request, process, number, form, status=422)
    plan = with_line(process.drafted, number, replace(line, restriction=form.cleaned_data["script"]))
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        catch_up(form, process)
        return _restriction_page(request, process, number, form, conflict=True, status=409)
    return go_on(request, process, reverse("process-restriction", args=[public_id, number]))


def _restriction_page(
    request: Request, process: Process, number: int, form: RestrictionForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    saved = line_of(process, number).restriction
    context = line_frame(
        request,
        process,
        number,
        "restriction",
        form=form,
        names=code_names(process),
        warnings=warnings(saved),
        samples=sampled_documents(process),
        sample=sample_number(request),
        **more,
    )
    return respond(request, "restriction", context, status)


@require_POST
@requires(Role.DESIGNER)
def test_restriction(request: Request, public_id: UUID, number: int) -> HttpResponse:
    """Try the script as it stands on the screen, saved or not, on a document of the sample. Writes nothing."""
    process = found(public_id)
    line = line_of(process, number)
    form = RestrictionForm(request.POST, check=first_complaint)
    tried = _tried(process, line, form, sample_number(request))
    if request.htmx:
        return render(request, "processes/_tried.html", {"tried": tried})
    return _restriction_page(request, process, number, form, tried=tried)


def _tried(process: Process, line: Line, form: RestrictionForm, number: int) -> dict[str, Any]:
    if not form.is_valid():
        return {"refused": " ".join(str(error) for errors in form.errors.values() for error in errors)}
    try:
        line = replace(line, restriction=form.cleaned_data["script"])
        return {"result": try_restriction(process, process.drafted, line, number)}
    except WaybillError as error:
        return {"refused": error.sentence}
