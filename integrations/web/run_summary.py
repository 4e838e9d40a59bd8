"""One run in all its detail: what it did, what it left, why, and what can be done next."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.contrib import messages
from django.db.models import Count, Max, Min
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.connectors.registry import source_kind
from integrations.connectors.spec import SourceContext
from integrations.connectors.spool import SpooledSource
from integrations.engine.batch import DELIVERED, Bucket, Row
from integrations.engine.errors import WaybillError
from integrations.engine.ports import Source
from integrations.engine.secure import masked
from integrations.forms.stages import STAGES as TASK_STAGES
from integrations.forms.variables import as_text
from integrations.models import (
    Connection,
    DocumentOutcome,
    LedgerSegment,
    LogEntry,
    OutputFile,
    Run,
    RunStatus,
    StageEntry,
)
from integrations.models.ledger import HANDOVER
from integrations.runs.changes import Changes
from integrations.runs.failed_documents import as_planned, file_name, write_failed
from integrations.runs.files import path_of
from integrations.runs.request import Refused, request_cancel, rerun
from integrations.web.ledger import attention_of, ledger_of
from integrations.web.reads import given_to, read_again, was_read
from integrations.web.run_panel import ask, watch
from integrations.web.runs import STAGES, line_of

ERRORS_A_PAGE = 50
LINES_A_PAGE = 200
ROWS_A_PAGE = 100
SEGMENTS_SUMMED = 5_000
DOCUMENTS_SHOWN = 10
CAUSES_SHOWN = 20
HANDOVERS_SHOWN = 5
OUTCOMES_MARKED = 1_000
STAGE_WORDS = {
    "read": "Read",
    "deliver": "Documents",
    **{str(stage): words.label for stage, words in TASK_STAGES.items()},
}


@dataclass(frozen=True)
class LineCounts:
    """What became of the records of one line."""

    name: str
    destination: str
    records: int
    delivered: int
    counts: dict[str, int]


@dataclass(frozen=True)
class TaskEnds:
    """How often a task ended how, what its last failure said, and the number of the last run it started."""

    stage: str
    name: str
    done: int
    failed: int
    skipped: int
    said: str
    run: int | None


@dataclass(frozen=True)
class Stage:
    """One stage of the timeline. `x` and `width` are percent of the run's time; `key` is the colour."""

    key: str
    title: str
    message: str
    took: timedelta | None
    x: str
    width: str


@dataclass(frozen=True)
class Output:
    """A file that the run makes of a line, and in words where it is."""

    number: int
    name: str
    where: str
    size_bytes: int | None
    sha256: str
    is_kept: bool


@dataclass(frozen=True)
class SourceRow:
    """A row as it was read. `fault` says why its document failed; each cell knows whether it is to blame."""

    number: int
    fault: str
    cells: list[tuple[Any, bool]]


@require_GET
@requires(Role.VIEWER)
def summary(request: Request, number: int) -> HttpResponse:
    """The Run Summary. With htmx only its live part is given."""
    run = _found(number)
    causes = (
        DocumentOutcome.objects.filter(run=run)
        .values("cause", "bucket", "stage", "column")
        .annotate(documents=Count("pk"), first=Min("key"), last=Max("key"))
        .order_by("-documents", "cause")
    )
    outcomes = list(_outcomes(run)[:DOCUMENTS_SHOWN])
    context = {
        **_frame(request, run),
        "ledger": ledger_of(run),
        "lines": _lines(run),
        "outputs": _outputs(run),
        "summed": SEGMENTS_SUMMED if run.segments > SEGMENTS_SUMMED else None,
        "causes": list(causes[:CAUSES_SHOWN]),
        "stages": _stages(run),
        "tasks": _tasks(run),
        "handovers": LogEntry.objects.filter(run=run, stage=HANDOVER).order_by("pk")[:HANDOVERS_SHOWN],
        "changes": _changes(run),
        "parameters": given_to(run),
        "variables": _variables(run),
        "comparison": None if run.is_open else _comparison(run),
        "children": Run.objects.filter(parent=run).order_by("pk")[:50],
        "outcomes": [(outcome, _value_at_fault(run, outcome)) for outcome in outcomes],
        "ended": not run.is_open,
    }
    template = "runs/_summary.html" if request.htmx.target == "summary" else "runs/summary.html"
    status = 286 if request.htmx.target == "summary" and not run.is_open else 200
    return render(request, template, context, status=status)


