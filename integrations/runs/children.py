"""Runs that a run starts: performed inline by the parent's worker, each under its own row, lease and ledger.

So parents that wait can never starve their children of workers, however few there are.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django_scopes import scope

from integrations.engine.plan import EVERYTHING_SENT, Stage
from integrations.engine.ports import Stop
from integrations.models import Process, Run, StoredFile
from integrations.models.run import Trigger, Waiting
from integrations.runs.claims import Came, Claim
from integrations.runs.drain import is_draining, wait_for_drain
from integrations.runs.health import this_worker
from integrations.runs.journal import RunJournal
from integrations.runs.perform import carry_out, perform_next
from integrations.runs.request import Refused, request_cancel, request_run

LOOK_AGAIN_SECONDS = 0.5
DEPTH = 10
"""Runs that may stand one inside the other (spec 10, *Run Integration*)."""


def perform_child(
    parent: Run,
    process: Process,
    *,
    key: str,
    journal: RunJournal,
    rows: Callable[[], StoredFile] | None = None,
    given: Mapping[str, Any] | None = None,
    document: Mapping[str, str] | None = None,
    stage: Stage = Stage.INTEGRATION_PRE,
) -> Run | None:
    """Run `process` as the child of `parent` at the place `key` (task, stage, document) and give the ended run.

    A parent that was resumed gets the child it had started before, finished if need be, and never a second one.
    `rows` spools the parent's rows for a child that is new, `document` holds the values of the one it is started at. A parent that is cancelled takes its child along, and
    starts none, but for what it does in every case. None when the parent should stop first: a child that was begun waits for its return. Raises `Refused` when the process cannot run, or is the parent's own, and `Fenced` when the parent was lost.
    """
    if process.pk in _lineage(parent):
        raise Refused(f"{process.name} would start itself for ever. Choose another integration.", code="refused.cycle")
    if len(_lineage(parent)) >= DEPTH:
        raise Refused(
            f"{process.name} would be the child of {DEPTH} runs, one inside the other. Start it from one further up.",
            code="refused.depth",
        )
    stop = journal.stop()
    cancelled = stop is Stop.CANCELLED and stage in EVERYTHING_SENT
    if cancelled and stage is not Stage.INTEGRATION_POST_ALWAYS:
        # Nothing is left that could end the run but its tasks: handed back, it would only come here again.
        raise Refused("This run was cancelled, so it starts no other one.", code="refused.cancelled")
    if is_draining() if cancelled else stop is not None:
        return None
    child = _child_at(parent, process, key=key, journal=journal, rows=rows, given=given, document=document)
    while child.is_open:
        stop = _stop_since(journal, cancelled=cancelled)
        if stop is Stop.CANCELLED:
            # Its own ledger says then what it left.
            request_cancel(child, by=parent.cancel_requested_by)
        elif stop is not None:
            return None
        asked_at = time.monotonic()
        if _claim(child, journal):
            carry_out(Claim(run=child, came=Came.CHILD, asked_at=asked_at))
        elif not perform_next(process):
            # The run that keeps the child waiting is in another worker's hands; that one brings it to an end.
            wait_for_drain(LOOK_AGAIN_SECONDS)
        with scope(company=parent.company):
            child.refresh_from_db()
    journal.note(waiting_for="")
    return child


def _stop_since(journal: RunJournal, *, cancelled: bool) -> Stop | None:
    """Say whether the parent should stop, for another reason than that it was `cancelled` before the child began."""
    stop = journal.stop()
    if cancelled and stop is Stop.CANCELLED:
        return Stop.DRAINING if is_draining() else None
    return stop


def _child_at(
    parent: Run,
    process: Process,
    *,
    key: str,
    journal: RunJournal,
    rows: Callable[[], StoredFile] | None,
    given: Mapping[str, Any] | None,
    document: Mapping[str, str] | None,
) -> Run:
    found = Run.objects.filter(parent=parent, parent_key=key).first()
    if found is not None:
        return found
    spooled = rows() if rows is not None else None
    with transaction.atomic():
        # Under the parent's fence: a worker that lost the parent starts no child.
        journal.note(waiting_for=Waiting.CHILD)
        return request_run(
            process,
            by=parent.requested_by,
            trigger=Trigger.PARENT,
            parent=parent,
            parent_key=key,
            rows=spooled,
            given=given,
            parent_document=document,
        )


def _claim(child: Run, journal: RunJournal) -> bool:
    try:
        with transaction.atomic():
            journal.note(waiting_for=Waiting.CHILD)
            return Run.objects.claim_child(child, owner=this_worker())
    except IntegrityError:
        return False


def _lineage(run: Run) -> set[int]:
    """Give the processes of a run and of all its parents."""
    processes = set()
    above: Run | None = run
    while above is not None:
        processes.add(above.process_id)
        above = above.parent
    return processes
