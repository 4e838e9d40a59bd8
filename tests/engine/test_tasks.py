"""What a task that fails, quits or cancels means at each stage: the table of spec 10 (*Tasks*), a row a cell."""

from collections.abc import Callable

import pytest

from integrations.engine.batch import Bucket, Document
from integrations.engine.execute import Outcome, OutcomeStatus
from integrations.engine.plan import ColumnType, FieldMap, Plan, Stage, Task, TaskType
from integrations.engine.ports import Stop, TaskEnd, TaskResult
from integrations.engine.variables import Variables
from tests.engine.fakes import Functions, Hooks, Ledger, Rows, World, customers, run

COLUMNS = ("Number", "Name")
FOUR = [[f"C{n}", f"Name {n}"] for n in range(1, 5)]
QUIT, CANCEL, GO_ON = TaskResult.QUIT, TaskResult.CANCEL, TaskResult.GO_ON
COMPLETED, WITH_ERRORS = OutcomeStatus.COMPLETED, OutcomeStatus.COMPLETED_WITH_ERRORS
FAILED, CANCELLED = OutcomeStatus.FAILED, OutcomeStatus.CANCELLED


class At:
    """Tasks that end as `ends` says, by stage and document; everything else goes on."""

    def __init__(self, ends: dict[tuple[Stage, str], TaskEnd]) -> None:
        self.ends = ends
        self.stages = frozenset(Stage)
        self.called: list[tuple[Stage, str]] = []

    def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
        key = document.key if document else ""
        self.called.append((stage, key))
        return self.ends.get((stage, key), TaskEnd())

    def at_stage(self, stage: Stage) -> list[str]:
        return [key for called, key in self.called if called is stage]


def ended(result: TaskResult, *, failed: bool = True) -> TaskEnd:
    return TaskEnd(result=result, failed=failed, sentence="CHECK failed: it returned false.")


def perform(
    stage: Stage, key: str, end: TaskEnd, *, refuse: set[str] | None = None
) -> tuple[Outcome, World, Ledger, At]:
    world, ledger, tasks = World(), Ledger(), At({(stage, key): end})
    world.refuse = refuse or set()
    outcome = run(customers(), Rows(COLUMNS, FOUR), world, ledger, tasks=tasks)
    return outcome, world, ledger, tasks


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (ended(QUIT), FAILED),
        (ended(CANCEL), CANCELLED),
        (ended(QUIT, failed=False), COMPLETED),
        (ended(CANCEL, failed=False), CANCELLED),
    ],
)
def test_integration_pre_ends_the_run_with_nothing_read(end: TaskEnd, status: OutcomeStatus) -> None:
    outcome, world, ledger, _ = perform(Stage.INTEGRATION_PRE, "", end)
    assert outcome.status is status and "Nothing was sent" in outcome.sentence
    assert ledger.rows == 0 and not world.received


@pytest.mark.parametrize(("end", "status"), [(ended(QUIT), FAILED), (ended(CANCEL), CANCELLED)])
def test_validation_ends_the_run_with_everything_held(end: TaskEnd, status: OutcomeStatus) -> None:
    outcome, world, ledger, _ = perform(Stage.VALIDATION, "", end)
    assert outcome.status is status
    assert not world.received and ledger.held_documents == 4 and ledger.balances()


def test_document_pre_that_quits_fails_its_document_alone() -> None:
    outcome, world, ledger, _ = perform(Stage.DOCUMENT_PRE, "C2", ended(QUIT))
    assert outcome.status is WITH_ERRORS
    assert ledger.buckets["C2"] is Bucket.FAILED and "C2" not in world.received
    assert ledger.sentences["C2"] == "CHECK failed: it returned false."
    assert ledger.segments[0].values[1] == [{"line": "Customer", "values": {"number": "C2", "name": "Name 2"}}]
    assert ledger.counts[Bucket.CREATED] == 3 and ledger.balances()


