"""Scripts of tasks, and the variables that all scripts of a run share."""

from collections.abc import Iterator
from typing import Any

import pytest

from integrations.engine.batch import Document
from integrations.engine.plan import Plan, Stage, Task, TaskType
from integrations.engine.ports import Computed, Fault
from integrations.engine.variables import Variables
from integrations.scripting import Limits, open_scripts
from integrations.scripting.sandbox import Sandbox
from tests.scripting.making import COLUMNS, plan_of

DOCUMENT = Document(1, "C1", [["C1", "Acme", "00123"], ["C1", "Acme 2", "00124"]], [1, 2])
FACTS = {"number": 7, "failed": 2}


def task_of(script: str = "return true;", *, condition: str = "", name: str = "STEP") -> Task:
    return Task(name=name, type=TaskType.RUN_SCRIPT, stage=Stage.DOCUMENT_PRE, script=script, condition=condition)


def with_tasks(*tasks: Task, calculation: str = "") -> Plan:
    from dataclasses import replace

    return replace(plan_of(*filter(None, [calculation])), tasks=tasks)


@pytest.fixture
def variables() -> Variables:
    return Variables({"GBL_FAILED": "", "GBL_COUNT": 1})


@pytest.fixture
def opened(variables: Variables) -> Iterator[Any]:
    made: list[Sandbox] = []

    def start(plan: Plan) -> Sandbox:
        made.append(open_scripts(plan, COLUMNS, variables=variables, limits=Limits(seconds=0.3)))
        return made[-1]

    yield start
    for sandbox in made:
        sandbox.close()


def done(opened: Any, script: str) -> bool | Fault:
    task = task_of(script)
    answer: bool | Fault = opened(with_tasks(task)).run_script(task, DOCUMENT, FACTS)
    return answer


@pytest.mark.parametrize(
    "script",
    [
        "return this._Name === 'Acme' && this['Zip Code'] === '00123';",
        "return this.rows.length === 2 && this.rows[1]._Zip_Code === '00124';",
        "return this.run.number === 7 && this.run.failed === 2;",
        "return this.GBL_FAILED === '' && this.GBL_COUNT === 1;",
    ],
)
def test_a_task_sees_its_document_the_run_and_the_variables(opened: Any, script: str) -> None:
    assert done(opened, script) is True


def test_a_task_of_the_integration_has_no_row(opened: Any) -> None:
    task = task_of("return this._Name === undefined && this.rows.length === 0;")
    assert opened(with_tasks(task)).run_script(task, None, FACTS) is True


def test_false_says_that_the_task_failed(opened: Any) -> None:
    assert done(opened, "return false;") is False


def test_what_a_task_writes_stands_in_the_variables(opened: Any, variables: Variables) -> None:
    assert done(opened, "this.GBL_FAILED = this.GBL_FAILED + this._Number + '|'; return true;") is True
    assert variables.snapshot() == {"GBL_FAILED": "C1|", "GBL_COUNT": 1}


def test_a_variable_may_hold_a_list(opened: Any, variables: Variables) -> None:
    done(opened, "this.GBL_FAILED = [this._Number]; return true;")
    assert variables.snapshot()["GBL_FAILED"] == ["C1"]


def test_a_list_in_a_variable_changes_by_an_assignment_or_not_at_all(opened: Any, variables: Variables) -> None:
    variables.update({"GBL_FAILED": ["C0"]})
    fault = done(opened, "this.GBL_FAILED.push(this._Number); return true;")
    assert isinstance(fault, Fault) and "TypeError" in fault.sentence
    assert variables.snapshot()["GBL_FAILED"] == ["C0"]
    assert done(opened, "this.GBL_FAILED = this.GBL_FAILED.concat(this._Number); return true;") is True
    assert variables.snapshot()["GBL_FAILED"] == ["C0", "C1"]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("this.GBL_COUNT = 9;", "The script of STEP gave no answer: it ends without a return."),
        ("this.GBL_COUNT = 9; throw 'no';", "The script of STEP failed: threw no"),
        ("this.GBL_COUNT = 9;\nreturn a.b;", "The script of STEP failed at line 2: ReferenceError: a is not defined"),
        ("this.GBL_COUNT = 9; for (;;) {}", None),
        ("this.GBL_COUNT = 9; return Array(1e9).join('x');", None),
        ("this.GBL_COUNT = function () {}; return true;", None),
        ("this.GBL_COUNT = undefined; return true;", None),
    ],
)
def test_a_task_that_meets_a_fault_leaves_the_variables_as_they_were(
    opened: Any, variables: Variables, script: str, sentence: str | None
) -> None:
    task = task_of(script)
    other = task_of("return this.GBL_COUNT === 1;", name="AFTER")
    scripts = opened(with_tasks(task, other))
    fault = scripts.run_script(task, DOCUMENT, FACTS)
    assert isinstance(fault, Fault) and (sentence is None or fault.sentence == sentence), fault
    assert variables.snapshot() == {"GBL_FAILED": "", "GBL_COUNT": 1}
    assert scripts.run_script(other, DOCUMENT, FACTS) is True, "the child agrees, or a new one does"