@require_GET
@requires(Role.VIEWER)
def errors(request: Request, number: int) -> HttpResponse:
    """The documents that need attention: source values, row, column and reason."""
    run = _found(number)
    cause = request.GET.get("cause", "")
    found = _outcomes(run, cause)
    after = request.GET.get("after", "")
    if after.isdecimal() and len(after) < 18:
        found = found.filter(document__gt=int(after))
    listed = list(found[: ERRORS_A_PAGE + 1])
    context = {
        **_frame(request, run),
        "outcomes": [(_in_order(run, outcome), _blamed(run, outcome)) for outcome in listed[:ERRORS_A_PAGE]],
        "cause": cause,
        "more": listed[ERRORS_A_PAGE - 1].document if len(listed) > ERRORS_A_PAGE else None,
    }
    return render(request, "runs/errors.html", context)


@require_GET
@requires(Role.VIEWER)
def export_errors(request: Request, number: int) -> FileResponse:
    """The same documents as an Excel workbook: a line for each of their source rows."""
    run = _found(number)
    outcomes = _outcomes(run, request.GET.get("cause", ""))
    with TemporaryDirectory(prefix="errors-") as folder:
        path = Path(folder) / "errors.xlsx"
        write_failed(path, run, outcomes)
        # Open, it can be read to its end though its name is gone.
        file = path.open("rb")
    return FileResponse(file, as_attachment=True, filename=file_name(run))


def _in_order(run: Run, outcome: DocumentOutcome) -> DocumentOutcome:
    """Put what an outcome holds into the order of the source's columns and of the mapping."""
    plan = run.version.plan
    columns = [column.name for column in plan.source.columns]
    targets = {line.name: [item.target for item in line.fields] for line in plan.lines}
    for held, names in [
        *((row, columns) for row in outcome.rows),
        *((record, targets.get(record["line"], [])) for record in outcome.records),
    ]:
        held["values"] = {name: held["values"][name] for name in as_planned(held["values"], names)}
    return outcome


@require_GET
@requires(Role.VIEWER)
def details(request: Request, number: int) -> HttpResponse:
    """Additional Details: the run's log, line by line."""
    run = _found(number)
    lines = LogEntry.objects.filter(run=run).order_by("pk")
    after = request.GET.get("after", "")
    if after.isdecimal() and len(after) < 18:
        lines = lines.filter(pk__gt=int(after))
    listed = list(lines[: LINES_A_PAGE + 1])
    more = listed[LINES_A_PAGE - 1].pk if len(listed) > LINES_A_PAGE else None
    entries = [(entry, _stage(entry.stage)) for entry in listed[:LINES_A_PAGE]]
    context = {**_frame(request, run), "entries": entries, "more": more, "paged": bool(after)}
    return render(request, "runs/details.html", context)


@require_GET
@requires(Role.VIEWER)
def source_file(request: Request, number: int) -> HttpResponse:
    """The rows this run read, from the exact bytes it read."""
    run = _found(number)
    page = request.GET.get("page", "1")
    at = max(int(page), 1) if page.isdecimal() and len(page) < 9 else 1
    context: dict[str, Any] = {**_frame(request, run), "page": at}
    if run.source_file is not None:
        try:
            source = _source_of(run)
            rows = list(islice(_rows(source), (at - 1) * ROWS_A_PAGE, at * ROWS_A_PAGE + 1))
            context |= {
                "columns": source.columns,
                "rows": _marked(run, source.columns, rows[:ROWS_A_PAGE]),
                "more": len(rows) > ROWS_A_PAGE,
            }
            source.close()
        except WaybillError as error:
            context["unreadable"] = error.sentence
    return render(request, "runs/source_file.html", context)


@require_GET
@requires(Role.VIEWER)
def download(request: Request, number: int) -> HttpResponse | FileResponse:
    """The bytes this run read, under the name they came with."""
    run = _found(number)
    if run.source_file is None:
        raise Http404
    file = path_of(run.source_file).open("rb")
    response = FileResponse(file, as_attachment=True, filename=run.source_file.name)
    response["Content-Type"] = "application/octet-stream"
    return response