def test_document_pre_that_cancels_leaves_its_document_out_on_purpose() -> None:
    outcome, world, ledger, tasks = perform(Stage.DOCUMENT_PRE, "C2", ended(CANCEL))
    assert outcome.status is COMPLETED
    assert ledger.buckets["C2"] is Bucket.RESTRICTED and "C2" not in world.received
    assert "Left out: CHECK failed: it returned false." in ledger.lines
    assert "C2" not in tasks.at_stage(Stage.DOCUMENT_POST_SUCCESS)


def test_a_document_whose_post_task_fails_stays_delivered_and_counts_as_an_error() -> None:
    outcome, world, ledger, _ = perform(Stage.DOCUMENT_POST_SUCCESS, "C2", ended(QUIT))
    assert outcome.status is WITH_ERRORS and outcome.sentence.startswith("1 document needs attention")
    assert ledger.buckets["C2"] is Bucket.CREATED and world.received["C2"] == 1
    assert [list(segment.follow_ups) for segment in ledger.segments] == [[1], []]


@pytest.mark.parametrize("stage", [Stage.DOCUMENT_POST_SUCCESS, Stage.DOCUMENT_POST_FAILURE])
def test_a_cancel_behind_a_document_changes_no_bucket(stage: Stage) -> None:
    outcome, _, ledger, _ = perform(stage, "C2", ended(CANCEL), refuse={"C2"})
    assert outcome.status is WITH_ERRORS and ledger.buckets["C2"] is Bucket.FAILED
    assert not any(segment.follow_ups for segment in ledger.segments)


def test_a_document_is_followed_by_the_tasks_of_its_end() -> None:
    _, _, _, tasks = perform(Stage.VALIDATION, "", TaskEnd(), refuse={"C3"})
    assert tasks.at_stage(Stage.DOCUMENT_POST_SUCCESS) == ["C1", "C2", "C4"]
    assert tasks.at_stage(Stage.DOCUMENT_POST_FAILURE) == ["C3"]


@pytest.mark.parametrize(
    ("refuse", "follows"),
    [(set(), Stage.INTEGRATION_POST_SUCCESS), ({"C3"}, Stage.INTEGRATION_POST_FAILURE)],
)
def test_success_is_followed_only_where_no_document_failed(refuse: set[str], follows: Stage) -> None:
    _, _, _, tasks = perform(Stage.VALIDATION, "", TaskEnd(), refuse=refuse)
    assert [stage for stage, key in tasks.called if not key][2:] == [follows, Stage.INTEGRATION_POST_ALWAYS]


@pytest.mark.parametrize(
    ("stage", "end", "follows"),
    [
        (Stage.INTEGRATION_PRE, ended(QUIT), [Stage.INTEGRATION_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS]),
        (Stage.VALIDATION, ended(QUIT), [Stage.INTEGRATION_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS]),
        (Stage.INTEGRATION_PRE, ended(CANCEL), [Stage.INTEGRATION_POST_ALWAYS]),
    ],
)
def test_failure_follows_a_quit_and_always_follows_everything(stage: Stage, end: TaskEnd, follows: list[Stage]) -> None:
    _, _, _, tasks = perform(stage, "", end)
    posts = [called for called, _ in tasks.called if called.startswith("integration_post")]
    assert posts == follows


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (ended(QUIT), WITH_ERRORS),
        (ended(CANCEL), COMPLETED),
        (ended(QUIT, failed=False), COMPLETED),
        (ended(GO_ON), COMPLETED),
    ],
)
@pytest.mark.parametrize("stage", [Stage.INTEGRATION_POST_SUCCESS, Stage.INTEGRATION_POST_ALWAYS])
def test_a_last_task_that_fails_and_quits_keeps_a_run_from_being_completed(
    stage: Stage, end: TaskEnd, status: OutcomeStatus
) -> None:
    outcome, _, ledger, tasks = perform(stage, "", end)
    assert outcome.status is status and ledger.counts[Bucket.CREATED] == 4
    assert tasks.at_stage(Stage.INTEGRATION_POST_ALWAYS) == [""]


