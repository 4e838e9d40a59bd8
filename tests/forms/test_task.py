"""A task's form, the order of tasks, and what keeps a draft with tasks from being runnable."""

from dataclasses import replace
from itertools import product

import pytest

from integrations.engine.plan import (
    Column,
    ColumnType,
    Expects,
    FieldMap,
    FileAction,
    Header,
    Keep,
    Lookup,
    Match,
    ParentColumn,
    ParentData,
    Plan,
    Stage,
    Task,
    TaskType,
    Then,
    ValueType,
    Variable,
    WithoutParent,
)
from integrations.forms.differences import differences
from integrations.forms.judging import Neighbour
from integrations.forms.mentions import mentions_of
from integrations.forms.problems import problems_of
from integrations.forms.stages import ON_FAILURE, ON_SUCCESS, STAGES
from integrations.forms.task import arranged, in_order, offered, with_task
from integrations.forms.task_problems import unfit, way_back
from integrations.forms.variables import applying
from tests.forms.kinds import CRM, around, customers

A = Task(name="A", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE, script="return true;")
B = replace(A, name="B")
LAST = replace(A, name="LAST", stage=Stage.INTEGRATION_POST_ALWAYS)
CHILD = Task(name="CHILD", type=TaskType.RUN_INTEGRATION, stage=Stage.INTEGRATION_POST_SUCCESS, integration="child")
COLUMNS = customers().source.columns


def sentences(plan: Plan, **changes: object) -> list[str]:
    return [problem.sentence for problem in problems_of(plan, around(**changes))]


# Order ------------------------------------------------------------------------------------------------------------


def test_tasks_stand_in_the_order_a_run_comes_to_them() -> None:
    assert in_order([LAST, B, A]) == (B, A, LAST)


def test_a_new_task_goes_to_the_end_of_its_stage() -> None:
    assert with_task((A, LAST), B, was="") == (A, B, LAST)


def test_a_task_that_was_deleted_meanwhile_is_added_anew() -> None:
    assert with_task((A, LAST), replace(B, script="return 1;"), was="B") == (A, replace(B, script="return 1;"), LAST)


@pytest.mark.parametrize(
    ("action", "names"),
    [("up-2", "BAC"), ("down-1", "BAC"), ("move-1-3", "BCA"), ("move-3-1", "CAB"), ("move-2-2", "ABC")],
)
def test_tasks_are_moved_by_a_step_or_to_a_place(action: str, names: str) -> None:
    assert "".join(task.name for task in arranged((A, B, replace(A, name="C"), LAST), action)) == f"{names}LAST"


@pytest.mark.parametrize(
    "action",
    ["", "up", "up-0", "up-9", "up--1", "fly-1", "delete-99999999999", "delete-²", "move-1", "move-1-9", "move-1-3"],
)
def test_an_action_that_is_none_leaves_the_tasks(action: str) -> None:
    assert arranged((A, B, LAST), action) == (A, B, LAST)


def test_every_stage_says_what_each_end_of_a_task_means() -> None:
    assert list(STAGES) == list(Stage)
    for stage, then in product(Stage, Then):
        assert ON_SUCCESS[stage][then].endswith(".") and ON_FAILURE[stage][then].endswith(".")


# Problems ---------------------------------------------------------------------------------------------------------


def test_two_tasks_of_one_name_are_a_problem_even_switched_off() -> None:
    plan = customers(tasks=(A, replace(A, enabled=False)))
    (problem,) = problems_of(plan, around())
    assert (problem.sentence, problem.tab, problem.line) == ("Two tasks are named A. Rename one.", "tasks", 2)


def test_scripts_and_conditions_that_cannot_be_read_are_problems() -> None:
    plan = customers(tasks=(replace(A, condition="if (", script="return }"),))
    assert sentences(plan, check=lambda script: "line 1: no." if script in ("if (", "return }") else "") == [
        "Condition of task A: line 1: no.",
        "Task A: line 1: no.",
    ]


