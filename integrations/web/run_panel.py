"""*Run an Integration*: choose, name, file, run, watch. A drawer where there is JavaScript, a page where there is none."""

from pathlib import PurePath
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.connectors.registry import source_kind
from integrations.forms.parameters import ParametersForm
from integrations.models import Process, Run, StoredFile
from integrations.models.vault import vault_of
from integrations.runs.choices import offers_of
from integrations.runs.files import store
from integrations.runs.request import Refused, alone, default_name, open_last, request_run
from integrations.runs.variables import secure_names
from integrations.web.ledger import ledger_of
from integrations.web.reads import given_to, read_again, to_be_read, was_read
from integrations.web.runs import is_uuid, line_of, ready

CHOICES_LISTED = 200


@require_GET
@requires(Role.OPERATOR)
def choose(request: Request) -> HttpResponse:
    """Step 1, *Select*: the integrations that can run, the last used first, found by name."""
    query = request.GET.get("q", "").strip()[:200]
    found = ready(request.user)
    if query:
        found = found.filter(name__icontains=query)
    return _panel(request, "choose", {"found": found[:CHOICES_LISTED], "query": query})


@require_GET
@requires(Role.OPERATOR)
def panel(request: Request, public_id: UUID) -> HttpResponse:
    """Steps 2 to 4: what the chosen integration asks for."""
    return ask(request, _runnable(public_id))


@require_POST
@requires(Role.OPERATOR)
def start(request: Request, public_id: UUID) -> HttpResponse:
    """Step 5, *Run Integration*. What is refused is said beside what was typed, and nothing is lost."""
    process = _runnable(public_id)
    name = request.POST.get("name", "").strip()
    again = request.POST.get("again", "")
    file = None
    asked = _parameters(process, request.POST, like=_last(process))
    said: dict[str, Any] = {"name": name, "parameters": asked}
    try:
        file = _uploaded(request, process)
        if again == "no":
            return ask(request, process, **said)
        if asked is not None and not asked.is_valid():
            raise Refused("Correct what is said at the parameters.", code="refused.parameter")
        if file is not None and not again and (before := _read_before(process, file)):
            return ask(request, process, kept=file, before=before, **said)
        given = asked.given() if asked is not None else {}
        run = request_run(process, by=request.user, name=name, file=file, given=given)
    except Refused as error:
        return ask(request, process, kept=file, refused=error.sentence, status=422, **said)
    namesake = Run.objects.filter(name=run.name).exclude(pk=run.pk).order_by("-number").first()
    if request.htmx:
        return watch(request, run, namesake=namesake)
    if namesake:
        messages.warning(
            request, f"Run {namesake.number} has the same name. Both keep it; the number tells them apart."
        )
    return redirect("run-summary", run.number)


@require_GET
@requires(Role.OPERATOR)
def progress(request: Request, number: int) -> HttpResponse:
    """Where the run has come to: asked again every second until it has ended."""
    run = get_object_or_404(Run.objects.select_related("process", "version", "source_file"), number=number)
    return watch(request, run)


def _runnable(public_id: UUID) -> Process:
    return get_object_or_404(
        Process.objects.select_related("company", "default_file"), public_id=public_id, trashed_at=None
    )


def ask(request: Request, process: Process, *, like: Run | None = None, status: int = 200, **more: Any) -> HttpResponse:
    """Show what the integration asks for, filled in with what `more` brings back; its parameters as `like` had them,
    which is the last run unless another one is given."""
    version = process.newest_version
    kind = source_kind(version.plan.source.kind) if version else None
    takes_file = bool(kind and kind.takes_file)
    reads = to_be_read(process, version.plan, more.get("kept")) if version and takes_file else None
    last = _last(process)
    context = {
        "process": process,
        "version": version,
        "last": last,
        "open_last": open_last(process),
        "again": read_again(last) if last else "",
        "takes_file": takes_file,
        "alone": alone(process) if kind and kind.from_parent else "",
        "reads": reads,
        "has_file": not takes_file or reads is not None,
        "extensions": ", ".join(kind.extensions) if kind else "",
        "source_title": kind.title if kind else "",
        "limit": settings.UPLOAD_LIMIT_BYTES,
        "default_name": default_name(process, timezone.now()),
        "changed": any(more.get(given) for given in ("name", "kept", "refused")),
        **more,
    }
    if "parameters" not in more:
        context["parameters"] = _parameters(process, like=like or last)
    return _panel(request, "ask", context, status=status)


def _last(process: Process) -> Run | None:
    return Run.objects.select_related("version", "source_file").last_by_a_person(process)


def _parameters(process: Process, data: Any = None, *, like: Run | None) -> ParametersForm | None:
    """Give the form of what the integration asks for; None where it asks for nothing."""
    version = process.newest_version
    if version is None or not any(item.prompt for item in version.plan.variables):
        return None
    return ParametersForm(
        data,
        version.plan,
        vault=vault_of(process.company),
        secure=secure_names(version.plan),
        offers=offers_of(process, version.plan),
        last=like.given if like else None,
    )


def watch(request: Request, run: Run, namesake: Run | None = None) -> HttpResponse:
    """Show where the run has come to: the whole panel, or only what lives when that is what was asked for."""
    context = {
        "run": run,
        "line": line_of(run),
        "ledger": ledger_of(run),
        "namesake": namesake,
        "read": was_read(run),
        "parameters": given_to(run),
    }
    alive = request.htmx.target == "progress"
    if not alive:
        return _panel(request, "progress", context)
    # 286 is htmx's word for “do not ask again”.
    return render(request, "run_panel/_progress.html", context, status=200 if run.is_open else 286)


def _panel(request: Request, step: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    template = "run_panel/_panel.html" if request.htmx else "run_panel/page.html"
    return render(request, template, {"step": step, **context}, status=status)


def _uploaded(request: Request, process: Process) -> StoredFile | None:
    """Give the file to run with: the upload, or the one that was kept while something was asked. None: none was
    chosen."""
    upload = request.FILES.get("file")
    if not isinstance(upload, UploadedFile):
        return _kept(request.POST.get("kept", ""))
    name = PurePath(str(upload.name)).name
    if (upload.size or 0) > settings.UPLOAD_LIMIT_BYTES:
        raise Refused(
            f"“{name}” has {upload.size:,} bytes; an upload may have {settings.UPLOAD_LIMIT_BYTES:,}. "
            "Put it into a server folder that the integration reads from, or ask the Owner for a higher limit.",
            code="refused.size",
        )
    if not upload.size:
        raise Refused(f"“{name}” is empty. Choose another file.", code="refused.empty")
    assert upload.file is not None
    return store(process.company, upload.file, name=name, by=request.user)


def _read_before(process: Process, file: StoredFile) -> Run | None:
    """Give the last run of this integration that read the same content: running it again may be a mistake."""
    return (
        Run.objects.filter(process=process, source_file__sha256=file.sha256, source_file__name=file.name)
        .order_by("-number")
        .first()
    )


def _kept(public_id: str) -> StoredFile | None:
    if not public_id:
        return None
    found = StoredFile.objects.filter(public_id=public_id).first() if is_uuid(public_id) else None
    if found is None:
        raise Refused("The file is no longer here. Choose it again.", code="refused.file")
    return found
