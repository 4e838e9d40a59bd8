"""A run through the engine: every document ends in one bucket, whatever happens on the way."""

from typing import Any

import pytest

from integrations.engine.batch import Bucket, Delivery, MappedBatch
from integrations.engine.execute import OutcomeStatus
from integrations.engine.plan import BlankRows, ColumnType, FieldMap, NoData, Options, Stage, ValueType
from integrations.engine.ports import Fault, Stop, TaskResult, Ticket
from integrations.engine.segments import parted
from tests.engine.fakes import Cut, Functions, Hooks, Ledger, Rows, World, customers, run

COLUMNS = ("Number", "Name")
TEN = [[f"C{n}", f"Name {n}"] for n in range(1, 11)]


class Knife:
    """Cuts the process the `turn`-th time it comes to a place."""

    def __init__(self, place: str, turn: int) -> None:
        self.place, self.left = place, turn

    def __call__(self, place: str) -> None:
        if place == self.place:
            self.left -= 1
            if self.left == 0:
                raise Cut(place)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_every_document_is_delivered_and_the_ledger_balances(ledger: Ledger) -> None:
    world = World()
    outcome = run(customers(), Rows(COLUMNS, TEN), world, ledger)
    assert outcome.status is OutcomeStatus.COMPLETED
    assert ledger.counts == {Bucket.CREATED: 10}
    assert ledger.balances()
    assert set(world.received.values()) == {1}
    assert ledger.stages == ["read", "deliver"]


def test_segments_have_the_size_the_destination_asks_for(ledger: Ledger) -> None:
    run(customers(), Rows(COLUMNS, TEN), World(size=4), ledger)
    assert [(s.number, s.first_document, len(s.documents)) for s in ledger.segments] == [
        (1, 1, 4),
        (2, 5, 4),
        (3, 9, 2),
    ]


def test_a_segment_of_large_documents_is_cut_earlier_and_a_resumed_run_cuts_alike(ledger: Ledger) -> None:
    rows = [[f"C{n}", "x" * 5_000_000] for n in range(1, 11)]
    ledger.stop_at = {1: Stop.DRAINING}
    world = World(settles=True, size=100)
    run(customers(), Rows(COLUMNS, rows), world, ledger)
    ledger.stop_at = {}
    assert run(customers(), Rows(COLUMNS, rows), world, ledger).status is OutcomeStatus.COMPLETED
    assert [len(segment.documents) for segment in ledger.segments] == [4, 4, 2]
    assert set(world.received.values()) == {1} and ledger.balances()


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_destination_that_answers_for_the_first_documents_is_given_the_others_as_a_segment_of_their_own(
    ledger: Ledger, at: int
) -> None:
    class Halting(World):
        def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
            taken, _ = parted(batch, at if len(batch.documents) > at else len(batch.documents))
            return super().deliver(taken, ticket)

    world = Halting(size=5)
    world.refuse = {"2", "4"}
    outcome = run(customers(), Rows(COLUMNS, [[str(n), f"Name {n}"] for n in range(1, 8)]), world, ledger)
    assert outcome.status is OutcomeStatus.COMPLETED_WITH_ERRORS and ledger.balances()
    assert world.received == {"1": 1, "3": 1, "5": 1, "6": 1, "7": 1}
    assert {key for key, bucket in ledger.buckets.items() if bucket is Bucket.FAILED} == {"2", "4"}
    assert ledger.sentences == {"2": "2 is refused.", "4": "4 is refused."}


def test_a_refused_document_costs_itself_only_and_keeps_its_values(ledger: Ledger) -> None:
    world = World()
    world.refuse = {"C4"}
    outcome = run(customers(), Rows(COLUMNS, TEN), world, ledger)
    assert outcome.status is OutcomeStatus.COMPLETED_WITH_ERRORS
    assert outcome.sentence.startswith("1 document needs attention")
    assert ledger.counts == {Bucket.CREATED: 9, Bucket.FAILED: 1}
    kept = [values for segment in ledger.segments for values in segment.values.values()]
    assert kept == [[{"line": "Customer", "values": {"number": "C4", "name": "Name 4"}}]]