def test_an_unknown_variable_is_named_with_the_nearest_one_at_each_place() -> None:
    line = replace(customers().lines[0], restriction="return this.GBL_REGIO === '';")
    task = replace(A, condition="return this.GBL_REGION;", script="this.GBL_REGIONS = 1; return true;")
    plan = customers(lines=(line,), tasks=(task,), variables=(Variable(name="GBL_X9", value=""),))
    assert [(problem.sentence, problem.tab) for problem in problems_of(plan, around(variables={"GBL_REGION"}))] == [
        (
            "The restriction of line Customer names GBL_REGIO, which is no global variable. Nearest name: GBL_REGION.",
            "integration",
        ),
        ("Task A names GBL_REGIONS, which is no global variable. Nearest name: GBL_REGION.", "tasks"),
        (
            "The Variables tab names GBL_X9, which is no global variable. Create it under Global Variables.",
            "variables",
        ),
    ]


EMAIL = Task(
    name="TELL", type=TaskType.SEND_EMAIL, stage=Stage.INTEGRATION_POST_ALWAYS, to="a@x.test", subject="S", text="T"
)


def test_an_email_that_nobody_gets_or_that_names_what_is_not_there_is_a_problem() -> None:
    assert sentences(customers(tasks=(EMAIL,))) == []
    bad = replace(EMAIL, to="", subject=" ", text="[run.nothing] [_Name] [GBL_NEW]")
    facts = (
        "[run.number], [run.name], [run.process], [run.company], [run.user], [run.startedAt], [run.stage], [run.read], "
        "[run.created], [run.updated], [run.unchanged], [run.restricted], [run.failed], [run.unknown], [run.held], "
        "[run.lastError]"
    )
    assert sentences(customers(tasks=(bad,))) == [
        "Task TELL says nobody to send its e-mail to.",
        "Task TELL sends an e-mail without a subject.",
        f"Task TELL names [run.nothing]. A run has {facts}.",
        "Task TELL names [_Name], and at its stage there is no document to take a column from.",
        "Task TELL names GBL_NEW, which is no global variable. Create it under Global Variables.",
    ]
    early = replace(EMAIL, stage=Stage.DOCUMENT_POST_FAILURE, text="[_Name] [_Nam]", attach_failed=True)
    assert sentences(customers(tasks=(early,))) == [
        "Task TELL attaches the failed documents, and at its stage they are not all known.",
        "Task TELL names [_Nam], which is no column of the source. Nearest name: _Name.",
    ]


SQL = Task(name="DO", type=TaskType.RUN_SQL, stage=Stage.INTEGRATION_PRE, connection=CRM, statement="SELECT 1")


def test_a_statement_without_a_connection_or_with_a_quoted_name_is_a_problem() -> None:
    assert sentences(customers(tasks=(SQL,))) == []
    assert sentences(customers(tasks=(replace(SQL, connection="gone", statement=" "),))) == [
        "The connection of task DO no longer exists. Choose another one.",
        "Task DO has no statement.",
    ]
    bad = replace(SQL, connection="", statement="UPDATE t SET a = 'it''s [run.number]', b = [run.number]")
    assert sentences(customers(tasks=(bad,))) == [
        "Task DO says no connection.",
        "Task DO has [run.number] inside a text of its statement. Write it alone, without quotes.",
    ]


CALL = Task(name="CALL", type=TaskType.CALL_HTTP, stage=Stage.INTEGRATION_PRE, connection=CRM, path="notes")


def test_a_request_that_cannot_be_made_is_a_problem() -> None:
    assert sentences(customers(tasks=(replace(CALL, body='{"a": "[run.number]"}', expected="200-204, 404"),))) == []
    bad = replace(CALL, connection="", path="", body='{"a": [run.number]}')
    first, second, third = sentences(customers(tasks=(bad,)))
    assert (first, second) == ("Task CALL says no connection.", "Task CALL has no path.")
    assert third.startswith("Task CALL: the body is no JSON: Expecting value: line 1 column 8")
    assert sentences(customers(tasks=(replace(CALL, expected="404-200"),))) == [
        "Task CALL: “404-200” is no status. Write them such as 200-299, 404."
    ]