def test_a_condition_is_asked_apart_from_the_script(opened: Any) -> None:
    task = task_of("return true;", condition="return this.run.failed > 2;")
    scripts = opened(with_tasks(task))
    assert scripts.ask_condition(task, None, FACTS) is False
    assert scripts.ask_condition(task, None, {**FACTS, "failed": 3}) is True


def test_calculations_of_a_batch_see_each_others_variables_in_order(opened: Any, variables: Variables) -> None:
    scripts = opened(plan_of("this.GBL_COUNT = this.GBL_COUNT + 1; return this.GBL_COUNT;"))
    answers = list(scripts.evaluate([[[[f"C{n}", "", ""]]] for n in range(3)]))
    assert answers == [[[Computed(True, [n])]] for n in (2, 3, 4)]
    assert variables.snapshot()["GBL_COUNT"] == 4


def test_a_document_that_kills_its_child_leaves_the_count_of_the_others_right(
    opened: Any, variables: Variables
) -> None:
    kill = "if (this._Number === 'bad') { return Array(1e9).join('x'); }"
    scripts = opened(plan_of(f"this.GBL_COUNT = this.GBL_COUNT + 1; {kill} return this.GBL_COUNT;"))
    answers = list(scripts.evaluate([[[[key, "", ""]]] for key in ("1", "bad", "2")]))
    assert [answer[0][0].values if not isinstance(answer, Fault) else "fault" for answer in answers] == [
        [2],
        "fault",
        [3],
    ]
    assert variables.snapshot()["GBL_COUNT"] == 3


def test_what_somebody_else_changed_is_told_before_the_next_script(opened: Any, variables: Variables) -> None:
    task = task_of("return this.GBL_FAILED === 'set elsewhere';")
    scripts = opened(with_tasks(task))
    assert scripts.run_script(task, None, FACTS) is False
    variables.update({"GBL_FAILED": "set elsewhere"})
    assert scripts.run_script(task, None, FACTS) is True


def test_the_names_of_the_context_cannot_be_taken_over_by_a_column(variables: Variables) -> None:
    task = task_of("return this.run.number === 7 && this._run === 'x';")
    scripts = open_scripts(with_tasks(task), ("run",), variables=variables)
    try:
        assert scripts.run_script(task, Document(1, "x", [["x"]], [1]), FACTS) is True
    finally:
        scripts.close()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("this.run = 1;", "wrote into this.run, which the run alone says: write a variable."),
        ("this.run.number = 8;", "wrote into this.run.number, which the run alone says: write a variable."),
        ("this.run.more = 8;", "TypeError: object is not extensible"),
        ("delete this.run.number;", "TypeError"),
        ("this.run['failed' + 'Keys'];", "asked for this.run.failedKeys without writing that name: write it out."),
    ],
)
def test_what_the_run_says_of_itself_cannot_be_written(opened: Any, script: str, said: str) -> None:
    answer = done(opened, f"{script} return true;")
    assert isinstance(answer, Fault) and said in answer.sentence


def test_restrictions_and_calculations_know_what_stands_for_the_whole_run(variables: Variables) -> None:
    plan = plan_of(
        "return this.run.number + this.run.process;",
        "return JSON.stringify(this.run);",
        restriction="return this.run.number === 7;",
    )
    scripts = open_scripts(plan, COLUMNS, facts={"number": 7, "process": "P"})
    try:
        ((answer,),) = next(scripts.evaluate([[[["C1", "Acme", "00123"]]]]))
        assert answer.send and list(answer.values) == ["7P", '{"number":7,"process":"P"}']
    finally:
        scripts.close()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("return this.run.failed;", "asked for this.run.failed, which only tasks know: documents are mapped ahead."),
        (
            "return this.run.failedKeys;",
            "asked for this.run.failedKeys, which only tasks know: documents are mapped ahead.",
        ),
        ("this.run.number = 1; return 1;", "wrote into this.run.number, which the run alone says: write a variable."),
    ],
)
def test_a_calculation_asks_for_no_counts_and_writes_no_facts(script: str, said: str) -> None:
    scripts = open_scripts(plan_of(script), COLUMNS, facts={"number": 7})
    try:
        answer = next(scripts.evaluate([[[["C1", "Acme", "00123"]]]]))
        assert isinstance(answer, Fault) and answer.sentence == f"The calculation of field0 {said}"
    finally:
        scripts.close()
