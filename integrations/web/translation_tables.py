"""Translation Tables: what values of a source are called elsewhere, edited as a grid or brought in as a workbook."""

from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.audit import record
from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.connectors.excel import ExcelSource, write_rows
from integrations.engine.errors import SourceError
from integrations.forms.translation import (
    Changes,
    TableForm,
    changes_between,
    complaint_about,
    merged,
    row_forms,
)
from integrations.forms.used import Use, uses_of_table, uses_of_tables
from integrations.models import StoredFile, TranslationTable
from integrations.models.translation import Pairs
from integrations.runs.files import path_of, store
from integrations.web.runs import is_uuid
from integrations.web.used_in import used_in

ROWS_A_PAGE = 200
CHANGES_SHOWN = 50
COLUMNS = ("From", "To")


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    table: TranslationTable
    used_in: list[Use]


@dataclass(frozen=True)
class Part:
    """The rows of a table that one page shows: those that fit the search, from one number to another."""

    query: str
    number: int
    found: Pairs

    @property
    def pairs(self) -> Pairs:
        first = (self.number - 1) * ROWS_A_PAGE
        return self.found[first : first + ROWS_A_PAGE]

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.found) // ROWS_A_PAGE))

    @property
    def here(self) -> str:
        return self._address(self.number)

    @property
    def before(self) -> str:
        return self._address(self.number - 1) if self.number > 1 else ""

    @property
    def behind(self) -> str:
        return self._address(self.number + 1) if self.number < self.pages else ""

    def _address(self, number: int) -> str:
        said = {"q": self.query} if self.query else {}
        return "?" + urlencode(said | ({"page": str(number)} if number > 1 else {}))


class NotRead(Exception):
    """A workbook gives no rows; the sentence says why."""


@require_GET
@requires(Role.VIEWER)
def translation_tables(request: Request) -> HttpResponse:
    """List the company's tables; `q` is part of a name or a description."""
    query = request.GET.get("q", "").strip()[:200]
    listed = TranslationTable.objects.select_related("updated_by", "rows").defer("rows__pairs")
    total = listed.count()
    if query:
        listed = listed.filter(Q(name__icontains=query) | Q(description__icontains=query))
    used = uses_of_tables()
    rows = [Row(table, used.get(str(table.public_id), [])) for table in listed]
    context = {"rows": rows, "total": total, "query": query, "may_edit": _may_edit(request)}
    return render(request, "translation_tables/translation_tables.html", context)


@require_http_methods(["GET", "POST"])
@requires(Role.DESIGNER)
def new(request: Request) -> HttpResponse:
    """Create a table, with as many rows as were typed or pasted."""
    data = request.POST if request.method == "POST" else None
    form, grid = TableForm(data), row_forms((), data)
    if data is None or not (form.is_valid() and grid.is_valid()):
        return _page(request, form, grid, None, status=422 if data is not None else 200)
    try:
        pairs = merged([], _edits(grid), form.cleaned_data["pasted"])
        with transaction.atomic():
            fields = {name: form.cleaned_data[name] for name in ("name", "description")}
            table = TranslationTable.make(request.company, by=request.user, pairs=pairs, **fields)
            record("translation_table.created", table.name, after=_shown(table), request=request)
    except ValueError as error:
        form.add_error(None, _sentence(str(error)))
        return _page(request, form, grid, None, status=422)
    except IntegrityError:
        form.add_error("name", "A table of this name was made a moment ago. Choose another name.")
        return _page(request, form, grid, None, status=422)
    messages.success(request, f"{table.name} is saved. A mapping may translate by it.")
    return redirect("translation-table", table.public_id)


@require_GET
@requires(Role.VIEWER)
def translation_table(request: Request, public_id: UUID) -> HttpResponse:
    """Show a table's rows, a page of them at a time, and where it is used."""
    table = _table(public_id)
    part = _part(request, table)
    return _page(request, TableForm(table=table), row_forms(part.pairs), table, part)