def test_what_changed_in_a_request_is_said() -> None:
    changed = replace(CALL, method="PUT", path="others", body="{}", expected="404")
    assert differences(customers(tasks=(CALL,)), customers(tasks=(changed,))) == [
        "Task CALL: method changed",
        "Task CALL: path changed",
        "Task CALL: body changed",
        "Task CALL: expected statuses changed",
    ]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ((Header(name="X-A", value="[run.number]"), Header(name="x-b")), []),
        ((Header(name="X A"),), ["“X A” is no name of a header. Write one such as X-Request-Source."]),
        ((Header(name="X-A"), Header(name="x-a")), ["the header x-a is there twice. Remove one."]),
        (
            (Header(name="Transfer-Encoding", value="chunked"),),
            ["the header Transfer-Encoding is set for each request by Waybill itself. Remove it."],
        ),
        (
            (Header(name="X-A", value="a\nB: c"),),
            ["the value of the header X-A holds a line break or another control character. Remove it."],
        ),
        (
            (Header(name="X-A", value="a\u0085b"),),
            ["the value of the header X-A holds a line break or another control character. Remove it."],
        ),
        ((Header(name="X-A", value="a\tb é"),), []),
    ],
)
def test_a_header_that_cannot_be_sent_is_a_problem(headers: tuple[Header, ...], said: list[str]) -> None:
    plan = customers(tasks=(replace(CALL, headers=headers),))
    assert sentences(Plan.from_json(plan.to_json())) == [f"Task CALL: {sentence}" for sentence in said]


def test_a_name_in_a_header_is_known_where_the_task_stands() -> None:
    call = replace(CALL, headers=(Header(name="X-A", value="[GBL_GONE] [_Name]"),))
    assert [mention.name for mention in mentions_of(customers(tasks=(call,)))] == ["GBL_GONE"]
    assert any("[_Name], and at its stage there is no document" in said for said in sentences(customers(tasks=(call,))))


def test_what_changed_in_headers_is_said_without_their_values() -> None:
    old = replace(CALL, headers=(Header(name="X-A", value="a"), Header(name="X-B", value="b")))
    new = replace(CALL, headers=(Header(name="X-A", value="c"), Header(name="X-C", value="c")))
    assert differences(customers(tasks=(old,)), customers(tasks=(new,))) == [
        "Task CALL: header X-C added",
        "Task CALL: header X-B removed",
        "Task CALL: header X-A changed",
    ]


def test_a_validation_behind_everything_is_a_problem() -> None:
    check = replace(SQL, type=TaskType.VALIDATION)
    assert sentences(customers(tasks=(check, replace(check, name="B", stage=Stage.DOCUMENT_PRE)))) == []
    late = replace(check, stage=Stage.DOCUMENT_POST_SUCCESS)
    said = "Task DO validates, and at its stage it is too late for that. Move it."
    assert sentences(customers(tasks=(late,))) == [said]
    changed = replace(check, expects=Expects.NO_ROW)
    plans = (customers(tasks=(check,)), customers(tasks=(changed,)))
    assert differences(*plans) == ["Task DO: valid when it does not exist (no row is found)"]
    assert Plan.from_json(plans[1].to_json()) == plans[1]


LOOK = replace(
    SQL,
    name="LOOK",
    type=TaskType.VALIDATION,
    stage=Stage.VALIDATION,
    connection="",
    statement="",
    lookup=Lookup(connection=CRM, table="t", matches=(Match(field="a", column="Name"),)),
)