def test_a_value_that_does_not_fit_is_named_with_its_row_and_column(ledger: Ledger) -> None:
    fields = (FieldMap(target="number", value="Number"), FieldMap(target="since", value="Name", type=ValueType.DATE))
    rows = [["C1", "2026-01-31"], ["C2", "2026-02-30"], ["C3", ""]]
    run(customers(fields=fields), Rows(COLUMNS, rows), World(), ledger)
    assert ledger.sentences == {
        "C2": "“2026-02-30” in Name of row 2 is not a date such as 2026-11-24, which since needs."
    }
    assert ledger.buckets["C3"] is Bucket.CREATED


def test_a_blank_required_value_fails_its_document(ledger: Ledger) -> None:
    fields = (FieldMap(target="number", value="Number"), FieldMap(target="name", value="Name", required=True))
    run(customers(fields=fields), Rows(COLUMNS, [["C1", " "], ["C2", "x"]]), World(), ledger)
    assert ledger.sentences == {"C1": "Name is blank in row 1, and name is required."}


def test_a_row_without_its_key_is_a_failed_document_of_its_own(ledger: Ledger) -> None:
    run(customers(), Rows(COLUMNS, [["C1", "a"], ["", "b"], ["", "c"], ["C2", "d"]]), World(), ledger)
    assert ledger.counts == {Bucket.CREATED: 2, Bucket.FAILED: 2}
    assert ledger.sentences[""] == "The key field “Number” is blank in row 3."
    assert ledger.balances()


def test_a_row_that_cannot_be_trusted_fails_its_document_with_the_reason(ledger: Ledger) -> None:
    source = Rows(COLUMNS, TEN, defects={2: "Line 4 has 1 values, too few: the header names 2."})
    run(customers(), source, World(), ledger)
    assert ledger.sentences == {"C3": "Line 4 has 1 values, too few: the header names 2."}


def test_a_missing_column_is_named_with_the_nearest_one_and_nothing_is_sent(ledger: Ledger) -> None:
    world = World()
    outcome = run(customers(), Rows(("Number", "Nmae"), TEN), world, ledger)
    assert outcome.status is OutcomeStatus.FAILED
    assert "no column “Name”" in outcome.sentence and "nearest name there is “Nmae”" in outcome.sentence
    assert not world.received and not ledger.segments


@pytest.mark.parametrize(
    ("rule", "status"), [(NoData.SUCCESS, OutcomeStatus.COMPLETED), (NoData.FAILURE, OutcomeStatus.FAILED)]
)
def test_no_data_ends_as_the_options_say(ledger: Ledger, rule: NoData, status: OutcomeStatus) -> None:
    outcome = run(customers(options=Options(no_data=rule)), Rows(COLUMNS, []), World(), ledger)
    assert outcome.status is status
    assert "no row" in outcome.sentence


@pytest.mark.parametrize(("rule", "documents"), [(BlankRows.DROP, 3), (BlankRows.DROP_BLANK_KEYS, 2)])
def test_blank_rows_are_dropped_as_the_options_say(ledger: Ledger, rule: BlankRows, documents: int) -> None:
    rows = [["C1", "a"], ["", ""], ["", "b"], ["C2", "c"]]
    run(customers(options=Options(blank_rows=rule)), Rows(COLUMNS, rows), World(), ledger)
    assert ledger.documents == documents
    assert ledger.balances()
    assert ledger.segments[0].documents[-1].row_numbers == [4], "rows keep their numbers"


def test_restriction_and_calculation_are_one_answer_of_the_scripts(ledger: Ledger) -> None:
    fields = (
        FieldMap(target="number", value="Number"),
        FieldMap(target="long", column_type=ColumnType.CALCULATION, value="return …", type=ValueType.INTEGER),
    )
    plan = customers(fields=fields, line={"restriction": "return …"})
    scripts = Functions(lambda row: (row[0] != "C2", [float(len(row[1]))]))
    world = World()
    run(plan, Rows(COLUMNS, TEN[:3]), world, ledger, scripts=scripts)
    assert ledger.buckets == {"C1": Bucket.CREATED, "C2": Bucket.RESTRICTED, "C3": Bucket.CREATED}
    assert world.records[0][0] == [["C1", 6], ["C3", 6]]


