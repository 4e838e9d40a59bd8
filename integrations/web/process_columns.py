"""Additional columns, and the page of a lookup: what a line may take that is not in the source."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.engine.errors import WaybillError
from integrations.engine.plan import FieldMap, Line, Plan
from integrations.forms.lookup import LookupForm
from integrations.forms.mapping import BaseFieldMaps, RevisionForm, field_map_forms
from integrations.forms.surroundings import first_complaint, searchable_connections
from integrations.models import GlobalVariable, Process, RollingNumber, TranslationTable
from integrations.runs.lookups import fields_of, see_that_it_fits, tables_at
from integrations.runs.preview import SECONDS
from integrations.web.editor import catch_up, code_names, editable, found, frame, go_on, respond, write_draft
from integrations.web.process_lines import blank_row, cells_of, line_frame, line_of, rows_of, sample_number, with_line
from integrations.web.samples import LineSample, additional_sample, line_sample

MAPPING, ADDITIONAL = "mapping", "additional"


# ---- additional columns ----------------------------------------------------------------------------------------------


@require_GET
@requires(Role.VIEWER)
def additional(request: Request, public_id: UUID, number: int) -> HttpResponse:
    """The additional columns of the process, on the page of one of its lines."""
    process = found(public_id)
    line_of(process, number)
    form = RevisionForm(initial={"revision": process.revision})
    return _additional_page(request, process, number, form, _grid(process), process.drafted)


@require_POST
@requires(Role.DESIGNER)
def save_additional(request: Request, public_id: UUID, number: int) -> HttpResponse:
    process = editable(public_id)
    line_of(process, number)
    form, grid = RevisionForm(request.POST), _grid(process, request.POST)
    if not (form.is_valid() and grid.is_valid()):
        return _additional_page(request, process, number, form, grid, process.drafted, status=422)
    plan = replace(process.drafted, additional=grid.field_maps())
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        catch_up(form, process)
        return _additional_page(request, process, number, form, grid, plan, conflict=True, status=409)
    return go_on(request, process, reverse("process-additional", args=[public_id, number]))


@require_POST
@requires(Role.DESIGNER)
def sample_additional(request: Request, public_id: UUID, number: int) -> HttpResponse:
    """Compute the sample for the columns as they stand on the screen, saved or not. Writes nothing."""
    process = found(public_id)
    line_of(process, number)
    grid = _grid(process, request.POST)
    columns = tuple(item for form in grid.forms if form.is_valid() and (item := form.field_map()))
    sample = additional_sample(process, replace(process.drafted, additional=columns), sample_number(request))
    context = {
        "grid": grid,
        "sample": sample,
        "rows": rows_of(grid, sample, mapped="Columns", more="Add columns"),
        **_addresses(process, number),
    }
    return render(request, "processes/_samples.html", context)


def _grid(process: Process, data: Any = None) -> BaseFieldMaps:
    plan = process.drafted
    variables = tuple(GlobalVariable.objects.values_list("name", flat=True))
    tables = {str(key): name for key, name in TranslationTable.objects.values_list("public_id", "name")}
    sequences = {str(key): name for key, name in RollingNumber.objects.values_list("public_id", "name")}
    line = Line(name="", target="", fields=plan.additional)
    return field_map_forms(
        plan, line, (), first_complaint, data, variables=variables, tables=tables, sequences=sequences
    )


def _addresses(process: Process, number: int) -> dict[str, str]:
    args = [process.public_id, number]
    return {
        "save_url": reverse("process-additional-save", args=args),
        "sample_url": reverse("process-additional-sample", args=args),
        "lookup_part": ADDITIONAL,
    }


def _additional_page(
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
    sample = additional_sample(process, plan, sample_number(request))
    more |= {
        "names": code_names(process),
        "sample": sample,
        "rows": rows_of(grid, sample, mapped="Columns", more="Add columns"),
        "blank": blank_row(grid),
        "cells": cells_of(grid, process),
    }
    more |= _addresses(process, number)
    context = line_frame(request, process, number, ADDITIONAL, form=form, grid=grid, **more)
    return respond(request, "mapping", context, status)


# ---- lookups ---------------------------------------------------------------------------------------------------------


@require_GET
@requires(Role.VIEWER)
def lookup(request: Request, public_id: UUID, number: int, part: str, place: int) -> HttpResponse:
    """The lookup of a mapped field, or of an additional column, that is number `place` there."""
    process = found(public_id)
    field = _field_at(process, number, part, place)
    form = _form(process, field, part, initial={"revision": process.revision})
    return _lookup_page(request, process, (number, part, place), field, form)


@require_POST
@requires(Role.DESIGNER)
def save_lookup(request: Request, public_id: UUID, number: int, part: str, place: int) -> HttpResponse:
    process = editable(public_id)
    field = _field_at(process, number, part, place)
    form = _form(process, field, part, request.POST)
    if not form.is_valid():
        return _lookup_page(request, process, (number, part, place), field, form, status=422)
    plan = _with_field(process.drafted, number, part, place, form.result_field())
    if not write_draft(request, process, plan, form.cleaned_data["revision"]):
        catch_up(form, process)
        return _lookup_page(request, process, (number, part, place), field, form, conflict=True, status=409)
    return go_on(request, process, reverse("process-lookup", args=[public_id, number, part, place]))


@require_POST
@requires(Role.DESIGNER)
def look_around(request: Request, public_id: UUID, number: int, part: str, place: int) -> HttpResponse:
    """Offer the tables and fields of what is chosen on the screen, and look the sample up there. Writes nothing."""
    process = found(public_id)
    field = _field_at(process, number, part, place)
    form = _form(process, field, part, request.POST)
    if form.is_valid():
        field = form.result_field()
    plan = _with_field(process.drafted, number, part, place, field)
    context = _around(process, plan, (number, part, place), field, sample_number(request))
    return render(request, "processes/_lookup_around.html", context)


def _field_at(process: Process, number: int, part: str, place: int) -> FieldMap:
    line = line_of(process, number)
    listed = {MAPPING: line.fields, ADDITIONAL: process.drafted.additional}.get(part, ())
    if not 1 <= place <= len(listed):
        raise Http404
    return listed[place - 1]


def _with_field(plan: Plan, number: int, part: str, place: int, field: FieldMap) -> Plan:
    if part == ADDITIONAL:
        return replace(plan, additional=_put(plan.additional, place, field))
    line = plan.lines[number - 1]
    return with_line(plan, number, replace(line, fields=_put(line.fields, place, field)))


def _put(fields: tuple[FieldMap, ...], place: int, field: FieldMap) -> tuple[FieldMap, ...]:
    return (*fields[: place - 1], field, *fields[place:])


def _form(process: Process, field: FieldMap, part: str, data: Any = None, **more: Any) -> LookupForm:
    plan = process.drafted
    names = [column.name for column in plan.all_columns]
    if part == ADDITIONAL:
        # What stands behind it is not computed yet.
        names = names[: names.index(field.target, len(plan.source.columns))]
    return LookupForm(
        data,
        field=field,
        columns=names,
        variables=tuple(GlobalVariable.objects.values_list("name", flat=True)),
        connections=searchable_connections(),
        restricts=part == MAPPING,
        **more,
    )


def _lookup_page(
    request: Request,
    process: Process,
    at: tuple[int, str, int],
    field: FieldMap,
    form: LookupForm,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    number, part, place = at
    context = frame(request, process, "integration", saves_tab=True, form=form, field=field, number=number, part=part)
    plan = process.drafted
    if form.is_bound and form.is_valid():
        field = form.result_field()
        plan = _with_field(plan, number, part, place, field)
    context |= {
        "place": place,
        "line": line_of(process, number),
        "back_url": reverse(f"process-{part}", args=[process.public_id, number]),
        **_around(process, plan, at, field, sample_number(request)),
        **more,
    }
    return respond(request, "lookup", context, status)


def _around(process: Process, plan: Plan, at: tuple[int, str, int], field: FieldMap, number: int) -> dict[str, Any]:
    """What there is to choose from where `field` looks, and what it finds for the sample."""
    tables, fields, complaint = _offered(field)
    line, part, _ = at
    sample = LineSample(reason="The live sample appears once the lookup is complete.")
    if field.lookup and field.lookup.is_complete and not complaint:
        is_additional = part == ADDITIONAL
        sample = additional_sample(process, plan, number) if is_additional else line_sample(process, plan, line, number)
    cell = sample.cells.get(field.target)
    return {"tables": tables, "fields": fields, "complaint": complaint, "sample": sample, "cell": cell}


def _offered(field: FieldMap) -> tuple[list[str], list[str], str]:
    """The tables and fields that can be named, and why there are none."""
    how = field.lookup
    if how is None or not how.connection:
        return [], [], ""
    try:
        tables = list(tables_at(how.connection, SECONDS))
        fields = list(fields_of(how.connection, how.table, SECONDS)) if how.table else []
        if not tables and how.is_complete:
            see_that_it_fits(how, SECONDS)
    except WaybillError as error:
        return [], [], error.sentence
    if not tables:
        return [], fields, ""
    if how.table and not fields:
        return tables, [], f"There is no table {how.table} at this connection."
    named = [*(match.field for match in how.matches), *([how.result] if how.result else [])]
    missing = next((name for name in named if name not in fields), "")
    return tables, fields, f"The table {how.table} has no field {missing}." if missing and fields else ""
