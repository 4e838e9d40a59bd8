"""Whether documents may go together, and the sentence that says why not."""

from dataclasses import replace
from typing import Any

import pytest

from integrations.engine.order import order_of
from integrations.engine.plan import ColumnType, FieldMap, FileAction, Plan, Stage, Task, TaskType
from tests.engine.fakes import customers

PRE, POST, FAILURE = Stage.DOCUMENT_PRE, Stage.DOCUMENT_POST_SUCCESS, Stage.DOCUMENT_POST_FAILURE


def plan_with(*tasks: tuple[Stage, str], calculation: str = "", restriction: str = "", takes: str = "") -> Plan:
    fields = (FieldMap(target="number", value="Number"),)
    if takes:
        fields += (FieldMap(target="taken", column_type=ColumnType.GLOBAL_VARIABLE, value=takes),)
    if calculation:
        fields += (FieldMap(target="name", column_type=ColumnType.CALCULATION, value=calculation),)
    made = tuple(
        Task(name=f"T{number}", type=TaskType.RUN_SCRIPT, stage=stage, script=script)
        for number, (stage, script) in enumerate(tasks)
    )
    return customers(fields=fields, tasks=made, line={"restriction": restriction})


@pytest.mark.parametrize(
    ("plan", "map_singly", "send_singly"),
    [
        # Nothing stands between documents.
        (plan_with(), False, False),
        (plan_with(calculation="return this._Name;"), False, False),
        (plan_with((Stage.INTEGRATION_PRE, "this.GBL_A = 1; return true;"), calculation="return this.GBL_A;"), 0, 0),
        # A task behind a document writes what nobody reads in the next one.
        (plan_with((FAILURE, "this.GBL_A += 'x'; return true;"), calculation="return this._Name;"), 0, 0),
        (plan_with((FAILURE, "this.GBL_A += 'x'; return true;"), restriction="return this.GBL_B !== '';"), 0, 0),
        # It writes what a calculation, a restriction or a pre task reads.
        (plan_with((FAILURE, "this.GBL_A += 'x'; return true;"), calculation="return this.GBL_A;"), 1, 1),
        (plan_with((POST, "this.GBL_A += 'x'; return true;"), restriction="return this.GBL_A !== '';"), 1, 1),
        (plan_with((POST, "this.GBL_A = 1; return true;"), (PRE, "return this.GBL_A !== 1;")), 1, 1),
        # A reader that may look at anything, a writer that may write anything.
        (plan_with((POST, "this.GBL_A = 1; return true;"), calculation="return f(this);"), 1, 1),
        (plan_with((POST, "this['GBL_' + 'A'] = 1; return true;"), calculation="return this.GBL_A;"), 1, 1),
        (plan_with((POST, "return true;"), calculation="return this.run.failed;"), 1, 1),
        # A task before the document shares a variable with its scripts: mapped one by one, sent together.
        (plan_with((PRE, "this.GBL_A = 1; return true;"), calculation="return this.GBL_A;"), 1, 0),
        (plan_with((PRE, "this.GBL_B = 1; return true;"), calculation="return this.GBL_A;"), 0, 0),
        # A field takes what a task or a script of another document writes.
        (plan_with(takes="GBL_A"), 0, 0),
        (plan_with((POST, "this.GBL_A = 1; return true;"), takes="GBL_A"), 1, 1),
        (plan_with((POST, "this.GBL_B = 1; return true;"), takes="GBL_A"), 0, 0),
        (plan_with((PRE, "this.GBL_A = 1; return true;"), takes="GBL_A"), 1, 0),
        (plan_with(calculation="return this.GBL_A;", takes="GBL_A"), 0, 0),
        (plan_with(calculation="this.GBL_A = this._Name; return 1;", takes="GBL_A"), 1, 0),
        (plan_with(restriction="set(this); return true;", takes="GBL_A"), 1, 0),
        (plan_with((POST, "return true;"), calculation="this.GBL_A = 1; return 1;", takes="GBL_A"), 1, 0),
    ],
)
def test_documents_go_together_only_where_nobody_can_tell(plan: Plan, map_singly: bool, send_singly: bool) -> None:
    order = order_of(plan)
    assert (order.map_singly, order.send_singly) == (bool(map_singly), bool(send_singly)), order.reason
    assert order.reason.endswith(".")


def test_a_task_that_is_switched_off_holds_nobody_up() -> None:
    off = Task(name="T", type=TaskType.RUN_SCRIPT, stage=POST, script="this.GBL_A = 1;", enabled=False)
    assert not order_of(plan_with(calculation="return this.GBL_A;")).send_singly
    assert not order_of(customers(tasks=(off,))).send_singly


def beside_scripts(stage: Stage, **parts: Any) -> Plan:
    task = Task(name="T", stage=stage, **{"type": TaskType.SEND_EMAIL, **parts})
    plan = plan_with(calculation="return this.GBL_A;")
    return replace(plan, tasks=(task,))