@pytest.mark.parametrize(
    ("stage", "lookup", "said"),
    [
        (Stage.VALIDATION, {}, []),
        (Stage.DOCUMENT_PRE, {"matches": (Match(field="a", column="Added"),)}, []),
        (
            Stage.VALIDATION,
            {"matches": (Match(field="a", column="Added"),)},
            [
                "Task LOOK looks Added up, which is no column of the source. Additional columns are known from the tasks "
                "before documents on."
            ],
        ),
        (
            Stage.INTEGRATION_PRE,
            {},
            ["Task LOOK looks Name up, and at its stage no row is read yet. Move it to the validation tasks."],
        ),
        (
            Stage.DOCUMENT_POST_SUCCESS,
            {},
            ["Task LOOK validates, and at its stage it is too late for that. Move it."],
        ),
        (Stage.VALIDATION, {"connection": ""}, ["Task LOOK: the lookup says no connection."]),
        (Stage.VALIDATION, {"table": ""}, ["Task LOOK: the lookup says no table."]),
        (Stage.VALIDATION, {"matches": ()}, ["Task LOOK: the lookup says nothing to match."]),
        (
            Stage.VALIDATION,
            {"matches": (Match(field="a", variable="GBL_KEY"),)},
            ["Task LOOK looks GBL_KEY up, and its value is secure. Take it out."],
        ),
    ],
)
def test_a_validation_by_lookup_says_where_and_what_at_a_stage_that_knows_it(
    stage: Stage, lookup: dict[str, object], said: list[str]
) -> None:
    task = replace(LOOK, stage=stage, lookup=replace(LOOK.lookup, **lookup))  # type: ignore[type-var, arg-type]
    added = FieldMap(target="Added", column_type=ColumnType.CONSTANT, value="x")
    plan = Plan.from_json(customers(tasks=(task,), additional=(added,)).to_json())
    known = {"searchable": {CRM}, "variables": {"GBL_KEY"}, "secure": {"GBL_KEY"}}
    assert sentences(plan, **known) == said


def test_what_changed_in_a_validation_by_lookup_is_said() -> None:
    other = replace(LOOK, lookup=Lookup(connection=CRM, table="u", matches=(Match(field="a", variable="GBL_A"),)))
    assert differences(customers(tasks=(LOOK,)), customers(tasks=(other,))) == [
        "Task LOOK: validates by a lookup in u where a is GBL_A"
    ]
    assert differences(customers(tasks=(LOOK,)), customers(tasks=(replace(LOOK, lookup=None),))) == [
        "Task LOOK: validates by its query"
    ]
    assert [mention.name for mention in mentions_of(customers(tasks=(other,)))] == ["GBL_A"]


def test_what_changed_in_a_statement_is_said() -> None:
    changed = replace(SQL, connection="other", statement="SELECT 2", variable="GBL_A")
    assert differences(customers(tasks=(SQL,)), customers(tasks=(changed,))) == [
        "Task DO: keeps its answer in GBL_A",
        "Task DO: another connection",
        "Task DO: SQL changed",
    ]


FILES = Task(
    name="FILES",
    type=TaskType.FILE,
    stage=Stage.INTEGRATION_POST_ALWAYS,
    action=FileAction.MOVE,
    connection=CRM,
    file_name="*.csv",
    to_connection=CRM,
)


def test_a_file_task_that_cannot_be_done_is_a_problem() -> None:
    assert sentences(customers(tasks=(replace(FILES, new_name="[FILE]_[DATE]_[run.number][EXT]"),))) == []
    assert sentences(customers(tasks=(replace(FILES, action=FileAction.DELETE, to_connection=""),))) == []
    bad = replace(FILES, connection="", file_name="in/*", to_connection="gone", new_name="[RUN_NUMBER]/x")
    assert sentences(customers(tasks=(bad,))) == [
        "Task FILES says no connection.",
        "Task FILES names a folder among its files. Choose the folder, and write the name alone.",
        "The folder that task FILES puts files into no longer exists. Choose another one.",
        "The new name of task FILES holds “/”, which would lead to another folder.",
    ]
    early = replace(FILES, own_file=True, stage=Stage.INTEGRATION_PRE)
    assert sentences(customers(tasks=(early,))) == [
        "Task FILES takes the file that the run has read, and at its stage none is read yet. Move it."
    ]


def test_what_changed_in_a_file_task_is_said() -> None:
    changed = replace(
        FILES,
        action=FileAction.COPY,
        own_file=True,
        file_name="a.csv",
        to_connection="other",
        new_name="b.csv",
        overwrite=True,
    )
    plans = customers(tasks=(FILES,)), customers(tasks=(changed,))
    assert differences(*plans) == [
        "Task FILES: copy instead of move",
        "Task FILES: the run's own file",
        "Task FILES: to another folder",
        "Task FILES: replaces a file that is there",
        "Task FILES: files changed",
        "Task FILES: new name changed",
    ]
    assert Plan.from_json(plans[1].to_json()) == plans[1]


