"""A designer is told of a script what the parser says and which names are not there, each with its line."""

from dataclasses import replace

import pytest

from integrations.engine.plan import ColumnType, FieldMap, Stage, Task, TaskType
from integrations.forms.problems import problems_of
from integrations.forms.scripts import complaints_about
from tests.forms.kinds import around, customers

NO_RETURN = "The script has no return, so it gives no answer and its documents will fail."


@pytest.mark.parametrize(
    ("script", "stage", "told"),
    [
        ("return this._Name;", None, []),
        ("return this['Zip Code'] + this._Zip_Code + this.GBL_FAILED;", None, []),
        ("return this.rows.length + this.run.number;", Stage.DOCUMENT_PRE, []),
        ("var a = 1;\nvar b = ;", None, [(2, "Unexpected token in expression: ';'.")]),
        ("this._Name;", None, [(0, NO_RETURN)]),
        (
            "var a;\nreturn this._Nam;",
            None,
            [(2, "this._Nam is no column of the source. Nearest name: this._Name.")],
        ),
        ("return this.Name;", None, [(1, "this.Name is no column of the source. Nearest name: this._Name.")]),
        ("return this['Zip'];", None, [(1, "this['Zip'] is no column of the source.")]),
        (
            "return this.GBL_FAILD;",
            None,
            [(1, "this.GBL_FAILD is no global variable. Nearest name: this.GBL_FAILED.")],
        ),
        (
            "return this._Name;",
            Stage.INTEGRATION_PRE,
            [(1, "this._Name: at this stage there is no document to look at.")],
        ),
    ],
)
def test_a_script_is_judged_by_its_line(script: str, stage: Stage | None, told: list[tuple[int, str]]) -> None:
    found = complaints_about(script, columns=["Name", "Zip Code"], variables={"GBL_FAILED"}, stage=stage)

    assert [(complaint.line, complaint.sentence) for complaint in found] == told


def test_while_no_column_is_known_none_is_missed() -> None:
    assert complaints_about("return this._Anything;", columns=[], variables=()) == []


def test_a_script_that_looks_up_a_column_that_is_not_there_keeps_a_draft_from_being_runnable() -> None:
    calculated = FieldMap(target="name", column_type=ColumnType.CALCULATION, value="var a;\nreturn this._Nam;")
    (line,) = customers().lines
    line = replace(line, fields=(line.fields[0], calculated), restriction="return this._Names !== '';")
    early = Task(name="A", type=TaskType.RUN_SCRIPT, stage=Stage.VALIDATION, script="return this._Name !== '';")

    found = problems_of(customers(lines=(line,), tasks=(early,)), around())

    assert [problem.sentence for problem in found] == [
        "name of line Customer: line 2: this._Nam is no column of the source. Nearest name: this._Name.",
        "Restriction of line Customer: line 1: this._Names is no column of the source. Nearest name: this._Name.",
        "Task A: line 1: this._Name: at this stage there is no document to look at.",
    ]
