"""Definitions out and in: exports to be kept, and imports that are looked at before anything is taken."""

from collections import Counter
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_POST

from accounts.audit import record
from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.connectors.registry import CONNECTORS
from integrations.exchange.bundle import Thing, read_upload, zipped
from integrations.exchange.importing import CONFLICT, SAME, Choice, Importer, Item, look, parsed, seen, take
from integrations.exchange.plans import CONNECTION, PROCESS, VARIABLE
from integrations.exchange.text import NotTaken
from integrations.exchange.things import everything, one, with_what_it_needs
from integrations.forms.exchange import ImportFileForm, TakeForm, typed_secrets
from integrations.models import StoredFile
from integrations.runs.files import path_of, store
from integrations.web.editor import found

NOTES_TOLD = 12


@require_GET
@requires(Role.VIEWER)
def export_all(request: Request) -> HttpResponse:
    """All that the company defines, as a .zip."""
    name = f"{slugify(request.company.name) or 'company'}-{timezone.localdate():%Y-%m-%d}.zip"
    return _download(zipped(everything()), name, "application/zip")


@require_GET
@requires(Role.VIEWER)
def export_process(request: Request, public_id: UUID) -> HttpResponse:
    """One process as a file; with `?with=needs` a .zip of it and all that it uses."""
    process = found(public_id)
    name = slugify(process.name) or "process"
    if request.GET.get("with") == "needs":
        return _download(zipped(with_what_it_needs(process)), f"{name}.zip", "application/zip")
    return _download(one(process).text.encode(), f"{name}.yaml", "application/yaml")


@require_GET
@requires(Role.DESIGNER)
def choose(request: Request) -> HttpResponse:
    return render(request, "exchange/choose.html", {"form": ImportFileForm()})


@require_POST
@requires(Role.DESIGNER)
def look_at(request: Request) -> HttpResponse:
    """Keep an uploaded export, and show what taking it would change."""
    form = ImportFileForm(request.POST, request.FILES)
    if form.is_valid():
        upload = form.cleaned_data["file"]
        try:
            things = read_upload(upload.file, upload.name)
            items = _looked(request, things, upload.name)
        except NotTaken as error:
            form.add_error("file", f"{error.sentence} Nothing was changed.")
        else:
            upload.file.seek(0)
            file = store(request.company, upload.file, name=upload.name, by=request.user)
            record("definitions.read", file.name, request=request)
            return _asked(request, file, things, items)
    return render(request, "exchange/choose.html", {"form": form}, status=422)


@require_POST
@requires(Role.DESIGNER)
def take_chosen(request: Request) -> HttpResponse:
    """Take what was chosen of a kept export, all of it or nothing."""
    asked = TakeForm(request.POST)
    file = StoredFile.objects.filter(public_id=asked["kept"].value()).first() if "kept" not in asked.errors else None
    if file is None:
        messages.error(request, "The export is no longer here. Choose it again.")
        return redirect("definitions-import")
    try:
        things = _things(file)
        form = TakeForm(request.POST, count=len(things))
        if not form.is_valid() or form.cleaned_data["seen"] != seen(things):
            return _asked(request, file, things, _looked(request, things, file.name), conflict=True, status=409)
        read = parsed(things)
        with transaction.atomic():
            choice = _choice(request, things, form.cleaned_data["take"])
            items = take(things, _by(request, file.name), choice, read=read)
            taken = [item for item in items if not item.left and item.state not in (SAME, CONFLICT)]
            kinds = Counter(item.thing.kind for item in taken)
            record("definitions.imported", file.name, after={"taken": dict(kinds)}, request=request)
    except NotTaken as error:
        messages.error(request, f"{error.sentence} Nothing was changed.")
        return redirect("definitions-import")
    _tell(request, file, taken, kinds)
    return redirect("processes")


def _tell(request: Request, file: StoredFile, taken: list[Item], kinds: "Counter[str]") -> None:
    if not taken:
        messages.info(request, f"Nothing of {file.name} was chosen, so nothing was changed.")
        return
    counts = ", ".join(f"{count} {_plural(kind, count)}" for kind, count in kinds.items())
    messages.success(request, f"Taken from {file.name}: {counts}.")
    noted = [f"{item.thing.name}: {' '.join(item.notes)}" for item in taken if item.notes]
    for sentence in noted[:NOTES_TOLD]:
        messages.warning(request, sentence)
    if len(noted) > NOTES_TOLD:
        messages.warning(request, f"There is more to do for {len(noted) - NOTES_TOLD} others: their pages say what.")


def _looked(request: Request, things: list[Thing], name: str) -> list[Item]:
    return look(things, _by(request, name), Choice(taken=_allowed(request, things)))


def _asked(
    request: Request, file: StoredFile, things: list[Thing], items: list[Item], *, status: int = 200, **more: Any
) -> HttpResponse:
    numbered = list(enumerate(items))
    context = {
        "file": file,
        "seen": seen(things),
        "rows": [(number, item) for number, item in numbered if item.state != SAME],
        "same": [item for item in items if item.state == SAME],
        "may_take": any(not item.left and item.state not in (SAME, CONFLICT) for item in items),
        "process": PROCESS,
        **more,
    }
    return render(request, "exchange/look.html", context, status=status)


def _allowed(request: Request, things: list[Thing]) -> set[tuple[str, str]]:
    """Those that the person may take: connections lead to other systems, and are for an Administrator."""
    may_connect = Role(request.membership.role).includes(Role.ADMINISTRATOR)
    return {(thing.kind, thing.name) for thing in things if may_connect or thing.kind != CONNECTION}


def _choice(request: Request, things: list[Thing], numbers: list[int]) -> Choice:
    """What the person wants of an export, and the secrets that they typed in for it."""
    typed = typed_secrets(
        request.POST, [place for number, thing in enumerate(things) for place in _needed(number, thing)]
    )
    return Choice(
        taken=_allowed(request, [things[number] for number in numbers]),
        secrets={(things[number].kind, things[number].name, name): text for (number, name), text in typed.items()},
    )


def _needed(number: int, thing: Thing) -> list[tuple[int, str]]:
    """The secrets that may be typed in for a thing."""
    if thing.kind == VARIABLE:
        return [(number, "value")] if thing.data.get("secure") else []
    connector = CONNECTORS.get(thing.data["connector"]) if thing.kind == CONNECTION else None
    return [(number, setting.name) for setting in (connector.settings if connector else ()) if setting.secret]


def _by(request: Request, name: str) -> Importer:
    return Importer(request.company, name, user=request.user, request=request)


def _things(file: StoredFile) -> list[Thing]:
    with path_of(file).open("rb") as content:
        return read_upload(content, file.name)


def _plural(kind: str, count: int) -> str:
    if count == 1:
        return kind
    return f"{kind}es" if kind == PROCESS else f"{kind}s"


def _download(content: bytes, name: str, kind: str) -> HttpResponse:
    return HttpResponse(content, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
