"""The Preview page: what a draft would do with the first rows of its sample, writing nothing."""

from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.engine.errors import WaybillError
from integrations.runs import preview as previewing
from integrations.web.editor import found, frame, respond
from integrations.web.samples import shown_documents, shown_lines

PAGE_LINES = 20


@require_GET
@requires(Role.VIEWER)
def preview(request: Request, public_id: UUID) -> HttpResponse:
    """Show source rows, the documents they make, and what each line would send: a page of lines, or `?lines=all`."""
    process = found(public_id)
    context = frame(request, process, "preview")
    lines = process.drafted.lines
    is_whole = request.GET.get("lines") == "all"
    page = Paginator(lines, max(len(lines), 1) if is_whole else PAGE_LINES).get_page(request.GET.get("page"))
    first, last = max(page.start_index(), 1), page.end_index()
    try:
        seen = previewing.lines_preview(process, process.drafted, first, last)
    except WaybillError as error:
        return respond(request, "preview", context | {"reason": error.sentence})
    context |= {
        "seen": seen,
        "documents": shown_documents(seen),
        "lines": shown_lines(lines[first - 1 : last], seen, first),
        "page": page,
        "of_lines": f"lines {first:,} to {last:,} of {len(lines):,}" if page.has_other_pages() else "",
        "limit": previewing.ROWS,
    }
    return respond(request, "preview", context)
