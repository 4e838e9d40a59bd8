"""What a run does by its options: a row per rule."""

from dataclasses import replace
from typing import Any

import pytest

from integrations.engine.batch import Bucket
from integrations.engine.execute import OutcomeStatus
from integrations.engine.plan import FieldMap, Line, NoData, Options, Plan, RepeatedKeys, Stage
from tests.engine.fakes import Hooks, Ledger, Rows, World, customers, run

COLUMNS = ("Number", "Name")
TEN = [[f"C{n}", f"Name {n}"] for n in range(1, 11)]
ERROR = Options(repeated_keys=RepeatedKeys.ERROR)
POST = (Stage.INTEGRATION_POST_SUCCESS, Stage.INTEGRATION_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS)


def with_items(**changes: Any) -> Plan:
    """A header line, and a line that sends every row."""
    plan = customers(**changes)
    item = Line(name="Item", target="items", grouped=False, fields=(FieldMap(target="sku", value="Name"),))
    return replace(plan, lines=(*plan.lines, item))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.mark.parametrize(
    ("options", "done"),
    [
        (Options(), [Stage.INTEGRATION_POST_SUCCESS, Stage.INTEGRATION_POST_ALWAYS]),
        (Options(no_data=NoData.FAILURE), [Stage.INTEGRATION_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS]),
        (Options(tasks_without_data=False), []),
        (Options(no_data=NoData.FAILURE, tasks_without_data=False), []),
    ],
)
def test_tasks_follow_a_source_without_a_row_as_the_options_say(
    ledger: Ledger, options: Options, done: list[Stage]
) -> None:
    hooks = Hooks(*POST)
    run(customers(options=options), Rows(COLUMNS, []), World(), ledger, tasks=hooks)
    assert [stage for stage, _ in hooks.called] == done


def test_the_option_for_no_data_leaves_the_tasks_of_other_runs_alone(ledger: Ledger) -> None:
    hooks = Hooks(*POST)
    run(customers(options=Options(tasks_without_data=False)), Rows(COLUMNS, TEN), World(), ledger, tasks=hooks)
    assert [stage for stage, _ in hooks.called] == [Stage.INTEGRATION_POST_SUCCESS, Stage.INTEGRATION_POST_ALWAYS]


TWICE = [["C1", "a"], ["C2", "b"], ["C1", "c"]]
APART = [["O1", "a"], ["O1", "b"], ["O2", "c"], ["O1", "d"]]
TOGETHER = [["O1", "a"], ["O1", "b"], ["O2", "c"]]


@pytest.mark.parametrize(
    ("plan", "rows", "sentences"),
    [
        (customers(), Rows(COLUMNS, TWICE), {}),
        (
            customers(options=ERROR),
            Rows(COLUMNS, TWICE),
            {"C1": "The key C1 comes again in row 3; it was in row 1 first."},
        ),
        (
            customers(options=ERROR),
            Rows(COLUMNS, [["C1", "a"], ["C1", "b"], ["C2", "c"]]),
            {"C1": "The key C1 comes again in row 2; it was in row 1 first."},
        ),
        (with_items(options=ERROR), Rows(COLUMNS, TOGETHER), {}),
        (
            with_items(options=ERROR),
            Rows(COLUMNS, APART),
            {"O1": "The key O1 comes again in row 4; it was in row 1 first."},
        ),
        (with_items(), Rows(COLUMNS, APART), {}),
    ],
    ids=[
        "one document by default",
        "an error where rows lie apart",
        "an error where only the first row would count",
        "rows of an every-row line belong together",
        "but not when others stand between them",
        "unless nobody minds",
    ],
)
def test_a_key_that_comes_twice_is_what_the_options_say(
    ledger: Ledger, plan: Plan, rows: Rows, sentences: dict[str, str]
) -> None:
    run(plan, rows, World(), ledger)
    assert ledger.sentences == sentences
    assert ledger.balances()


@pytest.mark.parametrize(
    ("options", "size", "failing", "sent", "sentence"),
    [
        (Options(stop_after=2), 1, {"C2", "C4"}, 4, "2 documents failed, and the options stop a run after 2."),
        (Options(stop_after=3), 1, {"C2", "C4"}, 10, ""),
        (Options(stop_after=1), 3, {"C1"}, 3, "1 document failed, and the options stop a run after 1."),
        (Options(stop_after_percent=20), 1, {"C2", "C4"}, 4, "2 documents failed of 10, and the options stop a run"),
        (Options(stop_after_percent=21), 1, {"C2", "C4"}, 10, ""),
        (Options(stop_after=1), 5, {"C10"}, 10, ""),
    ],
    ids=[
        "count reached",
        "count not reached",
        "behind its segment",
        "percent of all",
        "below it",
        "nothing left to hold",
    ],
)
def test_a_run_stops_after_as_many_errors_as_its_options_say(
    ledger: Ledger, options: Options, size: int, failing: set[str], sent: int, sentence: str
) -> None:
    world = World(size=size)
    world.refuse = failing
    outcome = run(customers(options=options), Rows(COLUMNS, TEN), world, ledger)
    assert sum(ledger.counts.values()) == sent
    if sentence:
        assert outcome.status is OutcomeStatus.FAILED and outcome.code == "too_many_errors"
        assert outcome.sentence.startswith(sentence) and outcome.sentence.endswith("What was not sent is held.")
    else:
        assert outcome.status is OutcomeStatus.COMPLETED_WITH_ERRORS


def test_a_run_that_stopped_after_errors_stops_at_once_when_it_is_resumed(ledger: Ledger) -> None:
    world = World(size=1)
    world.refuse = {"C1"}
    plan = customers(options=Options(stop_after=1))
    run(plan, Rows(COLUMNS, TEN), world, ledger)
    outcome = run(plan, Rows(COLUMNS, TEN), world, ledger)
    assert outcome.code == "too_many_errors" and len(ledger.segments) == 1


def test_a_run_out_of_time_ends_between_segments_and_holds_the_rest(ledger: Ledger) -> None:
    ledger.overdue_at = 2
    hooks = Hooks(*POST)
    outcome = run(customers(), Rows(COLUMNS, TEN), World(size=2), ledger, tasks=hooks)
    assert (outcome.status, outcome.code) == (OutcomeStatus.FAILED, "time_limit")
    assert outcome.sentence.startswith("The run took longer than the 30 minutes")
    assert ledger.counts == {Bucket.CREATED: 4}
    assert [stage for stage, _ in hooks.called] == [Stage.INTEGRATION_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS]


def test_a_run_out_of_time_settles_first_what_may_have_left(ledger: Ledger) -> None:
    ledger.overdue_at, ledger.intent = 0, 1
    outcome = run(customers(), Rows(COLUMNS, TEN), World(size=2), ledger)
    assert outcome.code == "time_limit"
    assert ledger.counts == {Bucket.UNKNOWN: 2}