@require_GET
@requires(Role.VIEWER)
def download_output(request: Request, number: int, line: int) -> FileResponse:
    """The file that this run made of a line, as it was kept."""
    output = get_object_or_404(OutputFile.objects.select_related("file"), run=_found(number), number=line)
    if output.file is None:
        raise Http404
    response = FileResponse(path_of(output.file).open("rb"), as_attachment=True, filename=output.name)
    response["Content-Type"] = "application/octet-stream"
    return response


@require_POST
@requires(Role.OPERATOR)
def cancel(request: Request, number: int) -> HttpResponse:
    """Ask the run to end at its next segment."""
    run = _found(number)
    asked = request_cancel(run, by=request.user)
    if request.htmx.target == "progress":
        return watch(request, run)
    if asked:
        words = "is cancelled" if not run.is_open else "ends at its next segment; what was not sent is held"
        messages.success(request, f"Run {run.number} {words}.")
    else:
        messages.info(request, f"Run {run.number} had ended already, or was asked to end before.")
    return redirect("run-summary", number)


@require_POST
@requires(Role.OPERATOR)
def run_again(request: Request, number: int) -> HttpResponse:
    """Re-Run: the same file, today's version."""
    run = _found(number)
    try:
        again = rerun(run, by=request.user)
    except Refused as error:
        # What is asked for anew is asked at once, beside what the run was given.
        if request.htmx or error.code == "refused.parameter":
            return ask(request, run.process, like=run, refused=error.sentence, status=422)
        messages.error(request, error.sentence)
        return redirect("run-summary", number)
    if request.htmx:
        return watch(request, again)
    messages.success(request, f"Run {again.number} started: it does again what run {number} did.")
    return redirect("run-summary", again.number)


def _found(number: int) -> Run:
    with_all = Run.objects.select_related(
        "process", "version", "requested_by", "source_file", "parent", "cancel_requested_by", "company"
    )
    return get_object_or_404(with_all, number=number)


def _frame(request: Request, run: Run) -> dict[str, Any]:
    newest = run.process.newest_version
    return {
        "run": run,
        "line": line_of(run),
        "sentence": sentence_of(run),
        "again": "" if run.is_open else read_again(run),
        "read": was_read(run),
        "may_run": Role(request.membership.role).includes(Role.OPERATOR),
        "newer_version": newest is not None and newest.pk != run.version_id,
        "attention": attention_of(run),
    }


def sentence_of(run: Run) -> str:
    """Say in one sentence what became of the documents. Why it ended so is the run's own `reason`."""
    if run.status == RunStatus.QUEUED:
        return f"This run is queued: {run.get_waiting_for_display() or 'a worker takes it as soon as one is free'}."
    total = run.source_documents
    done = run.documents_created + run.documents_updated + run.documents_unchanged
    are = "document is" if total == 1 else "documents are"
    if run.status == RunStatus.IN_PROGRESS:
        if run.cancel_requested_at:
            return "It is cancelling: it ends at its next segment, and what was not sent is held."
        if total is None:
            return "The source is being read. Nothing has been sent yet."
        return f"{done:,} of {total:,} {are} at the destination so far; it is {STAGES.get(run.stage, run.stage)}."
    if total is None:
        return "" if run.reason else "Nothing was read and nothing was sent."
    words = f"{done:,} of {total:,} {are} at the destination"
    if run.documents_restricted:
        were = "was" if run.documents_restricted == 1 else "were"
        words += f" and {run.documents_restricted:,} {were} left out on purpose"
    attention = attention_of(run).words
    return f"{words}. {attention}." if attention else f"{words}."


