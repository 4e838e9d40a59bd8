"""The rules of a definition as tables: a row for every word of every rule, and a cell for every end of a task at every
stage. The last tests fail as soon as a word has no row."""

from collections.abc import Mapping
from enum import StrEnum
from inspect import getmembers, isclass
from itertools import product
from typing import Any, NamedTuple

import pytest

from integrations.engine import plan as definitions
from integrations.engine.batch import Bucket, Document
from integrations.engine.errors import DefinitionError
from integrations.engine.execute import OutcomeStatus
from integrations.engine.inputs import Parent
from integrations.engine.plan import (
    Aggregate,
    BlankRows,
    ColumnType,
    FieldMap,
    ManyFound,
    NoData,
    NoMatch,
    NoneFound,
    Options,
    ParentColumn,
    RepeatedKeys,
    Stage,
    Then,
    ValueType,
    WithoutParent,
)
from integrations.engine.ports import TaskEnd
from integrations.runs.tasks import RESULTS
from tests.engine.fakes import Counted, Functions, Hooks, Ledger, Rows, World, customers, run
from tests.engine.test_column_types import COLUMNS, dated, looked_up, mapped, translated

COMPLETED, WITH_ERRORS = OutcomeStatus.COMPLETED, OutcomeStatus.COMPLETED_WITH_ERRORS
FAILED, CANCELLED = OutcomeStatus.FAILED, OutcomeStatus.CANCELLED


def of(kind: ColumnType, value: str = "", **more: Any) -> FieldMap:
    return FieldMap(target="field", column_type=kind, value=value, **more)


# ---- where a value comes from ------------------------------------------------------------------------------------

COLUMN_TYPES: Mapping[ColumnType, tuple[FieldMap, Any]] = {
    ColumnType.SOURCE_COLUMN: (of(ColumnType.SOURCE_COLUMN, "Name"), "DE"),
    ColumnType.CALCULATION: (of(ColumnType.CALCULATION, "return 'calculated';"), "calculated"),
    ColumnType.CONSTANT: (of(ColumnType.CONSTANT, "x"), "x"),
    ColumnType.GLOBAL_VARIABLE: (of(ColumnType.GLOBAL_VARIABLE, "GBL_REGION"), "North"),
    ColumnType.TRANSLATION: (translated(), "Germany"),
    ColumnType.DATE_CALCULATION: (dated(1, start=True, type=ValueType.TEXT), "2026-02-01"),
    ColumnType.LOOKUP: (looked_up(), "49"),
    ColumnType.LIST_OPTION: (of(ColumnType.LIST_OPTION, "b", choices=("a", "b")), "b"),
    ColumnType.ROLLING_NUMBER: (of(ColumnType.ROLLING_NUMBER, sequence="s"), "1"),
    ColumnType.PARENT_COLUMN: (of(ColumnType.PARENT_COLUMN, "Order"), "O-7"),
}
"""What is sent for the row (1, DE)."""


@pytest.mark.parametrize("kind", COLUMN_TYPES)
def test_column_types(kind: ColumnType) -> None:
    field, sent = COLUMN_TYPES[kind]
    answers = mapped(
        field,
        ["1", "DE"],
        parent=Parent(document={"Order": "O-7"}),
        scripts=Functions(lambda row: (True, ["calculated"] if kind is ColumnType.CALCULATION else [])),
        numbers=Counted(),
    )
    assert answers == ([sent], {})


NO_MATCH: Mapping[NoMatch, tuple[list[Any], str]] = {
    NoMatch.ERROR: ([], "“XX” in Name of row 1 is not in the translation table Countries."),
    NoMatch.KEEP: (["XX"], ""),
    NoMatch.BLANK: ([""], ""),
    NoMatch.DEFAULT: (["Elsewhere"], ""),
}
NONE_FOUND: Mapping[NoneFound, tuple[list[Any], str]] = {
    NoneFound.FAIL: ([], "“XX” in Name of row 1 is not found in countries."),
    NoneFound.DEFAULT: (["Elsewhere"], ""),
    NoneFound.RESTRICT: ([], ""),
}
MANY_FOUND: Mapping[ManyFound, tuple[list[Any], str]] = {
    ManyFound.FAIL: ([], "“two” in Name of row 1 is found 2 times in countries, and one is expected."),
    ManyFound.FIRST: (["1"], ""),
    ManyFound.DEFAULT: (["Elsewhere"], ""),
    ManyFound.RESTRICT: ([], ""),
}
"""What is sent, and the sentence of the document that fails."""


