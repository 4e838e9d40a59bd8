"""One run from claim to finish, in the worker that holds it.

The straight path: claim → open the plan and its destination → start the script child → execute, which has the source
pinned once the tasks before it are done → finish, while a thread beats. Every end is a value; a worker that lost the run drops everything and writes nothing.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial

from django.db import InterfaceError, OperationalError, close_old_connections
from django_scopes import scope
from structlog.contextvars import bound_contextvars

from integrations.connectors.registry import destination_kind
from integrations.connectors.spec import DestinationContext, DestinationKind
from integrations.engine.ahead import LOOK_UP_SECONDS
from integrations.engine.errors import Fenced, TransientError, WaybillError
from integrations.engine.execute import (
    ATTEMPTS,
    FIRST_PAUSE_SECONDS,
    Outcome,
    OutcomeStatus,
    Stopped,
    execute,
    stop_if_asked,
)
from integrations.engine.failpoint import failpoint
from integrations.engine.inputs import Inputs, Parent
from integrations.engine.order import order_of
from integrations.engine.plan import MOST, Plan
from integrations.engine.ports import Destination, Source, Ticket
from integrations.engine.secret import IN_LOGS
from integrations.engine.secure import Vault
from integrations.engine.variables import Variables
from integrations.models import Process, Run, RunStatus
from integrations.models.ledger import HANDOVER
from integrations.models.vault import vault_of
from integrations.runs.carried import carried_on
from integrations.runs.choices import with_choices
from integrations.runs.claims import Came, Claim, claim_next
from integrations.runs.connections import opened_for
from integrations.runs.drain import is_draining, wait_for_drain
from integrations.runs.facts import standing_facts
from integrations.runs.health import this_worker
from integrations.runs.journal import WELL, Deadline, RunJournal
from integrations.runs.lease import Lease
from integrations.runs.lookups import open_lookups
from integrations.runs.named_things import see_that_all_is_there, see_that_the_parent_gives
from integrations.runs.numbers import open_numbers
from integrations.runs.outputs import RunWorkspace, clear
from integrations.runs.pin import SourceInTime, open_pinned
from integrations.runs.redaction import Redactor
from integrations.runs.retries import Retries
from integrations.runs.secure_values import Opening
from integrations.runs.systems import DestinationInTime, LookupsInTime
from integrations.runs.tasks import RunTasks
from integrations.runs.translations import pins_of, tables_of
from integrations.runs.variables import (
    check_names,
    given_at_start,
    keep,
    local_start,
    secure_names,
    see_that_they_open,
    values_of,
)
from integrations.scripting import Sandbox, open_scripts

log = logging.getLogger(__name__)

HANDS = threading.Lock()
"""One run at a time in this process: whichever thread hears of work first does it."""

ENDS = {
    OutcomeStatus.COMPLETED: RunStatus.COMPLETED,
    OutcomeStatus.COMPLETED_WITH_ERRORS: RunStatus.COMPLETED_WITH_ERRORS,
    OutcomeStatus.FAILED: RunStatus.FAILED,
    OutcomeStatus.CANCELLED: RunStatus.CANCELLED,
}
INTERNAL = Outcome(
    status=OutcomeStatus.FAILED,
    code="internal",
    sentence="Waybill met a fault of its own and ended this run; what was delivered is in the ledger. "
    "Tell an administrator the run's number: the server's log says more.",
)


def perform(run_id: int | None = None) -> int:
    """Perform whatever may be performed, the fairest first, until nothing can be claimed or the worker must stop.

    `run_id` only says who rang. Gives the number of runs that passed through this worker's hands.
    """
    with HANDS:
        performed = _perform_all()
    log.debug("rung for run %s: performed %s", run_id, performed)
    return performed


def perform_if_idle() -> int:
    """Do the same, unless another thread of this process is at it."""
    if not HANDS.acquire(blocking=False):
        return 0
    try:
        return _perform_all()
    finally:
        HANDS.release()


def _perform_all() -> int:
    performed = 0
    while not is_draining() and perform_next():
        performed += 1
    return performed


def perform_next(process: Process | None = None) -> bool:
    """Claim the run whose turn it is and perform it. False when there was none."""
    claim = claim_next(this_worker(), process=process)
    if claim is None:
        return False
    failpoint("perform.claimed")
    carry_out(claim)
    return True


def carry_out(claim: Claim) -> None:
    """Bring a claimed run to an end, or hand it back. Never raises: whatever happens is on the run or in the log."""
    run = claim.run
    about = bound_contextvars(run=run.number, company=run.company.name)
    with scope(company=run.company), about, few_collections():
        try:
            with Lease(run, asked_at=claim.asked_at) as lease:
                vault = vault_of(run.company)
                redact = Redactor(run.version.plan_json, vault)
                journal = RunJournal(run, lease, redact=redact)
                with _logged_without_secrets(redact):
                    _tell_how_it_came(claim, journal)
                    _settle_outcome(run, journal, _outcome(run, lease, journal, vault))
        except Fenced as fault:
            log.warning("run %s: dropped under epoch %s: %s", run.number, claim.run.epoch, fault.sentence)
        except (OperationalError, InterfaceError):
            # The database is away: nothing can be written, so the lease runs out and the run is resumed.
            log.exception("run %s: dropped, the database does not answer", run.number)
            close_old_connections()


@contextmanager
def _logged_without_secrets(redact: Redactor) -> Iterator[None]:
    before = IN_LOGS.set(redact)
    try:
        yield
    finally:
        IN_LOGS.reset(before)


@contextmanager
def few_collections() -> Iterator[None]:
    """Let the garbage collector rest: rows are millions of lists without a cycle, and looking through them again and
    again takes half of a worker's time (measured). What was there before the run is not looked through at all."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _outcome(run: Run, lease: Lease, journal: RunJournal, vault: Vault) -> Outcome:
    try:
        return _execute(run, lease, journal, vault)
    except Stopped as stopped:
        return stopped.outcome
    except (Fenced, OperationalError, InterfaceError):
        raise
    except WaybillError as fault:
        if isinstance(fault, TransientError) and is_draining():
            return Outcome(status=OutcomeStatus.HANDED_BACK)
        return Outcome(status=OutcomeStatus.FAILED, sentence=fault.sentence, code=fault.code)
    except Exception:
        log.exception("run %s: internal fault", run.number)
        return INTERNAL