@require_POST
@requires(Role.DESIGNER)
def save(request: Request, public_id: UUID) -> HttpResponse:
    """Write name, description and the rows that were changed, unless someone else saved meanwhile."""
    table = _table(public_id)
    part = _part(request, table)
    form, grid = TableForm(request.POST, table=table), row_forms(part.pairs, request.POST)
    if not (form.is_valid() and grid.is_valid()):
        return _page(request, form, grid, table, part, status=422)
    before, old = _shown(table), table.pairs
    fields = {name: form.cleaned_data[name] for name in ("name", "description")}
    try:
        pairs = merged(old, _edits(grid), form.cleaned_data["pasted"])
        saved = _write(
            request, table, form.cleaned_data["revision"] or 0, before, changes_between(old, pairs), pairs, fields
        )
    except ValueError as error:
        form.add_error(None, _sentence(str(error)))
        return _page(request, form, grid, table, part, status=422)
    except IntegrityError:
        form.add_error("name", "A table of this name was made a moment ago. Choose another name.")
        return _page(request, form, grid, table, part, status=422)
    if not saved:
        table.refresh_from_db()
        form.build_on(table.revision)
        return _page(request, form, grid, table, part, status=409, conflict=True)
    messages.success(request, f"{table.name} is saved. Runs that start from now on translate by it.")
    return redirect(reverse("translation-table", args=[public_id]) + part.here)


@require_POST
@requires(Role.DESIGNER)
def delete(request: Request, public_id: UUID) -> HttpResponse:
    """Delete a table that nothing uses; otherwise say what does. Runs keep the rows that they translated by."""
    table = _table(public_id)
    if used := uses_of_table(table):
        names = ", ".join(use.process.name for use in used[:5]) + (" and others" if len(used) > 5 else "")
        messages.error(request, f"{table.name} is used by {names}. Take it out there first; the places are below.")
        return redirect("translation-table", public_id)
    before = _shown(table)
    with transaction.atomic():
        table.delete()
        record("translation_table.deleted", table.name, before=before, request=request)
    messages.success(request, f"{table.name} is deleted.")
    return redirect("translation-tables")


@require_GET
@requires(Role.VIEWER)
def export(request: Request, public_id: UUID) -> FileResponse:
    """The whole table as an Excel workbook, which can be imported again."""
    table = _table(public_id)
    with TemporaryDirectory(prefix="table-") as folder:
        path = Path(folder) / "table.xlsx"
        write_rows(path, COLUMNS, table.pairs, sheet="Translation")
        # Open, it can be read to its end though its name is gone.
        file = path.open("rb")
    return FileResponse(file, as_attachment=True, filename=f"{table.name}.xlsx")


@require_POST
@requires(Role.DESIGNER)
def read_workbook(request: Request, public_id: UUID) -> HttpResponse:
    """Show what a workbook would change. The table stays as it is."""
    table = _table(public_id)
    try:
        file = _uploaded(request)
        pairs = _pairs_in(file, table.pairs)
    except NotRead as error:
        part = _part(request, table)
        return _page(
            request,
            TableForm(table=table),
            row_forms(part.pairs),
            table,
            part,
            status=422,
            not_read=_sentence(str(error)),
        )
    with transaction.atomic():
        record("translation_table.read", table.name, after={"file": file.name, "rows": len(pairs)}, request=request)
    return _asked(request, table, file, pairs)


@require_POST
@requires(Role.DESIGNER)
def take_workbook(request: Request, public_id: UUID) -> HttpResponse:
    """Put the rows of a workbook that was looked at into the place of the table's."""
    table = _table(public_id)
    key, revision = request.POST.get("kept", ""), request.POST.get("revision", "")
    file = StoredFile.objects.filter(public_id=key).first() if is_uuid(key) else None
    if file is None or not (revision.isdecimal() and len(revision) < 9):
        messages.error(request, "The workbook is no longer here. Choose it again.")
        return redirect("translation-table", public_id)
    old = table.pairs
    try:
        pairs = _pairs_in(file, old)
    except NotRead as error:
        messages.error(request, _sentence(str(error)))
        return redirect("translation-table", public_id)
    changes = changes_between(old, pairs)
    if not _write(request, table, int(revision), _shown(table), changes, pairs, {}):
        table.refresh_from_db()
        return _asked(request, table, file, _pairs_in(file, table.pairs), conflict=True, status=409)
    messages.success(request, f"{table.name} has the {len(pairs):,} rows of {file.name}.")
    return redirect("translation-table", public_id)


