"""What a run does, from its pinned source to a balanced ledger: `read → group → restrict → map → deliver → account`.

Two passes over the source: the survey finds everything that is wrong with it as a whole and counts it, the delivery
sends segment by segment and accounts for each before the next. Every end is a value, an `Outcome`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import TypeVar

from integrations.engine.ahead import Ahead
from integrations.engine.batch import ERRORS, Bucket, Delivery, Document, MappedBatch, Problem, RowBatch
from integrations.engine.errors import Fenced, TransientError, UnknownOutcome, WaybillError, Where
from integrations.engine.failpoint import failpoint
from integrations.engine.group import documents
from integrations.engine.inputs import Inputs
from integrations.engine.limits import too_many_errors
from integrations.engine.mapping import Mapper, joined, part, withdraw
from integrations.engine.order import order_of
from integrations.engine.plan import DOCUMENT_STAGES, STAYS_INSIDE, NoData, Plan, Stage
from integrations.engine.ports import (
    Completing,
    Destination,
    Journal,
    Position,
    Scripts,
    Segment,
    Settled,
    Source,
    Stop,
    TaskEnd,
    TaskResult,
    Tasks,
    Ticket,
)
from integrations.engine.segments import cut, parted
from integrations.engine.survey import Survey, survey

Answer = TypeVar("Answer")

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 1.0
MAPPED_AHEAD = 1_000
"""Documents that are mapped in one crossing: enough for speed, few enough to be kept a step ahead of the delivery."""
LOOK_UP_SECONDS = 0.5
FOLLOWED_TOGETHER = 20
"""Documents of a segment where tasks stand before or behind each: so few that a cancel is heard and progress shows soon,
however long a task takes. Always as many, so that a resumed run cuts the same segments."""
FOLLOWED_BY_SCRIPTS = 200
"""The same where all of those tasks stay inside: they take microseconds, and each segment costs several commits."""
FOLLOWED_BY = {
    Bucket.CREATED: Stage.DOCUMENT_POST_SUCCESS,
    Bucket.UPDATED: Stage.DOCUMENT_POST_SUCCESS,
    Bucket.UNCHANGED: Stage.DOCUMENT_POST_SUCCESS,
    Bucket.FAILED: Stage.DOCUMENT_POST_FAILURE,
}
"""The tasks that follow a document. One that is unknown has neither arrived nor failed, so none follows it."""


class OutcomeStatus(StrEnum):
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HANDED_BACK = "handed_back"
    FENCED = "fenced"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an execution ended: a status, a sentence for the operator and a stable code ("" when all is well)."""

    status: OutcomeStatus
    sentence: str = ""
    code: str = ""


class Stopped(Exception):
    """Ends the delivery between two segments with this outcome; what was not attempted is held where it is final."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.sentence)
        self.outcome = outcome


def stop_if_asked(journal: Journal, *, to_be_counted: bool) -> None:
    """Raise `Stopped` when the run should end here. What is final, a cancel or the end of its time, waits while
    something of the run has `to_be_counted`."""
    stop = journal.stop()
    if stop is not None and stop is not Stop.CANCELLED:
        raise Stopped(Outcome(status=OutcomeStatus.HANDED_BACK))
    if to_be_counted:
        return
    if stop is Stop.CANCELLED:
        sentence = "The run was cancelled. What was not sent yet is held."
        raise Stopped(Outcome(status=OutcomeStatus.CANCELLED, sentence=sentence, code="cancelled"))
    if sentence := journal.overdue():
        raise Stopped(Outcome(status=OutcomeStatus.FAILED, sentence=sentence, code="time_limit"))


def execute(
    plan: Plan,
    *,
    source: Source,
    destination: Destination,
    scripts: Scripts | None,
    journal: Journal,
    tasks: Tasks,
    ticket_for: Callable[[int], Ticket],
    inputs: Inputs | None = None,
    open_systems: Callable[[], None] = lambda: None,
    wait: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Run `plan` on from where the journal stands, to whatever end. Raises only what is no `WaybillError`.

    The variables among the `inputs` are the run's own, as the journal last kept them; `scripts` and `tasks` change the
    same object. `open_systems` is called once, behind the Integration Pre tasks and before the destination or a lookup
    is asked for anything.
    """
    inputs = inputs or Inputs()
    try:
        return _Execution(
            plan, source, destination, scripts, journal, tasks, ticket_for, inputs, open_systems, wait
        ).run()
    except Fenced as error:
        return Outcome(status=OutcomeStatus.FENCED, sentence=error.sentence, code=error.code)