def _execute(run: Run, lease: Lease, journal: RunJournal, vault: Vault) -> Outcome:
    plan = run.version.plan
    variables = _variables(run, plan, journal, vault)
    see_that_all_is_there(run.process, plan)
    parent = Parent(document=run.parent_document, gives_rows=run.has_parents_rows)
    see_that_the_parent_gives(plan, parent)
    assert run.started_at is not None
    journal.deadline = _deadline(run, plan)
    started_at = local_start(run.company, run.started_at)
    with ExitStack() as closing:
        look_up = _look_up(run, journal)
        lookups = LookupsInTime(partial(open_lookups, plan))
        closing.callback(lookups.close)
        inputs = Inputs(
            variables=variables,
            tables=tables_of(run.tables),
            started_at=started_at,
            lookups=lookups,
            numbers=open_numbers(run, plan, journal),
            parent=parent,
        )
        workspace = RunWorkspace(run, lease.epoch, journal, variables, started_at)
        context = partial(_context, plan, journal, workspace)
        destination = DestinationInTime(partial(_open_destination, plan, context, variables, journal, look_up))
        closing.callback(destination.close)

        def open_systems() -> None:
            lookups.open()
            destination.open()

        scripts = None
        if plan.has_scripts:
            scripts = open_scripts(
                plan, [column.name for column in plan.source.columns], variables=variables, facts=standing_facts(run)
            )
            closing.callback(scripts.close)
            if scripts.isolation != "full":
                journal.log("warning", "This system cannot filter what scripts ask of it: their isolation is reduced.")
        source = SourceInTime(partial(_open_source, run, plan, journal, variables, scripts, look_up))
        closing.callback(source.close)
        outcome = execute(
            plan,
            source=source,
            destination=destination,
            scripts=scripts,
            journal=journal,
            tasks=RunTasks(run, plan, journal, scripts, variables),
            ticket_for=partial(_ticket, run, lease.epoch),
            inputs=inputs,
            open_systems=open_systems,
        )
        if outcome.status in ENDS and plan.variables:
            journal.keep(keep(run, plan, variables, ENDS[outcome.status]))
        if outcome.status in ENDS and ENDS[outcome.status] in WELL:
            journal.carried = carried_on(run, journal)
        return outcome


def _open_source(
    run: Run,
    plan: Plan,
    journal: RunJournal,
    variables: Variables,
    scripts: Sandbox | None,
    look_up: Callable[[], None],
) -> Source:
    """Open the pinned rows of the run with the variables as they are now, and tell its columns to whoever needs them."""
    try:
        source = open_pinned(run, plan.source, journal, look_up, variables)
    except TransientError:
        if is_draining():
            raise Stopped(Outcome(status=OutcomeStatus.HANDED_BACK)) from None
        raise
    failpoint("perform.pinned")
    try:
        journal.columns = source.columns
        if scripts is not None:
            scripts.read_rows_of(source.columns)
    except BaseException:
        source.close()
        raise
    return source