def test_a_script_that_gives_no_answer_costs_its_document_only(ledger: Ledger) -> None:
    plan = customers(line={"restriction": "return …"})
    scripts = Functions(lambda row: Fault("It ran too long.") if row[0] == "C2" else (True, []))
    run(plan, Rows(COLUMNS, TEN), World(), ledger, scripts=scripts)
    assert ledger.counts == {Bucket.CREATED: 9, Bucket.FAILED: 1}
    assert ledger.sentences == {"C2": "It ran too long."}


def test_a_busy_destination_is_offered_the_segment_again(ledger: Ledger) -> None:
    world = World()
    world.busy = 3
    assert run(customers(), Rows(COLUMNS, TEN), world, ledger).status is OutcomeStatus.COMPLETED
    assert set(world.received.values()) == {1}
    assert sum("busy" in line for line in ledger.lines) == 3


def test_a_destination_that_stays_busy_fails_the_run_and_the_rest_is_held(ledger: Ledger) -> None:
    world = World()
    world.busy = 1_000
    outcome = run(customers(), Rows(COLUMNS, TEN), world, ledger)
    assert outcome.status is OutcomeStatus.FAILED
    assert ledger.held_documents == 10
    assert ledger.balances()


def test_a_cancelled_run_ends_at_its_segment_and_holds_the_rest(ledger: Ledger) -> None:
    ledger.stop_at = {2: Stop.CANCELLED}
    outcome = run(customers(), Rows(COLUMNS, TEN), World(), ledger)
    assert outcome.status is OutcomeStatus.CANCELLED
    assert (len(ledger.segments), ledger.held_documents) == (2, 4)
    assert ledger.balances()


@pytest.mark.parametrize("stop", [Stop.DRAINING, Stop.YIELDING])
def test_a_run_handed_back_holds_nothing_and_is_continued(ledger: Ledger, stop: Stop) -> None:
    ledger.stop_at = {2: stop}
    world = World(settles=True)
    assert run(customers(), Rows(COLUMNS, TEN), world, ledger).status is OutcomeStatus.HANDED_BACK
    ledger.stop_at = {}
    assert run(customers(), Rows(COLUMNS, TEN), world, ledger).status is OutcomeStatus.COMPLETED
    assert set(world.received.values()) == {1} and ledger.balances()


@pytest.mark.parametrize(
    ("kind", "bucket"),
    [
        ({"settles": True}, Bucket.CREATED),
        ({"repeat_safe": True}, Bucket.UPDATED),
        ({}, Bucket.UNKNOWN),
    ],
    ids=["settles", "repeat safe", "neither"],
)
def test_what_may_have_left_is_settled_before_a_cancel_is_obeyed(
    ledger: Ledger, kind: dict[str, Any], bucket: Bucket
) -> None:
    world = World(**kind)
    world.cut = Knife("after the destination took it", 2)
    with pytest.raises(Cut):
        run(customers(), Rows(COLUMNS, TEN), world, ledger)
    ledger.stop_at = {0: Stop.CANCELLED, 1: Stop.CANCELLED, 2: Stop.CANCELLED}
    outcome = run(customers(), Rows(COLUMNS, TEN), world, ledger)
    assert outcome.status is OutcomeStatus.CANCELLED
    assert [ledger.buckets[f"C{n}"] for n in (4, 5, 6)] == [bucket] * 3, "three had arrived; none of them is held"
    assert ledger.held_documents == 4 and ledger.balances()


def test_a_segment_that_never_arrived_is_held_by_a_cancel(ledger: Ledger) -> None:
    world = World(settles=True)
    ledger.cut = Knife("after the intent", 2)
    with pytest.raises(Cut):
        run(customers(), Rows(COLUMNS, TEN), world, ledger)
    ledger.stop_at = {1: Stop.CANCELLED}
    run(customers(), Rows(COLUMNS, TEN), world, ledger)
    assert set(world.received) >= {"C1", "C2", "C3"} and set(world.received.values()) == {1}
    assert len(world.received) + ledger.held_documents == 10, "what is at the destination is not held, and the reverse"


