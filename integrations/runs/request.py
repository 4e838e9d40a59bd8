"""Every door to a run: button, re-run, parent and, later, web service, schedule, set and flow call `request_run`."""

import zoneinfo
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import audit
from accounts.models import Company, User
from integrations.connectors.registry import source_kind
from integrations.engine.errors import WaybillError
from integrations.engine.plan import Plan, WhenBusy
from integrations.models import Process, ProcessVersion, Run, StoredFile
from integrations.models.run import Trigger
from integrations.runs.choices import with_choices
from integrations.runs.jobs import dispatch
from integrations.runs.journal import storable
from integrations.runs.parameters import Unfit, asked_again, fitting, see_that_none_is_slipped_in
from integrations.runs.variables import secure_names

NAME_LENGTH = 200
NAMES_LOOKED_UP = 20


class Refused(WaybillError):
    """Read the sentence: this run was not accepted, and nothing was changed."""

    code = "refused"


def request_run(
    process: Process,
    *,
    by: User | None,
    trigger: str = Trigger.MANUAL,
    name: str = "",
    file: StoredFile | None = None,
    rerun_of: Run | None = None,
    parent: Run | None = None,
    parent_key: str = "",
    rows: StoredFile | None = None,
    given: Mapping[str, Any] | None = None,
    parent_document: Mapping[str, str] | None = None,
) -> Run:
    """Accept a run of the newest version of `process` and ring for a worker once that is durable.

    `file` is what an import reads; without it the worker fetches one through the file door of the source's
    connection, or takes the process's default file. A child (`parent`, `parent_key`) is performed by its parent's
    worker, so nobody is rung for; `rows` are spooled rows of its parent that it reads instead of its own source.
    `given` are values of variables for this run, `parent_document` those of the parent's document that it is started at;
    what no field takes is not kept. Raises `Refused` with the reason.
    """
    name = storable(name.strip())
    _refuse_a_long_name(name)
    is_own = parent is None and rerun_of is None
    # Answers may take a while to judge: that is done before everybody of the company waits for this transaction.
    process.refresh_from_db()
    judged = _runnable_version(process)
    # A child is asked for in its parent's transaction: its lists are looked at when it starts.
    listed = _listed(process, judged.plan, given or {}) if parent is None else judged.plan
    values = _fitting(process, listed, given or {}, is_own=is_own)
    with transaction.atomic():
        number = _next_number(process.company_id)
        process.refresh_from_db()
        version = _runnable_version(process)
        if version != judged:
            # Lists of this version that come from elsewhere are looked at when the run starts.
            values = _fitting(process, version.plan, given or {}, is_own=is_own)
        if parent is None and by is not None:
            _refuse_others(process, by)
        if rerun_of is not None:
            _refuse_while_the_last_is_open(process)
        _refuse_when_busy(process, version.plan)
        run = Run.objects.create(
            company_id=process.company_id,
            number=number,
            process=process,
            version=version,
            name=name or default_name(process, timezone.now()),
            trigger=trigger,
            requested_by=by,
            source_file=rows or _file_to_read(process, version.plan, file),
            has_parents_rows=rows is not None,
            given=values,
            exclusive=_is_exclusive(version.plan),
            parent=parent,
            parent_key=parent_key,
            parent_document=_taken_of(parent_document, version.plan),
        )
        audit.record(
            "run.requested",
            f"Run {run.number} {run.name}",
            user=by,
            company=process.company,
            after={
                "process": process.name,
                "version": version.number,
                "trigger": str(trigger),
                "file": run.source_file.name if run.source_file else "",
                "re-run of": rerun_of.number if rerun_of else None,
            },
        )
        if parent is None:
            # robust: a doorbell that cannot be rung must not fail a request that was accepted. Django names in its log
            # the function that failed, and a partial has no name.
            transaction.on_commit(lambda: dispatch(run.pk), robust=True)
    return run


def default_name(process: Process, now: datetime) -> str:
    """Give the name of a run that got none: name, date and time in the company's zone, unique by a suffix
    (spec 20, step 2)."""
    local = now.astimezone(zoneinfo.ZoneInfo(process.company.time_zone))
    wanted = f"{process.name} {local:%Y-%m-%d %H:%M:%S}"
    first = 1
    while True:
        names = [wanted if n == 1 else f"{wanted} ({n})" for n in range(first, first + NAMES_LOOKED_UP)]
        known = Run.objects.filter(company=process.company_id, name__in=names)
        taken = set(known.values_list("name", flat=True))
        if free := next((name for name in names if name not in taken), ""):
            return free
        first += NAMES_LOOKED_UP


def rerun(run: Run, *, by: User | None) -> Run:
    """Run a process again as `run` did: the same file, today's version (spec 20, step 5).

    A query is asked anew, one for changes for those since the watermark as it is now. Raises `Refused` while the last run of the process is In-Progress, naming it.
    """
    rows = run.source_file if run.has_parents_rows else None
    file = None if run.has_parents_rows else _file_of(run)
    return request_run(
        run.process,
        by=by,
        trigger=Trigger.RERUN,
        rerun_of=run,
        given=asked_again(run.given),
        file=file,
        rows=rows,
        parent_document=run.parent_document,
    )


def open_last(process: Process) -> Run | None:
    """Give the last run of `process` while it is In-Progress: it keeps Re-Run waiting."""
    last = Run.objects.filter(process=process).order_by("-number").first()
    return last if last is not None and last.is_open else None