def _variables(run: Run, plan: Plan, journal: RunJournal, vault: Vault) -> Variables:
    """Give the run's own variables: resolved when it starts, as they were left when it is resumed. The translation
    tables are pinned with them."""
    if run.variables is None:
        assert run.started_at is not None
        asked = with_choices(run.process, plan, run.given)
        run.given = given_at_start(asked, run.given, local_start(run.company, run.started_at).date())
        run.variables, run.tables = values_of(run.process, plan, run.given), pins_of(plan)
        journal.note(batching=order_of(plan).reason, given=run.given, variables=run.variables, tables=run.tables)
    check_names(plan, run.variables)
    see_that_they_open(plan, run.variables, vault)
    return Variables(run.variables, vault=vault, secure=secure_names(plan))


def _deadline(run: Run, plan: Plan) -> Deadline | None:
    """Give the first moment at which the time of a run is over: its own, or that of a run it is a child of."""
    found = []
    above: Run | None = run
    while above is not None:
        minutes = (plan if above is run else above.version.plan).options.time_limit
        # More than an import may once have brought is as much as there can be.
        minutes = min(minutes, MOST["time_limit"])
        if minutes > 0 and above.started_at:
            found.append(Deadline(above.started_at + timedelta(minutes=minutes), minutes))
        above = above.parent
    return min(found, default=None)


def _look_up(run: Run, journal: RunJournal) -> Callable[[], None]:
    """Give what raises `Stopped` when the run should end before it is under way. It may be called at any rate."""
    to_be_counted = bool(run.segments) or run.sending_segment is not None
    looked = time.monotonic()

    def look_up() -> None:
        nonlocal looked
        if is_draining() or time.monotonic() - looked > LOOK_UP_SECONDS:
            stop_if_asked(journal, to_be_counted=to_be_counted)
            looked = time.monotonic()

    return look_up


def _open_destination(
    plan: Plan,
    context: Callable[[], DestinationContext],
    variables: Variables,
    journal: RunJournal,
    look_up: Callable[[], None],
) -> Destination:
    """Open the destination, which gets secure values where it may hold them."""
    kind = destination_kind(plan.destination.kind)
    destination = _patiently_opened(plan, kind, context, journal, look_up)
    return Opening(destination, variables) if variables.hold_secure_values and kind.takes_secrets else destination


def _patiently_opened(
    plan: Plan,
    kind: DestinationKind,
    context: Callable[[], DestinationContext],
    journal: RunJournal,
    look_up: Callable[[], None],
) -> Destination:
    """A destination that does not answer is asked again, as it would be during the delivery."""
    attempts = ATTEMPTS + plan.options.retry_times
    for attempt in range(1, attempts):
        try:
            return kind.open(context())
        except TransientError as fault:
            journal.log("warning", f"Attempt {attempt} of {attempts}: {fault.sentence}")
            if attempt < ATTEMPTS:
                wait_for_drain(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            else:
                Retries(plan.options, journal).pause()
            look_up()
    return kind.open(context())


def _context(plan: Plan, journal: RunJournal, workspace: RunWorkspace) -> DestinationContext:
    retries = Retries(plan.options, journal)
    return DestinationContext(
        spec=plan.destination,
        lines=plan.lines,
        opened=opened_for(plan.destination),
        is_over=retries.is_over,
        concurrency=plan.options.concurrency,
        retries=plan.options.retry_times,
        wait_to_retry=retries.wait,
        workspace=workspace,
    )


def _ticket(run: Run, epoch: int, segment: int) -> Ticket:
    return Ticket(run=str(run.public_id), token=run.public_id.hex, epoch=epoch, segment=segment)


def _tell_how_it_came(claim: Claim, journal: RunJournal) -> None:
    run = claim.run
    after = f"after segment {run.segments}" if run.segments else "from the beginning"
    if claim.came is Came.SILENT:
        silent = f"The worker of this run fell silent. Another one continues {after}."
        journal.log("warning", silent, stage=HANDOVER)
    elif claim.came is Came.HANDED_BACK:
        stopped = f"The worker of this run was stopped and handed it back. Another one continues {after}."
        journal.log("info", stopped, stage=HANDOVER)
    elif claim.came is Came.YIELDED:
        journal.log("info", f"This run let others go first. It continues {after}.", stage=HANDOVER)


def _settle_outcome(run: Run, journal: RunJournal, outcome: Outcome) -> None:
    failpoint("perform.before_finish")
    if outcome.status is OutcomeStatus.FENCED:
        raise Fenced(outcome.sentence)
    if outcome.status is OutcomeStatus.HANDED_BACK:
        journal.hand_back(yielded=not is_draining())
    else:
        journal.finish(status=ENDS[outcome.status], reason=outcome.sentence, code=outcome.code)
        clear(run)
    failpoint("perform.finished")
    log.info("run %s: %s %s", run.number, outcome.status, outcome.code)