def _changes(run: Run) -> str:
    """Say of a run that read changes since when, how many rows came, and whether the watermark moved."""
    if not run.changes:
        return ""
    read = Changes(**run.changes)
    since = f"Changes since {read.since}" if read.since else "Everything, for there was no watermark yet"
    rows = f"{read.new_rows:,} new row{'' if read.new_rows == 1 else 's'}"
    if read.carried_rows:
        rows += f" and {read.carried_rows:,} carried from "
        rows += f"run {read.carried_from}" if read.carried_from else "a run that is no longer kept"
    if read.fewer_rows:
        rows += (
            f"; of {read.fewer_rows:,} carried document{'' if read.fewer_rows == 1 else 's'} fewer rows came than had "
        )
        rows += f"failed ({', '.join(read.named)}), so look whether they are whole"
    if read.moved:
        end = f"watermark moved to {read.reached}"
    elif run.is_open:
        end = "the watermark moves when the run has ended well"
    elif read.moved is None:
        end = "the watermark stays, for the run did not end well"
    else:
        end = "the watermark stays where it was"
    return f"{since}; {rows}; {end}."


def _variables(run: Run) -> list[tuple[str, str]]:
    """Give the values that the run's variables have, or ended with."""
    return [(name, as_text(masked(value))) for name, value in sorted((run.variables or {}).items())]


def _outcomes(run: Run, cause: str = "") -> Any:
    found = DocumentOutcome.objects.filter(run=run).order_by("document")
    return found.filter(cause=cause) if cause else found


def _blamed(run: Run, outcome: DocumentOutcome) -> set[str]:
    """Name the source columns to mark: the one at fault, or the one that its target field is mapped from."""
    if not outcome.column:
        return set()
    mapped = {
        column
        for line in run.version.plan.lines
        for item in line.fields
        for column in item.columns
        if item.target == outcome.column
    }
    return mapped | {outcome.column}


def _value_at_fault(run: Run, outcome: DocumentOutcome) -> str | None:
    """Give what the first row holds in the column at fault; None when none is to blame."""
    values = outcome.rows[0]["values"] if outcome.rows else {}
    return next((str(values[column]) for column in values if column in _blamed(run, outcome)), None)


def _lines(run: Run) -> list[LineCounts]:
    """Add up the records of each line over the segments of the ledger."""
    totals = [Counter[str]() for _ in run.version.plan.lines]
    segments = (
        LedgerSegment.objects.filter(run=run).order_by("number").values_list("lines", flat=True)[:SEGMENTS_SUMMED]
    )
    for counts in segments:
        for total, count in zip(totals, counts, strict=False):
            total.update(count)
    spec = run.version.plan.destination
    connection = Connection.objects.filter(public_id=spec.connection).first() if spec.connection else None
    return [
        LineCounts(
            name=line.name,
            destination=f"{connection.name} · {line.target}" if connection else line.target,
            records=sum(total.values()),
            delivered=sum(total[bucket] for bucket in DELIVERED),
            counts={str(bucket): total[bucket] for bucket in Bucket},
        )
        for line, total in zip(run.version.plan.lines, totals, strict=True)
    ]


def _outputs(run: Run) -> list[Output]:
    """Give the files of the run, in the order of their lines."""
    spec = run.version.plan.destination
    place = Connection.objects.filter(public_id=spec.connection).first() if spec.connection else None
    return [
        Output(
            number=item.number,
            name=item.name,
            where=_where(item, run, place),
            size_bytes=item.size_bytes,
            sha256=item.sha256,
            is_kept=item.file_id is not None,
        )
        for item in OutputFile.objects.filter(run=run).order_by("number")
    ]


def _where(output: OutputFile, run: Run, place: Connection | None) -> str:
    if output.is_placed:
        kept = ", and kept with this run" if output.file_id else ""
        return f"placed at {place or 'a deleted connection'}{kept}"
    if output.file_id:
        return "kept with this run, not placed" if run.version.plan.destination.connection else "kept with this run"
    if run.is_open:
        return "being made"
    is_well = run.status in (RunStatus.COMPLETED, RunStatus.COMPLETED_WITH_ERRORS)
    return "no record, so no file" if is_well else "not placed: the run ended before"


