"""The Preview page: what a draft would do with the first rows of its sample, writing nothing."""

from uuid import UUID

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.engine.errors import WaybillError
from integrations.runs import preview as previewing
from integrations.web.editor import found, frame, respond
from integrations.web.samples import shown_documents, shown_lines


@require_GET
@requires(Role.VIEWER)
def preview(request: Request, public_id: UUID) -> HttpResponse:
    """Show source rows, the documents they make, and what each line would send."""
    process = found(public_id)
    context = frame(request, process, "preview")
    try:
        seen = previewing.preview_of(process, process.drafted)
    except WaybillError as error:
        return respond(request, "preview", context | {"reason": error.sentence})
    context |= {
        "seen": seen,
        "documents": shown_documents(seen),
        "lines": shown_lines(process.drafted, seen),
        "limit": previewing.ROWS,
    }
    return respond(request, "preview", context)