class _Execution:
    def __init__(
        self,
        plan: Plan,
        source: Source,
        destination: Destination,
        scripts: Scripts | None,
        journal: Journal,
        tasks: Tasks,
        ticket_for: Callable[[int], Ticket],
        inputs: Inputs,
        open_systems: Callable[[], None],
        wait: Callable[[float], None],
    ) -> None:
        self._plan = plan
        self._source = source
        self._destination = destination
        self._scripts = scripts
        self._journal = journal
        self._tasks = tasks
        self._ticket_for = ticket_for
        self._inputs = inputs
        self._variables = inputs.variables
        self._variables_kept = self._variables.revision
        self._accounted_variables = self._variables.snapshot()
        self._open_systems = open_systems
        self._wait = wait
        self._order = order_of(plan)
        self._minds_documents = bool(DOCUMENT_STAGES & set(tasks.stages))
        self._looked_up_at = time.monotonic()
        self._position = Position()
        self._may_have_left = False
        """True while a segment of an earlier worker may have left and nobody knows yet whether it did."""
        self._tasks_follow = True
        """False where the options keep the tasks behind everything from following."""
        self._abandoned = False
        """True once nobody waits any more for what is being mapped ahead."""

    # ---- the order of a run --------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        try:
            self._position = self._journal.position()
            self._may_have_left = self._position.sending is not None
            self._before(Stage.INTEGRATION_PRE)
            self._open_systems()
            self._journal.entered("read", "all of the source, before anything is sent")
            seen = self._survey()
            if not seen.rows:
                outcome = self._without_data()
            else:
                self._before(Stage.VALIDATION)
                self._journal.entered("deliver", f"{seen.rows:,} rows in {seen.documents:,} documents")
                self._deliver_all(seen)
                outcome = self._well()
        except Fenced:
            raise
        except Stopped as stopped:
            outcome = stopped.outcome
        except WaybillError as error:
            outcome = Outcome(status=OutcomeStatus.FAILED, sentence=error.sentence, code=error.code)
        return self._closed(outcome)

    def _survey(self) -> Survey:
        seen = survey(self._plan, _Watched(self._source, self._stop_survey))
        self._journal.surveyed(rows=seen.rows, documents=seen.documents, dropped=seen.dropped)
        if seen.dropped:
            self._journal.log("info", f"{seen.dropped:,} blank rows were left out, as the options say.", stage="read")
        if seen.scattered is None or seen.scattered:
            many = "many" if seen.scattered is None else f"{len(seen.scattered):,}"
            self._journal.log(
                "info", f"The rows of {many} documents lie apart and were brought together.", stage="group"
            )
        return seen

    def _without_data(self) -> Outcome:
        self._tasks_follow = self._plan.options.tasks_without_data
        if self._plan.options.no_data is NoData.FAILURE:
            return Outcome(
                status=OutcomeStatus.FAILED,
                sentence="The source holds no row, and the options say that this is a failure. Nothing was sent.",
                code="source.no_data",
            )
        return Outcome(status=OutcomeStatus.COMPLETED, sentence="The source holds no row, so nothing was sent.")

    def _well(self) -> Outcome:
        errors = self._position.errors + self._position.follow_ups
        if not errors:
            return Outcome(status=OutcomeStatus.COMPLETED)
        are = "document needs" if errors == 1 else "documents need"
        return Outcome(
            status=OutcomeStatus.COMPLETED_WITH_ERRORS,
            sentence=f"{errors:,} {are} attention; everything else was accounted for.",
            code="documents",
        )

    def _closed(self, outcome: Outcome) -> Outcome:
        """Let the last tasks follow. What was not attempted is held by the row itself when the run ends."""
        if outcome.status is OutcomeStatus.HANDED_BACK or not self._tasks_follow:
            return outcome
        outcome = self._completed(outcome)
        if outcome.status is not OutcomeStatus.CANCELLED:
            is_well = outcome.status is OutcomeStatus.COMPLETED
            outcome = self._after(
                Stage.INTEGRATION_POST_SUCCESS if is_well else Stage.INTEGRATION_POST_FAILURE, outcome
            )
        outcome = self._after(Stage.INTEGRATION_POST_ALWAYS, outcome)
        return outcome

    def _completed(self, outcome: Outcome) -> Outcome:
        """Let a destination complete what shows at the end only. Where it cannot, the run has failed."""
        if not isinstance(self._destination, Completing):
            return outcome
        whole = outcome.status in (OutcomeStatus.COMPLETED, OutcomeStatus.COMPLETED_WITH_ERRORS)
        failpoint("execute.before_complete")
        try:
            for sentence in self._destination.complete(whole=whole):
                self._journal.log("info", sentence, stage="deliver")
        except Fenced:
            raise
        except WaybillError as error:
            sentence = f"{error.sentence} {outcome.sentence}".strip()
            status = outcome.status if outcome.status is OutcomeStatus.CANCELLED else OutcomeStatus.FAILED
            return Outcome(status=status, sentence=sentence, code=error.code)
        failpoint("execute.after_complete")
        return outcome

    def _before(self, stage: Stage) -> None:
        """Do the tasks that stand before anything is sent. What ends there ends the run (spec 10, *Tasks*)."""
        end = self._tasks_of(stage)
        if end.result is TaskResult.GO_ON:
            return
        if end.result is TaskResult.INTERRUPTED:
            raise self._interrupted()
        if end.result is TaskResult.QUIT and end.failed:
            status, code = OutcomeStatus.FAILED, "task.failed"
        elif end.result is TaskResult.QUIT and stage is Stage.INTEGRATION_PRE:
            # Nothing was read, so nothing is left undone: a check that found no work to do ends well.
            status, code = OutcomeStatus.COMPLETED, "task.quit"
        else:
            status, code = OutcomeStatus.CANCELLED, "task.cancelled"
        raise Stopped(Outcome(status=status, sentence=f"{end.sentence} Nothing was sent.", code=code))

    def _after(self, stage: Stage, outcome: Outcome) -> Outcome:
        """Do the tasks that stand behind everything. One that fails and quits keeps the run from being Completed."""
        if outcome.status is OutcomeStatus.HANDED_BACK:
            return outcome
        end = self._tasks_of(stage)
        if end.result is TaskResult.INTERRUPTED:
            # Cancelled or not, everything else is done: what is left of the tasks follows when the run is resumed.
            return Outcome(status=OutcomeStatus.HANDED_BACK)
        if end.result is TaskResult.QUIT and end.failed and outcome.status is OutcomeStatus.COMPLETED:
            return Outcome(status=OutcomeStatus.COMPLETED_WITH_ERRORS, sentence=end.sentence, code="task.failed")
        return outcome

    def _interrupted(self) -> Stopped:
        try:
            self._stop_if_asked()
        except Stopped as stopped:
            return stopped
        return Stopped(Outcome(status=OutcomeStatus.HANDED_BACK))

    def _tasks_of(self, stage: Stage) -> TaskEnd:
        if stage not in self._tasks.stages:
            return TaskEnd()
        self._journal.entered(stage)
        return self._tasks.at(stage)

    def _stop_if_asked(self, *, to_be_counted: bool = False) -> None:
        """End the run here when somebody asked for it.

        A cancelled run is final, so what may have left is settled first, and what it holds back is counted; one that
        is handed back leaves both to whoever continues.
        """
        stop_if_asked(self._journal, to_be_counted=self._may_have_left or to_be_counted)

    def _stop_after_errors(self, documents: int) -> None:
        errors = self._position.errors + self._position.follow_ups
        sentence = too_many_errors(self._plan.options, errors=errors, documents=documents)
        if sentence and not self._may_have_left:
            raise Stopped(Outcome(status=OutcomeStatus.FAILED, sentence=sentence, code="too_many_errors"))

    def _stop_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._looked_up_at > LOOK_UP_SECONDS:
            self._looked_up_at = now
            self._stop_if_asked()

    def _stop_survey(self) -> None:
        self._stop_if_asked(to_be_counted=bool(self._position.documents))

    # ---- segment by segment --------------------------------------------------------------------------------------

    def _deliver_all(self, seen: Survey) -> None:
        begun = self._position
        ticket = replace(self._ticket_for(begun.segments + 1), in_doubt=self._may_have_left)
        settled = self._patiently(lambda: self._destination.enter(ticket))
        mapper = Mapper(self._plan, seen.columns, self._scripts, self._inputs)
        segments = self._segments(seen, mapper, skip=begun.documents)
        self._accounted_variables = self._variables.snapshot()
        try:
            if self._minds_documents or self._plan.numbered:
                # What a task does shows in the next document, so nothing is computed ahead of it; and numbers are
                # taken where the run is written, which one thread alone does.
                self._send_all(segments, begun, settled, of=seen.documents)
                return
            with Ahead(segments, meanwhile=self._stop_if_asked, interrupt=self._abandon) as mapped:
                self._send_all(mapped, begun, settled, of=seen.documents)
        except Exception:
            # What was mapped and not sent leaves no trace, whatever ended the run.
            self._variables.update(self._accounted_variables)
            raise

    def _send_all(self, mapped: Iterable[MappedBatch], begun: Position, settled: Settled | None, *, of: int) -> None:
        """Send one segment after the other; `of` is how many documents the source has."""
        for left in mapped:
            while left.documents:
                self._stop_if_asked()
                self._stop_after_errors(of)
                left = self._next_segment(left, begun, settled)

    def _next_segment(self, batch: MappedBatch, begun: Position, settled: Settled | None) -> MappedBatch:
        """Deliver and account for a batch, or for as much of it as the destination took; give what is left."""
        number = self._position.segments + 1
        in_doubt = number == begun.sending
        delivery = self._settled_before(batch, number, settled, in_doubt=in_doubt)
        if delivery is None:
            if not in_doubt:
                self._journal.sending(number)
            failpoint("execute.before_deliver")
            delivery = self._delivered(batch, number)
            failpoint("execute.after_deliver")
        taken, left = parted(batch, len(delivery.buckets))
        self._account(taken, number, delivery)
        failpoint("execute.after_settle")
        return left

    def _abandon(self) -> None:
        self._abandoned = True
        if self._scripts is not None:
            self._scripts.interrupt()

    def _leave_if_abandoned(self) -> None:
        if self._abandoned:
            raise Fenced("Nobody waits for this any more.")

    def _segments(self, seen: Survey, mapper: Mapper, *, skip: int) -> Iterator[MappedBatch]:
        """Cut the documents that are not accounted for yet into mapped segments."""
        found = documents(self._plan, _Watched(self._source, self._leave_if_abandoned), seen)
        next(islice(found, skip, skip), None)
        # Where scripts write before a document is sent, a segment that is sent in part would leave variables of more
        # documents than it holds. One that settles is sent whole or not at all.
        singly = self._order.send_singly or (self._order.writes_before_sending and not self._destination.settles)
        size = 1 if singly else min(self._followed_together(), self._destination.batch_size)
        while segment := cut(found, size):
            yield self._mapped(segment, mapper)

    def _followed_together(self) -> int:
        """Give how many documents a segment may have for the sake of the tasks that stand at each of them."""
        if not self._minds_documents:
            return self._destination.batch_size
        inside = all(task.type in STAYS_INSIDE for task in self._plan.active_tasks if task.stage in DOCUMENT_STAGES)
        return FOLLOWED_BY_SCRIPTS if inside else FOLLOWED_TOGETHER

    def _mapped(self, segment: Sequence[Document], mapper: Mapper) -> MappedBatch:
        step = 1 if self._order.map_singly else MAPPED_AHEAD
        parts = []
        for at in range(0, len(segment), step):
            batch = mapper.map(segment[at : at + step])
            self._prepare(batch)
            parts.append(batch)
        whole = joined(parts)
        if not self._minds_documents:
            # Mapped ahead: these are the variables as this segment leaves them, whatever the next one does.
            whole.variables = self._changed_variables()
        return whole

    def _prepare(self, batch: MappedBatch) -> None:
        """Do the tasks before each document that is to be sent."""
        if Stage.DOCUMENT_PRE not in self._tasks.stages:
            return
        stopped: dict[int, Bucket] = {}
        for index, document in enumerate(batch.documents):
            if batch.verdicts[index] is not None:
                continue
            # Nothing of these documents has left yet.
            self._stop_now_and_then()
            end = self._tasks.at(Stage.DOCUMENT_PRE, document)
            if end.result is TaskResult.INTERRUPTED:
                raise self._interrupted()
            if end.result is TaskResult.CANCEL:
                stopped[index] = Bucket.RESTRICTED
                self._journal.log("info", f"Left out: {end.sentence}", stage=Stage.DOCUMENT_PRE, document=document.key)
            elif end.result is TaskResult.QUIT and end.failed:
                stopped[index] = Bucket.FAILED
                batch.problems[index] = _task_problem(end, Stage.DOCUMENT_PRE)
        if stopped:
            withdraw(self._plan, batch, stopped)

    def _changed_variables(self) -> dict[str, object] | None:
        """Give the variables when they differ from what was kept last."""
        if self._variables.revision == self._variables_kept:
            return None
        self._variables_kept = self._variables.revision
        return self._variables.snapshot()

    def _settled_before(
        self, batch: MappedBatch, number: int, settled: Settled | None, *, in_doubt: bool
    ) -> Delivery | None:
        """Say what became of a segment that may have left before this worker came; None when it is to be sent."""
        if settled is not None:
            # The destination's word: what it does not know of never arrived.
            self._may_have_left = False
            if settled.segment == number and settled.delivery is not None:
                self._journal.log("info", f"Segment {number} had arrived; its answer was read from the destination.")
                return settled.delivery
            return None
        if not in_doubt or not any(verdict is None for verdict in batch.verdicts):
            return None
        if self._destination.repeat_safe:
            self._journal.log(
                "info", f"Segment {number} may have arrived; it is sent again, which changes nothing twice."
            )
            return None
        self._journal.log(
            "warning", f"Segment {number} may have arrived, and the destination cannot say. It is unknown."
        )
        return _unknown(batch)

    def _delivered(self, batch: MappedBatch, number: int) -> Delivery:
        ticket = replace(self._ticket_for(number), in_doubt=self._may_have_left)
        try:
            return self._patiently(lambda: self._destination.deliver(batch, ticket))
        except UnknownOutcome as error:
            self._journal.log("warning", error.sentence, stage="deliver")
            return _unknown(batch, error.sentence)
        except Fenced:
            raise
        except (Stopped, WaybillError) as ends:
            # Nothing of the batch was taken now; an earlier sending of it may have been, and waits for no stop.
            if not self._may_have_left:
                self._journal.not_sent(number)
            elif not isinstance(ends, Stopped):
                self._account(batch, number, _unknown(batch))
            raise
        except Exception:
            # What may have arrived is unknown, never held as if it had not been sent.
            if not self._destination.settles or self._may_have_left:
                self._account(batch, number, _unknown(batch))
            raise

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask the destination; what it cannot take now is offered again, a bounded number of times: soon, and then as
        often and as late as the options say."""
        options = self._plan.options
        attempts = ATTEMPTS + options.retry_times
        for attempt in range(1, attempts):
            try:
                return ask()
            except TransientError as error:
                self._journal.log("warning", f"Attempt {attempt} of {attempts}: {error.sentence}", stage="deliver")
                if attempt < ATTEMPTS:
                    self._pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
                else:
                    self._wait_to_retry(options.retry_seconds)
        try:
            return ask()
        except TransientError as error:
            raise TransientError(
                f"{error.sentence} It was tried {attempts} times. Run again when the destination is back.",
                code=error.code,
            ) from error

    def _wait_to_retry(self, seconds: float) -> None:
        self._journal.waiting(True)
        try:
            self._pause(seconds)
        finally:
            self._journal.waiting(False)

    def _pause(self, seconds: float) -> None:
        """Wait, but not longer than a person who cancels would."""
        while seconds > 0:
            self._stop_if_asked()
            self._wait(min(seconds, 0.5))
            seconds -= 0.5

    def _account(self, batch: MappedBatch, number: int, delivery: Delivery) -> None:
        """Let the tasks behind each document follow and write the segment: what was answered for is in the ledger,
        even when somebody wants the run to end meanwhile."""
        _see_that_all_are_answered(batch, delivery)
        self._may_have_left = False
        problems = batch.problems | delivery.problems
        follow_ups, stopped = self._follow(batch, delivery, problems)
        variables = self._changed_variables() if self._minds_documents else batch.variables
        before = self._position
        self._journal.settle(
            Segment(
                number=number,
                first_document=before.documents + 1,
                documents=batch.documents,
                buckets=delivery.buckets,
                problems=problems,
                values=self._values(batch, delivery),
                line_counts=delivery.line_counts,
                follow_ups=follow_ups,
                variables=variables,
            )
        )
        self._position = Position(
            segments=number,
            documents=before.documents + len(batch.documents),
            errors=before.errors + sum(map(ERRORS.__contains__, delivery.buckets)),
            follow_ups=before.follow_ups + len(follow_ups),
        )
        if variables is not None:
            self._accounted_variables = variables
        if stopped is not None:
            raise stopped

    def _follow(
        self, batch: MappedBatch, delivery: Delivery, problems: Mapping[int, Problem]
    ) -> tuple[dict[int, Problem], Stopped | None]:
        """Do the tasks behind each document. Gives those that arrived and whose tasks failed or were not done: they
        stay delivered. And what ends the run, when it is to end for good; one that is handed back is raised, for
        whoever continues does the tasks."""
        failed: dict[int, Problem] = {}
        stopped: Stopped | None = None
        for index, (document, bucket) in enumerate(zip(batch.documents, delivery.buckets, strict=True)):
            stage = FOLLOWED_BY.get(bucket)
            if stage not in self._tasks.stages:
                continue
            assert stage is not None
            document.problem = problems.get(index)
            end = self._tasks.at(stage, document) if stopped is None else TaskEnd(result=TaskResult.INTERRUPTED)
            if end.result is TaskResult.INTERRUPTED:
                stopped = stopped or self._interrupted()
                if stopped.outcome.status is OutcomeStatus.HANDED_BACK:
                    raise stopped
                end = TaskEnd(
                    result=TaskResult.QUIT, failed=True, sentence=f"Its tasks were not done. {stopped.outcome.sentence}"
                )
            if stage is Stage.DOCUMENT_POST_SUCCESS and end.result is TaskResult.QUIT and end.failed:
                failed[index] = _task_problem(end, stage)
        return failed, stopped

    def _values(self, batch: MappedBatch, delivery: Delivery) -> dict[int, list[dict[str, object]]]:
        """Give the mapped records of every document that counts as an error, for its repair."""
        wrong = {i for i, bucket in enumerate(delivery.buckets) if bucket in ERRORS}
        values = {i: list(batch.parts.get(i, ())) for i in wrong}
        if wrong - batch.parts.keys():
            for line, records in zip(self._plan.lines, batch.lines, strict=True):
                for record, owner in zip(records.records, records.owners, strict=True):
                    if owner in wrong:
                        values[owner].append(part(line, record))
        return values


def _task_problem(end: TaskEnd, stage: Stage) -> Problem:
    return Problem(sentence=end.sentence, cause=end.sentence, code="task.failed", where=Where(stage=str(stage)))


def _unknown(batch: MappedBatch, sentence: str = "") -> Delivery:
    sentence = sentence or (
        "This document may have arrived: the worker ended while it was being sent, and the destination cannot say. "
        "Look there before sending it again."
    )
    buckets = [verdict or Bucket.UNKNOWN for verdict in batch.verdicts]
    problem = Problem(
        sentence=sentence, cause="It is unknown whether it arrived", code="unknown", where=Where(stage="deliver")
    )
    return Delivery(
        buckets=buckets,
        problems={index: problem for index, verdict in enumerate(batch.verdicts) if verdict is None},
        line_counts=[{Bucket.UNKNOWN: len(line.records)} for line in batch.lines],
    )


def _see_that_all_are_answered(batch: MappedBatch, delivery: Delivery) -> None:
    if not batch.documents or len(delivery.buckets) != len(batch.documents):
        raise WaybillError(
            f"The destination answered for {len(delivery.buckets)} of {len(batch.documents)} documents. "
            "Tell an administrator: its connector does not keep its promise.",
            code="internal.unanswered",
        )


class _Watched:
    """A source that looks up now and then whether the run should end."""

    def __init__(self, source: Source, look_up: Callable[[], None]) -> None:
        self._source = source
        self._look_up = look_up

    @property
    def columns(self) -> tuple[str, ...]:
        return self._source.columns

    def read(self) -> Iterator[RowBatch]:
        looked = time.monotonic()
        for batch in self._source.read():
            yield batch
            if time.monotonic() - looked > LOOK_UP_SECONDS:
                self._look_up()
                looked = time.monotonic()

    def close(self) -> None:
        self._source.close()