def _write(
    request: Request,
    table: TranslationTable,
    revision: int,
    before: dict[str, Any],
    changes: Changes,
    pairs: Pairs,
    fields: dict[str, Any],
) -> bool:
    with transaction.atomic():
        saved = table.change(revision=revision, by=request.user, pairs=pairs, **fields)
        if saved and (changes or before != _shown(table)):
            after = _shown(table) | {"changes": changes.told()}
            record("translation_table.saved", table.name, before=before, after=after, request=request)
    return saved


def _asked(
    request: Request, table: TranslationTable, file: StoredFile, pairs: Pairs, *, status: int = 200, **more: Any
) -> HttpResponse:
    changes = changes_between(table.pairs, pairs)
    shown = [
        ("Added", len(changes.added), [(given, "", to) for given, to in changes.added[:CHANGES_SHOWN]]),
        ("Changed", len(changes.changed), changes.changed[:CHANGES_SHOWN]),
        ("Removed", len(changes.removed), [(given, to, "") for given, to in changes.removed[:CHANGES_SHOWN]]),
    ]
    context = {"table": table, "file": file, "count": len(pairs), "changes": changes, "shown": shown, **more}
    return render(request, "translation_tables/import.html", context, status=status)


def _uploaded(request: Request) -> StoredFile:
    upload = request.FILES.get("file")
    if not isinstance(upload, UploadedFile) or upload.file is None:
        raise NotRead("No workbook was chosen. Choose one first.")
    name = PurePath(str(upload.name)).name
    if (upload.size or 0) > settings.UPLOAD_LIMIT_BYTES:
        limit = f"{settings.UPLOAD_LIMIT_BYTES:,}"
        raise NotRead(f"“{name}” has {upload.size:,} bytes; an upload may have {limit}. Choose a smaller one.")
    return store(request.company, upload.file, name=name, by=request.user)


def _pairs_in(file: StoredFile, old: Pairs) -> Pairs:
    """Read the rows of a workbook's first two columns. Raises `NotRead` with the reason for none."""
    source = ExcelSource(path_of(file), file.name)
    pairs: Pairs = []
    try:
        if len(source.columns) < 2:
            raise NotRead(f"“{file.name}” has one column; a table needs two, from and to. Their names stand in row 1.")
        for batch in source.read():
            if batch.defects:
                raise NotRead(next(iter(batch.defects.values())))
            pairs += [(row[0], row[1]) for row in batch.rows]
    except SourceError as error:
        raise NotRead(error.sentence) from error
    finally:
        source.close()
    if complaint := complaint_about(pairs):
        raise NotRead(f"“{file.name}” cannot be taken: {complaint}")
    # A row of two blanks cannot stand in a sheet, so a sheet without it does not mean that it should go.
    blank = [("", "")] if ("", "") in old and not any(given == "" for given, _ in pairs) else []
    return pairs + blank


def _edits(grid: Any) -> list[Any]:
    return [edit for form in grid.forms if (edit := form.edit()) is not None]


def _part(request: Request, table: TranslationTable) -> Part:
    """Give the rows that the page shows: `q` is part of a *from* or a *to*, `page` counts from 1."""
    query, asked = request.GET.get("q", "").strip()[:200], request.GET.get("page", "1")
    words = query.casefold()
    found = [pair for pair in table.pairs if words in pair[0].casefold() or words in pair[1].casefold()]
    part = Part(query, 1, found)
    number = int(asked) if asked.isdecimal() and len(asked) < 9 else 1
    return Part(query, max(1, min(number, part.pages)), found)


def _page(
    request: Request,
    form: TableForm,
    grid: Any,
    table: TranslationTable | None,
    part: Part | None = None,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    may_edit = _may_edit(request)
    if not may_edit:
        form.disable()
        for row in grid.forms:
            row.disable()
    context = {
        "form": form,
        "grid": grid,
        "table": table,
        "part": part,
        "used_in": [used_in(use) for use in uses_of_table(table)] if table else [],
        "may_edit": may_edit,
        **more,
    }
    return render(request, "translation_tables/translation_table.html", context, status=status)


def _may_edit(request: Request) -> bool:
    return Role(request.membership.role).includes(Role.DESIGNER)


def _table(public_id: UUID) -> TranslationTable:
    found = TranslationTable.objects.select_related("company", "updated_by", "rows")
    return get_object_or_404(found, public_id=public_id)


def _shown(table: TranslationTable) -> dict[str, Any]:
    return {"name": table.name, "description": table.description, "rows": table.rows.count}


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