def _stages(run: Run) -> list[Stage]:
    entries = list(StageEntry.objects.filter(run=run).order_by("pk")[:200])
    if not entries or run.started_at is None:
        return []
    end = run.ended_at or timezone.now()
    whole = max((end - run.started_at).total_seconds(), 0.001)
    epochs = {entry.epoch for entry in entries}
    stages = []
    for entry in entries:
        began = (entry.started_at - run.started_at).total_seconds()
        took = (entry.ended_at or end) - entry.started_at
        title = _stage(entry.stage)
        worker = f"worker {entry.epoch} of {max(epochs)}" if len(epochs) > 1 else ""
        width = min(max(took.total_seconds() * 100 / whole, 0.6), 100)
        x = min(max(began * 100 / whole, 0), 100 - width)
        message = ", ".join(filter(None, (entry.message, worker)))
        left_some = entry.stage == "deliver" and run.documents_failed + run.documents_unknown
        left_some = left_some or any(
            ends["failed"] for place, ends in run.task_ends.items() if place.startswith(f"{entry.stage}/")
        )
        key = "run" if entry.ended_at is None and run.is_open else "unk" if left_some else "ok"
        stages.append(Stage(key, title, message, took, f"{x:.2f}%", f"{width:.2f}%"))
    return stages


def _tasks(run: Run) -> list[TaskEnds]:
    """Give how the tasks of the run's version ended, in the order of their stages; those that were never due left out."""
    return [
        _ends_of(words.label, task.name, run.task_ends[f"{stage}/{task.name}"])
        for stage, words in TASK_STAGES.items()
        for task in run.version.plan.tasks_at(stage)
        if f"{stage}/{task.name}" in run.task_ends
    ]


def _ends_of(stage: str, name: str, ends: Mapping[str, Any]) -> TaskEnds:
    counts = {how: ends[how] for how in ("done", "failed", "skipped")}
    return TaskEnds(stage=stage, name=name, said=ends.get("said", ""), run=ends.get("run"), **counts)


def _stage(key: str) -> str:
    """Name a stage as its tab does."""
    return STAGE_WORDS.get(key, key.replace("_", " ").capitalize())


def _comparison(run: Run) -> dict[str, Any] | None:
    """Set the run beside the last good one before it, or where none was good, beside the last that reached its end."""
    earlier = Run.objects.filter(process=run.process, number__lt=run.number).select_related("version")
    for status, called in (
        (RunStatus.COMPLETED, "the last good run"),
        (RunStatus.COMPLETED_WITH_ERRORS, "the last run that reached its end"),
    ):
        if good := earlier.filter(status=status).order_by("-number").first():
            return {"called": called, **_beside(good, run)}
    return None


def _beside(good: Run, run: Run) -> dict[str, Any]:
    rows = [
        ("Version", good.version.number, run.version.number),
        ("Documents", good.source_documents, run.source_documents),
        ("Rows", good.source_rows, run.source_rows),
        ("Need attention", attention_of(good).count, attention_of(run).count),
    ]
    return {
        "good": good,
        "rows": [(label, before, now, (now or 0) - (before or 0)) for label, before, now in rows],
        "took": (line_of(good).took, line_of(run).took),
    }


def _source_of(run: Run) -> Source:
    assert run.source_file is not None
    spec = run.version.plan.source
    kind = source_kind(spec.kind)
    path = path_of(run.source_file)
    if run.has_parents_rows or not kind.takes_file:
        return SpooledSource(path)
    return kind.open(SourceContext(spec=spec, file=path, file_name=run.source_file.name))


def _rows(source: Source) -> Iterator[tuple[int, Row, str]]:
    """Yield every row with its number and what is wrong with it."""
    for batch in source.read():
        for index, (number, row) in enumerate(zip(batch.numbers, batch.rows, strict=True)):
            yield number, row, batch.defects.get(index, "")


def _marked(run: Run, columns: Sequence[str], rows: list[tuple[int, Row, str]]) -> list[SourceRow]:
    """Mark the rows of failed and unknown documents, as far as those are among the first of the run."""
    shown = {number for number, _, _ in rows}
    faults: dict[int, tuple[str, set[str]]] = {}
    for outcome in _outcomes(run)[:OUTCOMES_MARKED]:
        for held in outcome.rows:
            if held["number"] in shown:
                faults[held["number"]] = (outcome.sentence, _blamed(run, outcome))
    marked = []
    for number, row, defect in rows:
        sentence, blamed = faults.get(number, (defect, set()))
        cells = [(value, bool(sentence) and (column in blamed)) for column, value in zip_longest(columns, row)]
        marked.append(SourceRow(number, sentence, cells))
    return marked