def test_an_unknown_document_has_neither_arrived_nor_failed_so_nothing_follows_it() -> None:
    ledger, tasks = Ledger(), At({})
    ledger.intent = 1
    outcome = run(customers(), Rows(COLUMNS, FOUR), World(), ledger, tasks=tasks)
    assert outcome.status is WITH_ERRORS and ledger.buckets["C1"] is Bucket.UNKNOWN
    assert tasks.at_stage(Stage.DOCUMENT_POST_SUCCESS) == ["C4"]
    assert tasks.at_stage(Stage.DOCUMENT_POST_FAILURE) == []


# ---- variables ---------------------------------------------------------------------------------------------------


class Counting(At):
    """Notes in GBL_SEEN each document that it follows."""

    def __init__(self, variables: Variables) -> None:
        super().__init__({})
        self.stages = frozenset({Stage.DOCUMENT_POST_SUCCESS})
        self.variables = variables

    def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
        assert document is not None
        self.variables.update({"GBL_SEEN": f"{self.variables.snapshot()['GBL_SEEN']}{document.key}|"})
        return super().at(stage, document)


def reading_plan() -> Plan:
    """A calculation that reads what the task behind the document before wrote."""
    fields = (
        FieldMap(target="number", value="Number"),
        FieldMap(target="name", column_type=ColumnType.CALCULATION, value="return this.GBL_SEEN;"),
    )
    task = Task(
        name="T", type=TaskType.RUN_SCRIPT, stage=Stage.DOCUMENT_POST_SUCCESS, script="this.GBL_SEEN = 1; return true;"
    )
    return customers(fields=fields, tasks=(task,))


def reader(variables: Variables) -> Callable[..., tuple[bool, list[object]]]:
    return lambda row: (True, [variables.snapshot()["GBL_SEEN"]])


def test_a_document_sees_what_the_tasks_of_the_one_before_did() -> None:
    variables, world = Variables({"GBL_SEEN": ""}), World()
    run(
        reading_plan(),
        Rows(COLUMNS, FOUR),
        world,
        Ledger(),
        tasks=Counting(variables),
        scripts=Functions(reader(variables)),
        variables=variables,
    )
    assert [record for batch in world.records for line in batch for record in line] == [
        ["C1", ""],
        ["C2", "C1|"],
        ["C3", "C1|C2|"],
        ["C4", "C1|C2|C3|"],
    ]


def test_each_segment_keeps_the_variables_it_left() -> None:
    variables, ledger = Variables({"GBL_SEEN": ""}), Ledger()
    run(customers(), Rows(COLUMNS, FOUR), World(size=2), ledger, tasks=Counting(variables), variables=variables)
    assert [segment.variables for segment in ledger.segments] == [{"GBL_SEEN": "C1|C2|"}, {"GBL_SEEN": "C1|C2|C3|C4|"}]


def test_a_segment_that_changed_nothing_keeps_nothing() -> None:
    ledger = Ledger()
    run(customers(), Rows(COLUMNS, FOUR), World(), ledger, variables=Variables({"GBL_A": 1}))
    assert [segment.variables for segment in ledger.segments] == [None, None]


def test_what_was_mapped_ahead_and_not_sent_leaves_no_trace_in_the_variables() -> None:
    """The calculation counts rows; the run is cancelled after its first segment of two."""
    variables, ledger = Variables({"GBL_COUNT": 0}), Ledger()
    ledger.stop_at = {1: Stop.CANCELLED}

    def count(row: list[str]) -> tuple[bool, list[object]]:
        variables.update({"GBL_COUNT": variables.snapshot()["GBL_COUNT"] + 1})
        return True, ["x"]

    fields = (FieldMap(target="number", column_type=ColumnType.CALCULATION, value="return 1;"),)
    outcome = run(
        customers(fields=fields),
        Rows(COLUMNS, FOUR),
        World(size=2),
        ledger,
        scripts=Functions(count),
        variables=variables,
    )
    assert outcome.status is CANCELLED
    assert ledger.segments[0].variables == {"GBL_COUNT": 2} == variables.snapshot()


def test_no_stage_is_called_that_has_no_task() -> None:
    tasks = Hooks(Stage.VALIDATION)
    run(customers(), Rows(COLUMNS, FOUR), World(), Ledger(), tasks=tasks)
    assert [stage for stage, _ in tasks.called] == [Stage.VALIDATION]
