"""However a run ends, what has arrived is in the ledger, and what was not sent leaves no trace."""

import time
from collections.abc import Callable
from typing import Any

from integrations.engine.batch import Bucket, Delivery, Document, MappedBatch, Row
from integrations.engine.errors import WaybillError
from integrations.engine.execute import OutcomeStatus
from integrations.engine.plan import Stage
from integrations.engine.ports import Stop, TaskEnd, TaskResult, Ticket
from integrations.engine.variables import Variables
from tests.engine.fakes import Functions, Hooks, Ledger, Rows, World, customers, run

COLUMNS = ("Number", "Name")
ROWS = [[f"C{n}", f"Name {n}"] for n in range(1, 5)]


class Cancelling(Hooks):
    """Tasks of which the first one is at work when somebody cancels the run: it is left undone."""

    def __init__(self, ledger: Ledger, *stages: Stage) -> None:
        super().__init__(*stages, result=TaskResult.INTERRUPTED)
        self._ledger = ledger

    def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
        self._ledger.stop_at = {len(self._ledger.segments): Stop.CANCELLED}
        return super().at(stage, document)


def test_a_cancel_while_a_task_follows_a_document_loses_nothing_that_arrived() -> None:
    ledger, world = Ledger(), World(size=2)
    hooks = Cancelling(ledger, Stage.DOCUMENT_POST_SUCCESS)
    outcome = run(customers(), Rows(COLUMNS, ROWS), world, ledger, tasks=hooks)
    assert outcome.status is OutcomeStatus.CANCELLED
    assert ledger.counts == {Bucket.CREATED: 2} and set(world.received) == set(ledger.buckets)
    assert hooks.called == [(Stage.DOCUMENT_POST_SUCCESS, ROWS[0][0])], "nobody waits for the others"
    (segment,) = ledger.segments
    sentence = "Its tasks were not done. The run was cancelled. What was not sent yet is held."
    assert [problem.sentence for problem in segment.follow_ups.values()] == [sentence] * 2


def test_a_worker_that_must_stop_while_a_task_follows_leaves_the_segment_to_the_next() -> None:
    ledger = Ledger()
    hooks = Hooks(Stage.DOCUMENT_POST_SUCCESS, result=TaskResult.INTERRUPTED)
    outcome = run(customers(), Rows(COLUMNS, ROWS), World(), ledger, tasks=hooks)
    assert outcome.status is OutcomeStatus.HANDED_BACK and not ledger.segments


class Breaking(World):
    """A destination that breaks for good at its second batch, once `mapped_ahead` says that more is mapped."""

    def __init__(self, mapped_ahead: Callable[[], bool]) -> None:
        super().__init__(size=1)
        self._mapped_ahead = mapped_ahead

    def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
        if self.received:
            give_up = time.monotonic() + 5
            while not self._mapped_ahead() and time.monotonic() < give_up:
                time.sleep(0.01)
            raise WaybillError("The table is gone.")
        return super().deliver(batch, ticket)


def test_what_scripts_wrote_for_documents_that_were_never_sent_is_forgotten() -> None:
    variables = Variables({"GBL_SEEN": ""})

    def answer(row: Row) -> tuple[bool, list[Any]]:
        variables.update({"GBL_SEEN": variables.value("GBL_SEEN") + row[0]})
        return True, []

    ledger = Ledger()
    world = Breaking(lambda: len(variables.value("GBL_SEEN")) > 2 * len(ROWS[0][0]))
    plan = customers(line={"restriction": "true"})
    outcome = run(plan, Rows(COLUMNS, ROWS), world, ledger, scripts=Functions(answer), variables=variables)
    assert outcome.status is OutcomeStatus.FAILED and outcome.sentence == "The table is gone."
    assert variables.value("GBL_SEEN") == ROWS[0][0]
    assert ledger.intent is None, "nothing of the second segment has left"


def test_what_tasks_before_documents_wrote_goes_with_those_that_were_not_sent() -> None:
    variables, ledger = Variables({"GBL_SEEN": ""}), Ledger()

    class Counting(Hooks):
        def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
            assert document is not None
            variables.update({"GBL_SEEN": variables.value("GBL_SEEN") + document.key})
            return super().at(stage, document)

    outcome = run(
        customers(),
        Rows(COLUMNS, ROWS),
        Breaking(lambda: True),
        ledger,
        tasks=Counting(Stage.DOCUMENT_PRE),
        variables=variables,
    )
    assert outcome.status is OutcomeStatus.FAILED
    assert variables.value("GBL_SEEN") == ROWS[0][0]


def test_a_cancel_while_a_busy_destination_is_waited_for_leaves_nothing_in_doubt() -> None:
    ledger, world = Ledger(), World(size=2)
    world.busy = 1
    ledger.log = lambda *_, **__: ledger.stop_at.update({0: Stop.CANCELLED})  # type: ignore[method-assign]
    outcome = run(customers(), Rows(COLUMNS, ROWS), world, ledger)
    assert outcome.status is OutcomeStatus.CANCELLED
    assert not ledger.segments and ledger.intent is None and not world.received