@pytest.mark.parametrize(
    ("plan", "send_singly"),
    [
        # The words of a text mean nothing, and what it reads is no harm behind a document.
        (beside_scripts(POST, to="a@x.test", text="this, eval \\ and [GBL_B]"), False),
        (beside_scripts(POST, to="a@x.test", text="[run.failed] failed"), True),
        (beside_scripts(POST, type=TaskType.SET_VARIABLE, variable="GBL_A"), True),
        (beside_scripts(POST, type=TaskType.SET_VARIABLE, variable="GBL_B"), False),
        (beside_scripts(POST, type=TaskType.RUN_INTEGRATION, integration="x", hand_back=True), True),
        # What it sees in another system may be what the document before it left there.
        (beside_scripts(POST, type=TaskType.RUN_INTEGRATION, integration="x"), True),
        (beside_scripts(PRE, type=TaskType.VALIDATION, statement="SELECT 1"), True),
        (beside_scripts(POST, type=TaskType.RUN_SQL, statement="SELECT 1", variable="GBL_B"), True),
        (beside_scripts(PRE, type=TaskType.CALL_HTTP, path="x"), True),
        (beside_scripts(PRE, type=TaskType.FILE, action=FileAction.MOVE, connection="c", file_name="*"), True),
        (beside_scripts(POST, type=TaskType.FILE, action=FileAction.COPY, connection="c", file_name="*"), True),
        (beside_scripts(Stage.VALIDATION, type=TaskType.VALIDATION, statement="SELECT 1"), False),
    ],
)
def test_tasks_without_a_script_are_seen_to_read_and_write(plan: Plan, send_singly: bool) -> None:
    assert order_of(plan).send_singly is send_singly, order_of(plan).reason


def test_the_reason_names_the_variable() -> None:
    plan = plan_with((POST, "this.GBL_SEEN = 1; return true;"), calculation="return this.GBL_SEEN;")
    assert "GBL_SEEN" in order_of(plan).reason


@pytest.mark.parametrize(
    ("script", "writes"),
    [
        ("this.GBL_A = 1; return true;", True),
        ("this.GBL_A += 'x'; return true;", True),
        ("this.GBL_A++; return true;", True),
        ("set(this); return true;", True),
        ("return this.GBL_A === 1;", False),
        ("return this.GBL_A !== '' && this.GBL_B == 2;", False),
        # Assigned to without an equals sign behind it.
        ("[this.GBL_A] = [1]; return true;", True),
        ("[this.GBL_B, this.GBL_A] = [1, 2]; return true;", True),
        ("[...this.GBL_A] = [1]; return true;", True),
        ("({a: this.GBL_A} = {a: 1}); return true;", True),
        ("({a: this.GBL_A, ...this.GBL_B} = {a: 1}); return true;", True),
        ("for (this.GBL_A of [1]); return true;", True),
        ("for (this.GBL_A in {a: 1}); return true;", True),
        ("(this.GBL_A) = 1; return true;", True),
        ("if (1) 2; else (this.GBL_A) = 1; return true;", True),
        ("( // a comment\nthis.GBL_A) = 1; return true;", True),
        ("this.GBL_A /* c */ = 1; return true;", True),
        ("this.GBL_A // c\n = 1; return true;", True),
        ("[this.GBL_A = 2] = []; return true;", True),
        ("return this.GBL_AB = 1;", True),
        ("return x + this.GBL_A++;", True),
        ("return -(--this.GBL_A);", True),
        ("++(this.GBL_A); return true;", True),
        ("++ // c\n this.GBL_A; return true;", True),
        ("return ++this.GBL_A > 3;", True),
        ("delete this.GBL_A; return true;", True),
        *(
            (f"this.GBL_A {sign}= 2; return true;", True)
            for sign in ["-", "*", "**", "/", "%", "<<", ">>", ">>>", "&", "|", "^", "&&", "||", "??"]
        ),
        # Read, whatever stands around.
        ("return this.GBL_A", False),
        ("if (this.GBL_A) { return this.GBL_B }", False),
        ("return this.GBL_A === 'North' ? this._Name : 'GBL_A = 1';", False),
        ("return this.GBL_A + this._Name;", False),
        ("return this._Name + '-' + this.GBL_A;", False),
        ("const a = this.GBL_A, b = this.GBL_B\nreturn a > b;", False),
        ("return Number(this.GBL_A) > 3 || f(2, this.GBL_A);", False),
        ("return this._Rows.filter(row => row.Kind === this.GBL_A).length > 0;", False),
        ("for (const item of this.GBL_A) { if (item) return true; } return false;", False),
        ("return this.GBL_A.from <= this._Day && this.GBL_A[0] !== 1;", False),
        ("return `${this.GBL_A}/x` !== '';", False),
        ("// what we do\nreturn this.GBL_A / 2 >= 1;", False),
        ("return this.GBL_A >= 1 || this.GBL_A << 2 || this.GBL_A ?? 1;", False),
        ("let i = 0; i++; return i < this.GBL_A;", False),
    ],
)
def test_scripts_that_may_write_before_a_document_is_sent_are_told_apart(script: str, writes: bool) -> None:
    assert order_of(plan_with(restriction=script)).writes_before_sending is writes
    assert order_of(plan_with((PRE, script))).writes_before_sending is writes
    assert not order_of(plan_with((POST, script))).writes_before_sending