def test_what_changed_in_an_email_is_said() -> None:
    changed = replace(EMAIL, to="b@x.test", text="Other", attach_failed=True)
    assert differences(customers(tasks=(EMAIL,)), customers(tasks=(changed,))) == [
        "Task TELL: To changed",
        "Task TELL: text changed",
        "Task TELL: attaches the failed documents",
    ]


def test_a_task_that_is_switched_off_may_name_what_is_not_there() -> None:
    off = replace(A, enabled=False, script="this.GBL_NOWHERE = 1; return true;")
    assert sentences(customers(tasks=(off, replace(CHILD, enabled=False)))) == []
    assert [mention.acts for mention in mentions_of(customers(tasks=(off,)))] == [False]


def test_a_process_that_runs_itself_is_a_problem() -> None:
    assert sentences(customers(tasks=(replace(CHILD, integration="me"),)), own="me") == [
        "Task CHILD runs this process itself, for ever. Choose another integration."
    ]


def test_documents_that_were_not_sent_yet_cannot_be_given_on() -> None:
    early = replace(CHILD, stage=Stage.VALIDATION, parent_data=ParentData.FAILED)
    neighbours = {"child": Neighbour(name="FLAGS", columns=COLUMNS)}
    assert sentences(customers(tasks=(early,)), neighbours=neighbours) == [
        "Task CHILD gives on failed documents, and at its stage nothing was sent yet."
    ]


def test_a_way_back_is_found_through_any_number_of_processes_and_never_walked_twice() -> None:
    ring = {
        "b": Neighbour(name="B", calls=frozenset({"c", "b"})),
        "c": Neighbour(name="C", calls=frozenset({"b", "d", "gone"})),
        "d": Neighbour(name="D", calls=frozenset({"a"})),
    }
    assert way_back("b", "a", ring) == ["B", "C", "D"]
    assert way_back("b", "z", ring) == []


def test_columns_are_the_same_by_name_and_type() -> None:
    there = (Column(name="A"), Column(name="B", type=ValueType.DECIMAL), Column(name="C"))
    assert unfit((Column(name="B", type=ValueType.DECIMAL, format=","),), there) == ""
    assert unfit((Column(name="B"),), there) == "reads B as text, and here it is decimal"
    needed = [Column(name=name) for name in "AXYZW"]
    assert unfit(needed, there) == "needs X, Y, Z and 1 more, columns that this source does not have"


def taking(column: str, how: ParentColumn | None = None) -> FieldMap:
    return FieldMap(target="name", column_type=ColumnType.PARENT_COLUMN, value=column, parent=how)


OR_X = ParentColumn(alone=WithoutParent.DEFAULT, default="x")


@pytest.mark.parametrize(
    ("stage", "data", "field", "said"),
    [
        (Stage.DOCUMENT_PRE, ParentData.NONE, taking("Name"), ""),
        (
            Stage.DOCUMENT_PRE,
            ParentData.NONE,
            taking("name"),
            "takes name of its parent's document, and that is no column here. Nearest name: Name.",
        ),
        (
            Stage.DOCUMENT_PRE,
            ParentData.NONE,
            taking("City", OR_X),
            "takes City of its parent's document, and that is no column here.",
        ),
        (Stage.INTEGRATION_POST_ALWAYS, ParentData.ALL, taking("Name"), ""),
        (
            Stage.INTEGRATION_POST_ALWAYS,
            ParentData.ALL,
            taking("City"),
            "takes City of its parent's document, and that is no column here.",
        ),
        (Stage.INTEGRATION_POST_ALWAYS, ParentData.NONE, taking("Name", OR_X), ""),
        (
            Stage.INTEGRATION_POST_ALWAYS,
            ParentData.NONE,
            taking("Name"),
            "takes Name of its parent's document, and at its stage there is none. Choose the data to use, or move the "
            "task to a document's stage.",
        ),
    ],
)
def test_what_a_child_takes_of_its_parents_document_has_to_be_there(
    stage: Stage, data: ParentData, field: FieldMap, said: str
) -> None:
    child = Neighbour(name="NOTIFY", columns=COLUMNS, of_the_parent=(field,))
    task = replace(CHILD, stage=stage, parent_data=data)
    found = sentences(customers(tasks=(task,)), own="me", neighbours={"child": child})
    assert found == ([f"Task CHILD runs NOTIFY, which {said}"] if said else [])


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (taking("Whatever"), ""),
        (taking(""), "no column of the parent is named."),
        (replace(taking("N", OR_X), type=ValueType.INTEGER), "its default “x” is not a whole number such as 42."),
    ],
)
def test_a_field_of_the_parent_names_a_column_and_a_default_that_fits(field: FieldMap, said: str) -> None:
    plan = customers()
    (line,) = plan.lines
    line = replace(line, fields=(line.fields[0], field))
    expected = [f"name of line Customer: {said}"] if said else []
    assert sentences(Plan.from_json(replace(plan, lines=(line,)).to_json())) == expected