@pytest.mark.parametrize("rule", NO_MATCH)
def test_no_match_of_a_translation(rule: NoMatch) -> None:
    sent, said = NO_MATCH[rule]
    assert mapped(translated(rule, "Elsewhere"), ["1", "XX"]) == (sent, {"1": said} if said else {})


@pytest.mark.parametrize("rule", NONE_FOUND)
def test_none_found_by_a_lookup(rule: NoneFound) -> None:
    sent, said = NONE_FOUND[rule]
    assert mapped(looked_up(rule, default="Elsewhere"), ["1", "XX"]) == (sent, {"1": said} if said else {})


@pytest.mark.parametrize("rule", MANY_FOUND)
def test_many_found_by_a_lookup(rule: ManyFound) -> None:
    sent, said = MANY_FOUND[rule]
    assert mapped(looked_up(many=rule, default="Elsewhere"), ["1", "two"]) == (sent, {"1": said} if said else {})


WITHOUT_PARENT: Mapping[WithoutParent, list[Any] | None] = {
    WithoutParent.FAIL: None,
    WithoutParent.DEFAULT: ["none"],
}
"""What is sent of a run without a parent; None where the run ends before anything is sent."""


@pytest.mark.parametrize("rule", WITHOUT_PARENT)
def test_a_parent_column_without_a_parent(rule: WithoutParent) -> None:
    field = of(ColumnType.PARENT_COLUMN, "Order", parent=ParentColumn(alone=rule, default="none"))
    sent = WITHOUT_PARENT[rule]
    if sent is not None:
        assert mapped(field, ["1", "DE"]) == (sent, {})
        return
    world = World()
    outcome = run(customers(fields=(field,)), Rows(COLUMNS, [["1", "DE"]]), world, Ledger())
    assert outcome.status is FAILED and outcome.code == DefinitionError.code + ".parent_column" and not world.records


# ---- rows and documents ------------------------------------------------------------------------------------------

AGGREGATES: Mapping[Aggregate, str] = {
    Aggregate.FIRST: "10",
    Aggregate.LAST: "9.5",
    Aggregate.MIN: "9",
    Aggregate.MAX: "10",
    Aggregate.SUM: "28.5",
    Aggregate.CONCAT: "10|9|9.5",
}
"""What the rows 10, 9 and 9.5 of one document become."""


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_aggregates(aggregate: Aggregate) -> None:
    world = World()
    plan = customers(line={"aggregates": {"Name": aggregate}})
    run(plan, Rows(COLUMNS, [["1", "10"], ["1", "9"], ["1", "9.5"]]), world, Ledger())
    assert world.records[0][0] == [["1", AGGREGATES[aggregate]]]


BLANK_ROWS: Mapping[BlankRows, list[list[str]]] = {
    BlankRows.KEEP: [["1", "a"], ["", "b"], ["", ""], ["2", ""]],
    BlankRows.DROP: [["1", "a"], ["", "b"], ["2", ""]],
    BlankRows.DROP_BLANK_KEYS: [["1", "a"], ["2", ""]],
}
"""Which rows of all of them are documents."""


@pytest.mark.parametrize("rule", BLANK_ROWS)
def test_blank_rows(rule: BlankRows) -> None:
    ledger = Ledger()
    rows = BLANK_ROWS[BlankRows.KEEP]
    run(customers(options=Options(blank_rows=rule)), Rows(COLUMNS, rows), World(size=9), ledger)
    read = [row for segment in ledger.segments for document in segment.documents for row in document.rows]
    assert read == BLANK_ROWS[rule] and ledger.dropped == len(rows) - len(read)


REPEATED_KEYS: Mapping[RepeatedKeys, dict[str, Bucket]] = {
    RepeatedKeys.ONE_DOCUMENT: {"1": Bucket.CREATED, "2": Bucket.CREATED},
    RepeatedKeys.ERROR: {"1": Bucket.FAILED, "2": Bucket.CREATED},
}