def request_cancel(run: Run, *, by: User | None) -> bool:
    """Ask a run and the children it waits for to end. A queued one is cancelled at once, a running one at its next
    segment.

    False when it had ended already or someone asked before; nothing is changed then.
    """
    with transaction.atomic():
        asked = Run.objects.cancel_queued(run, by=by) or Run.objects.ask_to_cancel(run, by=by)
        for child in Run.objects.unfinished().filter(parent=run):
            request_cancel(child, by=by)
        if asked:
            audit.record("run.cancelled", f"Run {run.number} {run.name}", user=by, company=run.company)
    run.refresh_from_db()
    return asked


def _listed(process: Process, plan: Plan, given: Mapping[str, Any]) -> Plan:
    """Give `plan` with the lists written in that answers are chosen from; other systems may be asked."""
    try:
        return with_choices(process, plan, given)
    except WaybillError as error:
        raise Refused(f"{process.name} cannot run now. {error.sentence}", code="refused.parameter") from error


def _fitting(process: Process, plan: Plan, given: Mapping[str, Any], *, is_own: bool) -> dict[str, Any]:
    """Give the answers as the run keeps them. `is_own`: they come from outside and not from another run, whose
    variables may hold what scripts made of secure values."""
    try:
        if is_own:
            see_that_none_is_slipped_in(given, secure_names(plan))
        return fitting(plan, given)
    except Unfit as unfit:
        raise Refused(
            f"{process.name} asks for {unfit.name}: {unfit.sentence} Run it with changes.", code="refused.parameter"
        ) from unfit


def _taken_of(document: Mapping[str, str] | None, plan: Plan) -> dict[str, str] | None:
    """Keep what fields of `plan` take of a document, and no more: it is somebody's data."""
    if document is None:
        return None
    wanted = {item.value for item in plan.of_the_parent}
    return {name: storable(value) for name, value in document.items() if name in wanted}


def _next_number(company_id: int) -> int:
    """Take the company's next run number. Holds the company's row until the end of the transaction: requests of one
    company are accepted one after another, so that *refuse when busy* cannot be raced."""
    Company.objects.filter(pk=company_id).update(last_run_number=F("last_run_number") + 1)
    return int(Company.objects.values_list("last_run_number", flat=True).get(pk=company_id))


def _runnable_version(process: Process) -> ProcessVersion:
    if process.trashed_at:
        raise Refused(f"{process.name} is in the trash. Restore it to run it.", code="refused.trashed")
    if not process.is_active:
        raise Refused(f"{process.name} is switched off. A designer can switch it on again.", code="refused.inactive")
    version = process.newest_version
    if version is None:
        raise Refused(
            f"{process.name} has no version that can run yet. A designer has to complete and save it.",
            code="refused.no_version",
        )
    return version


def _refuse_a_long_name(name: str) -> None:
    if len(name) > NAME_LENGTH:
        raise Refused(
            f"The Integration Run Name has {len(name)} characters; it may have {NAME_LENGTH}. Shorten it.",
            code="refused.name",
        )


def _refuse_others(process: Process, by: User) -> None:
    """Keep to the people that the process names. A child runs because its parent may."""
    if not process.may_be_run_by(by):
        raise Refused(
            f"Only the people named in the options of {process.name}, and administrators, may run it. "
            "Ask one of them, or ask a designer to add you.",
            code="refused.person",
        )


def _refuse_while_the_last_is_open(process: Process) -> None:
    last = open_last(process)
    if last is not None:
        raise Refused(
            f"Run {last.number} “{last.name}” of this integration is In-Progress. "
            "Wait until it has ended, or cancel it, then re-run.",
            code="refused.in_progress",
        )


def _refuse_when_busy(process: Process, plan: Plan) -> None:
    if plan.options.when_busy is not WhenBusy.REFUSE:
        return
    busy = Run.objects.unfinished().filter(process=process).first()
    if busy is not None:
        raise Refused(
            f"Run {busy.number} “{busy.name}” of {process.name} is not finished, and this integration refuses a "
            "second run meanwhile. Wait until it has ended, or cancel it.",
            code="refused.busy",
        )


def _is_exclusive(plan: Plan) -> bool:
    """Say whether no other run of the process may go on meanwhile: two that begin at one watermark read the same."""
    return plan.options.when_busy is not WhenBusy.ALLOW or plan.source.reads_changes


def _file_to_read(process: Process, plan: Plan, file: StoredFile | None) -> StoredFile | None:
    kind = source_kind(plan.source.kind)
    if kind.from_parent:
        raise Refused(alone(process), code="refused.alone")
    if not kind.takes_file:
        if file is not None:
            raise Refused(f"{process.name} reads {kind.title} and takes no file.", code="refused.file")
        return None
    if file is None and plan.source.connection:
        return None  # The worker fetches it through the connection's file door.
    file = file or process.default_file
    if file is None:
        raise Refused(f"{process.name} reads a file. Choose one to run it with.", code="refused.no_file")
    if file.company_id != process.company_id:
        raise Refused("The file no longer exists. Choose another one.", code="refused.file")
    _refuse_extension(file, kind.title, kind.extensions)
    return file


def alone(process: Process) -> str:
    """Say why a process that reads the rows of its parent is not run by itself."""
    return (
        f"{process.name} reads the rows of the run that starts it, so it cannot be run alone: run a process with a task "
        "that runs it."
    )


def _refuse_extension(file: StoredFile, title: str, extensions: tuple[str, ...]) -> None:
    allowed = {"." + extension.lower().lstrip(".") for extension in extensions}
    if allowed and PurePath(file.name).suffix.lower() not in allowed:
        listed = ", ".join(sorted(allowed))
        raise Refused(
            f"“{file.name}” does not fit: this integration reads {title} ({listed}). Choose such a file.",
            code="refused.file",
        )


def _file_of(run: Run) -> StoredFile | None:
    """Give the file a run read; None when its pinned source is the spooled answer of a query."""
    return run.source_file if source_kind(run.version.plan.source.kind).takes_file else None