def test_every_other_process_is_offered_or_says_why_not() -> None:
    neighbours = {
        "me": Neighbour(name="ME"),
        "fits": Neighbour(name="FITS", columns=COLUMNS),
        "other": Neighbour(name="OTHER", columns=(Column(name="City"),)),
        "back": Neighbour(name="BACK", calls=frozenset({"me"})),
    }
    found = {offer.name: (offer.refused, offer.refused_data) for offer in offered("me", COLUMNS, neighbours)}
    assert found == {
        "FITS": ("", ""),
        "OTHER": ("", "needs City, a column that this source does not have"),
        "BACK": ("leads back to this process: BACK, which runs this one", ""),
    }


# What changed -----------------------------------------------------------------------------------------------------


def test_tasks_are_told_one_by_one() -> None:
    changed = replace(
        B,
        type=TaskType.SET_VARIABLE,
        stage=Stage.DOCUMENT_PRE,
        enabled=False,
        condition="return true;",
        script="",
        on_failure=Then.CANCEL,
        variable="GBL_A",
        value="x",
    )
    assert differences(customers(tasks=(A, B)), customers(tasks=(changed, LAST))) == [
        "Task LAST added to Integration Post Always Tasks",
        "Task A removed",
        "Task B: Set Variable instead of Run Script",
        "Task B: moved to Document Pre Tasks",
        "Task B: switched off",
        "Task B: condition added",
        "Task B: script removed",
        "Task B: On Failure: Cancel processing instead of Quit",
        "Task B: sets GBL_A to x",
    ]


def test_what_a_child_gets_and_gives_is_told() -> None:
    changed = replace(CHILD, integration="other", parent_data=ParentData.SUCCEEDED, use_variables=True, hand_back=True)
    assert differences(customers(tasks=(CHILD,)), customers(tasks=(changed,))) == [
        "Task CHILD: runs another integration",
        "Task CHILD: data from parent: succeeded documents",
        "Task CHILD: uses the parent's variables",
        "Task CHILD: hands its variables back",
    ]


def test_another_order_within_a_stage_is_told_and_a_new_task_is_none() -> None:
    assert differences(customers(tasks=(A, B)), customers(tasks=(B, A))) == ["Integration Pre Tasks in another order"]
    assert differences(customers(tasks=(A,)), customers(tasks=(B, A))) == ["Task B added to Integration Pre Tasks"]


def test_overrides_and_what_is_kept_are_told() -> None:
    old = customers(variables=(Variable(name="GBL_A", value="1"), Variable(name="GBL_B", value="x")))
    new = customers(variables=(Variable(name="GBL_A", keep=Keep.ON_SUCCESS), Variable(name="GBL_B", value="")))
    assert differences(old, new) == [
        "Variable GBL_A: the company value",
        "Variable GBL_A: kept after a run that went well",
        "Variable GBL_B: an empty text",
    ]


# Which value applies ----------------------------------------------------------------------------------------------


def test_a_kept_value_of_any_kind_is_shown_as_text() -> None:
    plan = customers(variables=(Variable(name="GBL_A", keep=Keep.ALWAYS),))
    (item,) = applying(plan, {"GBL_A": "company"}, {"GBL_A": {"n": ["ä", 1]}})
    assert (item.value, item.origin) == ('{"n": ["ä", 1]}', "kept from an earlier run")