@pytest.mark.parametrize("rule", REPEATED_KEYS)
def test_a_key_that_comes_twice(rule: RepeatedKeys) -> None:
    ledger = Ledger()
    rows = Rows(COLUMNS, [["1", "a"], ["2", "b"], ["1", "c"]])
    run(customers(options=Options(repeated_keys=rule)), rows, World(), ledger)
    assert ledger.buckets == REPEATED_KEYS[rule]


POST = (Stage.INTEGRATION_POST_SUCCESS, Stage.INTEGRATION_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS)
NO_DATA: Mapping[NoData, tuple[OutcomeStatus, list[Stage]]] = {
    NoData.SUCCESS: (COMPLETED, [Stage.INTEGRATION_POST_SUCCESS, Stage.INTEGRATION_POST_ALWAYS]),
    NoData.FAILURE: (FAILED, [Stage.INTEGRATION_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS]),
}
"""How a run ends whose source has no row, and the tasks that follow unless the options say that none do."""


@pytest.mark.parametrize(("rule", "tasks_follow"), list(product(NO_DATA, (True, False))))
def test_no_data(rule: NoData, tasks_follow: bool) -> None:
    hooks, (status, stages) = Hooks(*POST), NO_DATA[rule]
    plan = customers(options=Options(no_data=rule, tasks_without_data=tasks_follow))
    assert run(plan, Rows(COLUMNS, []), World(), Ledger(), tasks=hooks).status is status
    assert [stage for stage, _ in hooks.called] == (stages if tasks_follow else [])


# ---- tasks -------------------------------------------------------------------------------------------------------


class End(NamedTuple):
    """How a run of four documents ends: its status, and how many arrived, failed, were left out or want a follow-up."""

    status: OutcomeStatus
    arrived: int = 4
    failed: int = 0
    restricted: int = 0
    follow_ups: int = 0


WELL, NOTHING = End(COMPLETED), {"arrived": 0}
ONE_REFUSED = End(WITH_ERRORS, arrived=3, failed=1)
LEFT_OUT = End(COMPLETED, arrived=3, restricted=1)
NEXT, QUIT, CANCEL = Then.NEXT, Then.QUIT, Then.CANCEL
ON_FAILURE: Mapping[Stage, Mapping[Then, End]] = {
    Stage.INTEGRATION_PRE: {NEXT: WELL, QUIT: End(FAILED, **NOTHING), CANCEL: End(CANCELLED, **NOTHING)},
    Stage.VALIDATION: {NEXT: WELL, QUIT: End(FAILED, **NOTHING), CANCEL: End(CANCELLED, **NOTHING)},
    Stage.DOCUMENT_PRE: {NEXT: WELL, QUIT: ONE_REFUSED, CANCEL: LEFT_OUT},
    Stage.DOCUMENT_POST_SUCCESS: {NEXT: WELL, QUIT: End(WITH_ERRORS, follow_ups=1), CANCEL: WELL},
    Stage.DOCUMENT_POST_FAILURE: {NEXT: ONE_REFUSED, QUIT: ONE_REFUSED, CANCEL: ONE_REFUSED},
    Stage.INTEGRATION_POST_SUCCESS: {NEXT: WELL, QUIT: End(WITH_ERRORS), CANCEL: WELL},
    Stage.INTEGRATION_POST_FAILURE: {NEXT: ONE_REFUSED, QUIT: ONE_REFUSED, CANCEL: ONE_REFUSED},
    Stage.INTEGRATION_POST_ALWAYS: {NEXT: WELL, QUIT: End(WITH_ERRORS), CANCEL: WELL},
}
ON_SUCCESS: Mapping[Stage, Mapping[Then, End]] = {
    Stage.INTEGRATION_PRE: {NEXT: WELL, QUIT: End(COMPLETED, **NOTHING), CANCEL: End(CANCELLED, **NOTHING)},
    Stage.VALIDATION: {NEXT: WELL, QUIT: End(CANCELLED, **NOTHING), CANCEL: End(CANCELLED, **NOTHING)},
    Stage.DOCUMENT_PRE: {NEXT: WELL, QUIT: WELL, CANCEL: LEFT_OUT},
    Stage.DOCUMENT_POST_SUCCESS: {NEXT: WELL, QUIT: WELL, CANCEL: WELL},
    Stage.DOCUMENT_POST_FAILURE: {NEXT: ONE_REFUSED, QUIT: ONE_REFUSED, CANCEL: ONE_REFUSED},
    Stage.INTEGRATION_POST_SUCCESS: {NEXT: WELL, QUIT: WELL, CANCEL: WELL},
    Stage.INTEGRATION_POST_FAILURE: {NEXT: ONE_REFUSED, QUIT: ONE_REFUSED, CANCEL: ONE_REFUSED},
    Stage.INTEGRATION_POST_ALWAYS: {NEXT: WELL, QUIT: WELL, CANCEL: WELL},
}
AFTER_A_FAILURE = (Stage.DOCUMENT_POST_FAILURE, Stage.INTEGRATION_POST_FAILURE)
"""Stages that are come to where a document failed alone: there the destination refuses one."""