def test_a_segment_in_doubt_that_cannot_be_sent_again_is_unknown_and_not_held(ledger: Ledger) -> None:
    world = World(repeat_safe=True)
    world.cut = Knife("after the destination took it", 2)
    with pytest.raises(Cut):
        run(customers(), Rows(COLUMNS, TEN), world, ledger)
    world.busy = 1_000
    outcome = run(customers(), Rows(COLUMNS, TEN), world, ledger)
    assert outcome.status is OutcomeStatus.FAILED
    assert ledger.counts == {Bucket.CREATED: 3, Bucket.UNKNOWN: 3} and ledger.held_documents == 4


def test_a_fault_in_the_middle_of_a_sending_leaves_its_documents_unknown(ledger: Ledger) -> None:
    world = World()

    def fault(place: str) -> None:
        if place == "after the destination took it":
            raise ZeroDivisionError

    world.cut = fault
    with pytest.raises(ZeroDivisionError):
        run(customers(), Rows(COLUMNS, TEN), world, ledger)
    assert ledger.counts == {Bucket.UNKNOWN: 3}


def test_blank_rows_that_a_rule_drops_are_told_to_the_ledger(ledger: Ledger) -> None:
    rows = [["C1", "a"], ["", ""], ["C2", "b"], ["", ""]]
    run(customers(options=Options(blank_rows=BlankRows.DROP)), Rows(COLUMNS, rows), World(), ledger)
    assert (ledger.rows, ledger.documents, ledger.dropped) == (2, 2, 2)


PLACES = ("before the intent", "after the intent", "before the destination took it", "after the destination took it")
PLACES += ("before the ledger", "after the ledger")


@pytest.mark.parametrize("turn", [1, 2, 4])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "kind", [{"settles": True}, {"repeat_safe": True}, {}], ids=["settles", "repeat safe", "neither"]
)
def test_a_run_cut_anywhere_is_continued_without_loss(
    ledger: Ledger, kind: dict[str, Any], place: str, turn: int
) -> None:
    world = World(**kind)
    world.cut = ledger.cut = Knife(place, turn)
    with pytest.raises(Cut):
        run(customers(), Rows(COLUMNS, TEN), world, ledger)
    outcome = run(customers(), Rows(COLUMNS, TEN), world, ledger)
    assert ledger.balances()
    assert sorted(ledger.buckets) == sorted(row[0] for row in TEN)
    if kind.get("settles"):
        assert set(world.received.values()) == {1}, "each exactly once"
        assert outcome.status is OutcomeStatus.COMPLETED
        assert ledger.counts == {Bucket.CREATED: 10}, "the answer is the one that was given the first time"
    elif kind.get("repeat_safe"):
        assert set(world.received) == {row[0] for row in TEN}
        assert outcome.status is OutcomeStatus.COMPLETED
    else:
        assert max(world.received.values()) == 1, "what may have arrived is never sent again"
        left = [key for key, bucket in ledger.buckets.items() if bucket is Bucket.UNKNOWN]
        in_doubt = place not in ("before the intent", "after the ledger")
        assert len(left) == ((1 if turn == 4 else 3) if in_doubt else 0)


def test_tasks_are_called_at_their_stages_in_order(ledger: Ledger) -> None:
    tasks = Hooks(*Stage)
    run(customers(), Rows(COLUMNS, TEN[:2]), World(), ledger, tasks=tasks)
    assert [stage for stage, _ in tasks.called] == [
        Stage.INTEGRATION_PRE,
        Stage.VALIDATION,
        Stage.DOCUMENT_PRE,
        Stage.DOCUMENT_PRE,
        Stage.DOCUMENT_POST_SUCCESS,
        Stage.DOCUMENT_POST_SUCCESS,
        Stage.INTEGRATION_POST_SUCCESS,
        Stage.INTEGRATION_POST_ALWAYS,
    ]


@pytest.mark.parametrize(
    ("result", "status"), [(TaskResult.QUIT, OutcomeStatus.FAILED), (TaskResult.CANCEL, OutcomeStatus.CANCELLED)]
)
def test_a_task_can_end_the_run_before_anything_is_sent(
    ledger: Ledger, result: TaskResult, status: OutcomeStatus
) -> None:
    world = World()
    outcome = run(customers(), Rows(COLUMNS, TEN), world, ledger, tasks=Hooks(Stage.VALIDATION, result=result))
    assert outcome.status is status
    assert not world.received
    assert ledger.balances()