class OneTask:
    """A task at one stage, of one document where the stage has documents."""

    def __init__(self, stage: Stage, end: TaskEnd) -> None:
        self.stages = frozenset({stage})
        self._end, self.done = end, 0

    def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
        if document is not None and document.key != "C2":
            return TaskEnd()
        self.done += 1
        return self._end


@pytest.mark.parametrize(("stage", "then", "failed"), list(product(Stage, Then, (True, False))))
def test_the_end_of_a_task(stage: Stage, then: Then, failed: bool) -> None:
    world, ledger = World(), Ledger()
    world.refuse = {"C2"} if stage in AFTER_A_FAILURE else set()
    task = OneTask(stage, TaskEnd(result=RESULTS[then], failed=failed, sentence="CHECK ended."))
    rows = Rows(COLUMNS, [[f"C{number}", f"Name {number}"] for number in range(1, 5)])

    outcome = run(customers(), rows, world, ledger, tasks=task)

    end = End(
        status=outcome.status,
        arrived=ledger.counts[Bucket.CREATED],
        failed=ledger.counts[Bucket.FAILED],
        restricted=ledger.counts[Bucket.RESTRICTED],
        follow_ups=sum(len(segment.follow_ups) for segment in ledger.segments),
    )
    assert task.done == 1 and ledger.balances()
    assert end == (ON_FAILURE if failed else ON_SUCCESS)[stage][then]


# ---- nothing is left out -----------------------------------------------------------------------------------------

TABLES: Mapping[type[StrEnum], Mapping[Any, Any]] = {
    ColumnType: COLUMN_TYPES,
    Aggregate: AGGREGATES,
    NoMatch: NO_MATCH,
    NoneFound: NONE_FOUND,
    ManyFound: MANY_FOUND,
    WithoutParent: WITHOUT_PARENT,
    NoData: NO_DATA,
    BlankRows: BLANK_ROWS,
    RepeatedKeys: REPEATED_KEYS,
    Stage: ON_FAILURE,
    Then: RESULTS,
}
NOT_OF_ROWS = {
    definitions.ValueType,
    definitions.DateUnit,
    definitions.DayOfMonth,
    definitions.WriteMode,
    definitions.TaskType,
    definitions.FileAction,
    definitions.Expects,
    definitions.ParentData,
    definitions.Keep,
    definitions.SourceMode,
    definitions.WhenBusy,
    definitions.PromptType,
    definitions.ChoicesFrom,
}
"""Words whose meaning shows in a connector, a form or a whole run: their tests stand there."""


@pytest.mark.parametrize("words", TABLES, ids=lambda words: words.__name__)
def test_every_word_has_its_row(words: type[StrEnum]) -> None:
    assert set(TABLES[words]) == set(words)


@pytest.mark.parametrize("table", [ON_FAILURE, ON_SUCCESS], ids=["on failure", "on success"])
def test_every_stage_has_a_cell_for_every_end(table: Mapping[Stage, Mapping[Then, End]]) -> None:
    assert {(stage, then) for stage, ends in table.items() for then in ends} == set(product(Stage, Then))


def test_every_rule_of_a_plan_has_its_table() -> None:
    known = {kind for _, kind in getmembers(definitions, isclass) if issubclass(kind, StrEnum) and kind is not StrEnum}
    assert known == TABLES.keys() | NOT_OF_ROWS
