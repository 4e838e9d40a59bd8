"""What keeps a draft from being runnable is said in sentences that lead to the place."""

from dataclasses import replace
from typing import Any

import pytest

from integrations.engine.file_name import search_complaint
from integrations.engine.plan import (
    DOCUMENT,
    ChoicesFrom,
    Column,
    ColumnType,
    DateCalculation,
    DestinationSpec,
    FieldMap,
    Lookup,
    Match,
    NoneFound,
    Options,
    ParentData,
    Plan,
    Prompt,
    PromptType,
    SourceMode,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Translation,
    ValueType,
    Variable,
    WhenBusy,
    WriteMode,
)
from integrations.forms.judging import Neighbour
from integrations.forms.problems import problems_of
from tests.forms.kinds import CRM, TABLE, around, customers


def sentences(plan: Plan, **changes: object) -> list[str]:
    return [problem.sentence for problem in problems_of(plan, around(**changes))]


def with_fields(*fields: FieldMap) -> Plan:
    plan = customers()
    return replace(plan, lines=(replace(plan.lines[0], fields=fields),))


def translated(column: str, table: str) -> FieldMap:
    how = Translation(table=table)
    return FieldMap(target="name", column_type=ColumnType.TRANSLATION, value=column, translation=how)


def rolling(sequence: str, kind: ValueType = ValueType.TEXT) -> FieldMap:
    return FieldMap(target="name", column_type=ColumnType.ROLLING_NUMBER, sequence=sequence, type=kind)


def dated(column: str, kind: ValueType, *, of_start: bool = False) -> FieldMap:
    how = DateCalculation(of_start=of_start)
    return FieldMap(target="name", column_type=ColumnType.DATE_CALCULATION, value=column, type=kind, date=how)


def test_a_column_whose_form_is_no_dates_cannot_begin_a_date_calculation() -> None:
    plan = with_fields(customers().lines[0].fields[0], dated("Name", ValueType.DATE))
    columns = (Column(name="CustomerNumber"), Column(name="Name", type=ValueType.DECIMAL, format=","))

    (sentence,) = sentences(replace(plan, source=replace(plan.source, columns=columns)))

    assert sentence.startswith("Column Name: “,” is no date format.")


def test_a_complete_plan_has_no_problem() -> None:
    assert problems_of(customers(), around()) == []


def test_an_empty_draft_names_source_destination_and_nothing_else() -> None:
    empty = Plan(process="NEW", source=SourceSpec(kind=""), destination=DestinationSpec(kind="", connection=""))

    assert [(problem.tab, problem.sentence) for problem in problems_of(empty, around())] == [
        ("source", "No kind of source is chosen."),
        ("target", "No connection is chosen for the destination."),
    ]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (Prompt(choices_from=ChoicesFrom.TABLE), "its list comes from a translation table, and none is chosen."),
        (Prompt(choices_from=ChoicesFrom.TABLE, table="gone"), "the translation table of its list no longer exists."),
        (
            Prompt(choices_from=ChoicesFrom.QUERY, query="SELECT 1"),
            "its list comes from a query, and the connection is",
        ),
        (
            Prompt(choices_from=ChoicesFrom.QUERY, connection=CRM),
            "its list comes from a query, and the query is missing.",
        ),
        (
            Prompt(choices_from=ChoicesFrom.QUERY, connection="x", query="SELECT 1"),
            "the connection of its list no longer",
        ),
        (
            Prompt(choices_from=ChoicesFrom.QUERY, connection=CRM, query="SELECT [GBL_NO]"),
            "the list of GBL_OWN names GBL_NO",
        ),
        (
            Prompt(choices_from=ChoicesFrom.QUERY, connection=CRM, query="SELECT [GBL_PIN]"),
            "The list of GBL_OWN is asked with GBL_PIN, whose value is secure.",
        ),
    ],
)
def test_a_list_that_cannot_be_had_is_said_at_its_variable(prompt: Prompt, said: str) -> None:
    plan = customers(variables=(Variable(name="GBL_OWN", prompt=replace(prompt, type=PromptType.CHOICE)),))
    known = replace(around(), variables=frozenset({"GBL_OWN", "GBL_PIN"}), secure=frozenset({"GBL_PIN"}))
    problems = problems_of(plan, known)

    assert [(problem.tab, problem.part) for problem in problems] == [("variables", "GBL_OWN")]
    assert said.lower() in problems[0].sentence.lower()


def test_a_query_needs_a_connection_and_its_required_option() -> None:
    plan = customers(source=SourceSpec(kind="query"))

    assert "Database query needs a connection to read from." in sentences(plan)
    assert "Query of the source is empty." in sentences(plan)


def test_a_file_from_a_connection_needs_a_pattern() -> None:
    plan = customers(source=replace(customers().source, connection=CRM))

    assert sentences(plan) == ["No file name pattern says which file to fetch."]
    folder = replace(plan, source=replace(plan.source, options={**plan.source.options, "pattern": "in/orders_*.json"}))
    assert sentences(folder) == [search_complaint("in/orders_*.json")] != [""]


@pytest.mark.parametrize("limit", [-5, 10**17])
def test_a_limit_out_of_bounds_is_said_at_the_options(limit: int) -> None:
    (problem,) = problems_of(customers(options=Options(keep_days=limit)), around())

    assert (problem.tab, problem.sentence) == (
        "options",
        f"How long runs are kept is {limit:,}. Enter a number from 1 to 3,650, or nothing for no limit.",
    )


def changing(**changes: Any) -> Plan:
    """A plan that reads changes only, and can."""
    columns = (*customers().source.columns, Column(name="Changed", type=ValueType.INTEGER))
    parts: dict[str, Any] = {
        "kind": "changing",
        "connection": CRM,
        "options": {"path": "customers?since=[WATERMARK]"},
        "columns": columns,
        "mode": SourceMode.CHANGES,
        "watermark": "Changed",
    }
    return customers(source=SourceSpec(**(parts | changes)))


def test_a_source_that_is_read_for_changes_only_has_no_problem_by_itself() -> None:
    assert sentences(changing()) == []
    assert sentences(changing(first_value="7")) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": SourceMode.BULK}, "The path names [WATERMARK], and everything is read. Choose Changes only, or take it out."),
        ({"options": {"path": "a"}}, "Only changes are read, and the path does not say where [WATERMARK] goes. Write it there."),
        ({"watermark": ""}, "Only changes are read, and no column is chosen that the watermark is taken from."),
        ({"watermark": "changd"}, "Watermark column changd is not a column of the source. Nearest name: Changed."),
        (
            {"columns": (*customers().source.columns, Column(name="Changed", type=ValueType.BOOLEAN))},
            "Watermark column Changed is Yes / No, which has no greatest value. Choose another one.",
        ),
        (
            {"first_value": "soon"},
            "The first watermark: “soon” is no whole number for the watermark column Changed: a whole number such as 42 was "
            "expected. Correct the type of the column on the Source tab, or the source.",
        ),
        (
            {"kind": "file", "connection": "", "options": {"encoding": "utf-8"}},
            "Text file cannot be read for changes only. Choose Everything.",
        ),
        (
            {"options": {"path": "[WATERMARK]", "shape": "documents"}, "columns": (*changing().source.columns, Column(name=DOCUMENT))},
            "Only changes are read, and Document numbers the records anew in every run. Choose key fields that stay.",
        ),
    ],
)  # fmt: skip
def test_what_keeps_a_source_from_being_read_for_changes_only(changes: dict[str, Any], said: str) -> None:
    plan = changing(**changes)
    keyed = replace(plan, key_fields=(DOCUMENT,)) if "Document" in said else plan

    assert sentences(keyed) == [said]


def test_changes_are_read_by_one_run_at_a_time() -> None:
    (problem,) = problems_of(replace(changing(), options=Options(when_busy=WhenBusy.ALLOW)), around())

    assert problem.tab == "options"
    assert (
        problem.sentence == "Only changes are read, which one run does at a time. Let a second run wait or refuse it."
    )


def test_unknown_columns_ask_for_a_sample_first() -> None:
    plan = customers(source=SourceSpec(kind="file", options={"encoding": "utf-8"}))

    assert sentences(plan) == ["The columns of the source are not known yet. Upload a sample file."]


def test_a_key_field_that_left_the_source_names_the_nearest_column() -> None:
    assert sentences(customers(key_fields=("Customer_Nr",))) == [
        "Key field Customer_Nr is not a column of the source. Nearest name: CustomerNumber."
    ]


def test_a_deleted_connection_is_said_at_the_tab_that_uses_it() -> None:
    problem, *rest = problems_of(customers(), around(connections={}))

    assert (problem.tab, problem.sentence) == (
        "target",
        "The connection of the destination no longer exists. Choose another one.",
    )
    assert rest == []


def test_a_required_target_that_is_not_mapped_leads_to_the_mapping_of_its_line() -> None:
    plan = with_fields(FieldMap(target="customer_number", value="CustomerNumber", required=True))

    (problem,) = problems_of(plan, around())

    assert problem.sentence == "name of line Customer is required and not mapped."
    assert (problem.tab, problem.line, problem.part) == ("integration", 1, "mapping")


def test_an_update_may_leave_required_targets_alone() -> None:
    plan = with_fields(FieldMap(target="customer_number", value="CustomerNumber", required=True))
    plan = replace(plan, lines=(replace(plan.lines[0], mode=WriteMode.UPDATE),))

    assert sentences(plan) == []


def test_a_key_target_that_is_not_mapped_is_named() -> None:
    plan = with_fields(FieldMap(target="name", value="Name", required=True))

    assert sentences(plan) == ["customer_number is a key of line Customer and not mapped."]


@pytest.mark.parametrize("mode", [WriteMode.UPSERT, WriteMode.UPDATE, WriteMode.DELETE])
def test_every_mode_that_looks_for_a_record_needs_a_key(mode: WriteMode) -> None:
    plan = customers()
    plan = replace(plan, lines=(replace(plan.lines[0], mode=mode, keys=()),))

    assert "Line Customer has no key target to find its record by." in sentences(plan)


def test_an_insert_needs_no_key() -> None:
    plan = customers()
    plan = replace(plan, lines=(replace(plan.lines[0], mode=WriteMode.INSERT, keys=()),))

    assert sentences(plan) == []


def test_a_mapped_column_that_left_the_source_names_the_nearest_one() -> None:
    plan = with_fields(
        FieldMap(target="customer_number", value="Customer Number", required=True),
        FieldMap(target="name", value="Name", required=True),
    )

    assert sentences(plan) == [
        "customer_number of line Customer: Customer Number is not a column of the source. Nearest name: CustomerNumber."
    ]


def test_a_field_that_the_target_does_not_have_is_named() -> None:
    plan = with_fields(*customers().lines[0].fields, FieldMap(target="zip", value="Name"))

    assert sentences(plan) == ["zip is not a field of customers."]


def test_a_target_that_lists_no_fields_takes_any() -> None:
    plan = with_fields(*customers().lines[0].fields, FieldMap(target="anything", value="Name"))

    assert sentences(plan, targets={"customers": ()}) == []


def test_a_calculation_that_cannot_be_read_says_its_line() -> None:
    plan = with_fields(
        *customers().lines[0].fields[:2],
        FieldMap(target="credit_limit", column_type=ColumnType.CALCULATION, value="return 1 +"),
    )

    assert sentences(plan, check=lambda script: "line 1: something is missing after “+”.") == [
        "credit_limit of line Customer: line 1: something is missing after “+”."
    ]


def test_an_empty_calculation_is_not_checked_but_named() -> None:
    plan = with_fields(
        *customers().lines[0].fields[:2], FieldMap(target="credit_limit", column_type=ColumnType.CALCULATION)
    )

    assert sentences(plan) == ["credit_limit of line Customer: the calculation is empty."]


def test_a_broken_restriction_leads_to_the_restriction() -> None:
    plan = customers()
    plan = replace(plan, lines=(replace(plan.lines[0], restriction="retrun true"),))

    (problem,) = problems_of(plan, around(check=lambda script: "line 1: unexpected word."))

    assert (problem.tab, problem.line, problem.part) == ("integration", 1, "restriction")


def test_a_line_without_a_target_leads_to_the_target_tab_only_once() -> None:
    plan = customers()
    plan = replace(plan, lines=(*plan.lines, replace(plan.lines[0], name="Items", target="", fields=())))

    (problem,) = problems_of(plan, around())

    assert (problem.tab, problem.line, problem.sentence) == ("target", 2, "Line Items has no target.")


def test_a_line_that_calls_itself_a_line_is_not_called_so_twice() -> None:
    plan = customers()
    plan = replace(plan, lines=(*plan.lines, replace(plan.lines[0], name="Line 2", target="", fields=())))

    (problem,) = problems_of(plan, around())

    assert problem.sentence == "Line 2 has no target."


def test_a_date_format_that_cannot_be_read_is_said_where_it_stands() -> None:
    plan = with_fields(FieldMap(target="customer_number", value="CustomerNumber", type=ValueType.DATE))
    columns = tuple(replace(column, format="DD.MM.DD") for column in plan.source.columns)
    found = problems_of(replace(plan, source=replace(plan.source, columns=columns)), around())

    problem = next(problem for problem in found if problem.sentence.startswith("Column CustomerNumber: "))
    assert "“DD.MM.DD” is no date format" in problem.sentence and problem.tab == "source"


def test_two_columns_of_one_name_in_scripts_are_said_once_a_script_looks_at_one() -> None:
    columns = (Column(name="CustomerNumber"), Column(name="A B"), Column(name="A_B"))
    silent = customers(source=replace(customers().source, columns=columns))
    clash = "Scripts know A B and A_B by one name, this._A_B. Rename one in the source."
    assert clash not in sentences(silent)

    script = FieldMap(target="name", column_type=ColumnType.CALCULATION, value="return this._A_B")
    line = replace(silent.lines[0], fields=(*silent.lines[0].fields, script))
    assert clash in sentences(replace(silent, lines=(line,)))


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        (
            FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE),
            "name of line Customer: no global variable is chosen.",
        ),
        (
            FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_REGIO"),
            "The mapping of name names GBL_REGIO, which is no global variable. Nearest name: GBL_REGION.",
        ),
        (FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_REGION"), ""),
        (translated("", "t"), "name of line Customer: no source column is chosen."),
        (
            translated("Nam", "t"),
            "name of line Customer: Nam is not a column of the source. Nearest name: Name.",
        ),
        (translated("Name", ""), "name of line Customer: no translation table is chosen."),
        (
            translated("Name", "gone"),
            "name of line Customer: its translation table no longer exists. Choose another one.",
        ),
        (translated("Name", "t"), ""),
        (rolling(""), "name of line Customer: no rolling number is chosen."),
        (rolling("gone"), "name of line Customer: its rolling number no longer exists. Choose another one."),
        (
            rolling("s", ValueType.INTEGER),
            "name of line Customer: its rolling number begins with C-, and the field is integer.",
        ),
        (rolling("plain", ValueType.DATE), "name of line Customer: a rolling number is no date."),
        (rolling("plain", ValueType.INTEGER), ""),
        (rolling("s"), ""),
        (dated("", ValueType.DATE), "name of line Customer: no date to begin with is chosen."),
        (dated("Nam", ValueType.DATE), "name of line Customer: Nam is not a column of the source. Nearest name: Name."),
        (
            dated("Name", ValueType.DECIMAL),
            "name of line Customer: a date calculation gives a date, and the field is decimal.",
        ),
        (dated("Name", ValueType.DATETIME), ""),
        (dated("", ValueType.TEXT, of_start=True), ""),
    ],
)
def test_each_column_type_says_what_it_lacks(field: FieldMap, sentence: str) -> None:
    plan = with_fields(customers().lines[0].fields[0], field)
    sequences = {"s": "C-", "plain": ""}

    assert sentences(plan, variables={"GBL_REGION"}, tables={"t"}, sequences=sequences) == (
        [sentence] if sentence else []
    )


def test_a_secure_variable_in_an_email_or_a_number_is_said() -> None:
    mail = Task(
        name="TELL",
        type=TaskType.SEND_EMAIL,
        stage=Stage.INTEGRATION_POST_ALWAYS,
        to="a@x.test",
        subject="[GBL_KEY]",
        text="[GBL_OWN] [GBL_REGION]",
    )
    number = FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_KEY", type=ValueType.INTEGER)
    own = (Variable(name="GBL_OWN", value="~sealed~", secure=True),)
    plan = replace(with_fields(customers().lines[0].fields[0], number), tasks=(mail,), variables=own)

    said = sentences(plan, variables={"GBL_KEY", "GBL_OWN", "GBL_REGION"}, secure={"GBL_KEY"})

    assert said == [
        "name of line Customer: GBL_KEY is secure and goes into text alone, and the field is integer.",
        "Task TELL puts GBL_KEY into its e-mail, and its value is secure. Take it out.",
        "Task TELL puts GBL_OWN into its e-mail, and its value is secure. Take it out.",
    ]


@pytest.mark.parametrize("takes_secrets", [True, False])
def test_a_secure_variable_into_what_people_read_is_said(takes_secrets: bool) -> None:
    key = FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_KEY")
    plan = with_fields(customers().lines[0].fields[0], key)
    kinds = {"table": replace(TABLE, takes_secrets=takes_secrets)}

    said = sentences(plan, variables={"GBL_KEY"}, secure={"GBL_KEY"}, destinations=kinds)

    sentence = "GBL_KEY is secure, and a file is read by whoever opens it. Choose another column type."
    assert said == ([] if takes_secrets else [f"name of line Customer: {sentence}"])


def test_an_own_value_that_lies_open_though_its_variable_is_secure_now_is_said() -> None:
    plan = replace(customers(), variables=(Variable(name="GBL_KEY", value="open"),))
    around_it = {"variables": {"GBL_KEY"}, "secure": {"GBL_KEY"}}

    assert sentences(plan, **around_it) == [
        "GBL_KEY is secure now, and this process's own value of it is not. Enter it again."
    ]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("SELECT 1 WHERE region = [GBL_REGION]", []),
        (
            "SELECT 1 WHERE region = [GBL_REGIO]",
            ["The query of the source names GBL_REGIO, which is no global variable. Nearest name: GBL_REGION."],
        ),
        (
            "SELECT 1 WHERE region = '[GBL_REGION]'",
            ["The query has [GBL_REGION] inside a text. Write it alone, without quotes."],
        ),
    ],
)
def test_the_variables_that_a_source_names(query: str, complaint: list[str]) -> None:
    source = SourceSpec(kind="query", connection=CRM, options={"query": query}, columns=customers().source.columns)

    found = problems_of(replace(customers(), source=source), around(variables={"GBL_REGION"}))

    assert [(problem.sentence, problem.tab) for problem in found] == [(sentence, "source") for sentence in complaint]


def test_a_process_cannot_give_on_its_data_before_it_read_any() -> None:
    task = Task(
        name="CHILD",
        type=TaskType.RUN_INTEGRATION,
        stage=Stage.INTEGRATION_PRE,
        integration="child",
        parent_data=ParentData.ALL,
    )

    assert sentences(replace(customers(), tasks=(task,)), neighbours={"child": Neighbour(name="CHILD")}) == [
        "Task CHILD gives on this process's data, and at its stage nothing was read yet. Move it."
    ]


def added(name: str, **changes: Any) -> FieldMap:
    return FieldMap(target=name, **changes)


def sought(connection: str = CRM, **changes: Any) -> FieldMap:
    parts = {"table": "customers", "matches": (Match(field="number", column="Name"),), "result": "name"}
    lookup = Lookup(connection=connection, **{**parts, **changes})
    return FieldMap(target="Known as", column_type=ColumnType.LOOKUP, lookup=lookup)


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        (sought(), ""),
        (sought(""), ": the lookup says no connection."),
        (sought("gone"), ": the connection of the lookup no longer exists. Choose another one."),
        (sought("files"), ": nothing can be looked up at Files. Choose another connection."),
        (sought(table=""), ": the lookup says no table."),
        (sought(matches=()), ": the lookup says nothing to match."),
        (sought(result=""), ": the lookup says no field to take."),
        (
            sought(matches=(Match(field="n", column="Nmae"),)),
            ": Nmae is not a column of the source. Nearest name: Name.",
        ),
        (sought(matches=(Match(field="n", variable="GBL_KEY"),)), ": GBL_KEY is secure and cannot be looked up."),
        (
            sought(none=NoneFound.RESTRICT),
            " would leave a line out, and it belongs to all lines. Choose another rule, or map the lookup.",
        ),
        (added("Kind", column_type=ColumnType.LIST_OPTION, choices=("a",)), ": no option is chosen."),
        (added("Kind", column_type=ColumnType.LIST_OPTION, value="b", choices=("a",)), ": b is no option of its list."),
        (added("Name", value="Name"), " has the name of a column before it. Rename it."),
        (
            added("Early", value="Late"),
            " reads Late, which does not stand before it. Remove one and add it again behind the other.",
        ),
        (
            added("Early", column_type=ColumnType.CALCULATION, value="return this._Late;"),
            " reads Late, which does not stand before it. Remove one and add it again behind the other.",
        ),
        (
            added("Early", column_type=ColumnType.CALCULATION, value="return this._Early;"),
            " reads Early, which does not stand before it. Remove one and add it again behind the other.",
        ),
    ],
)
def test_an_additional_column_that_cannot_be_computed_is_named_with_the_reason(
    column: FieldMap, complaint: str
) -> None:
    plan = replace(customers(), additional=(column, added("Late", value="Name")))

    said = sentences(
        plan,
        connections={CRM: "Demo CRM", "files": "Files"},
        searchable={CRM},
        variables={"GBL_KEY"},
        secure={"GBL_KEY"},
    )

    assert said == ([f"Additional column {column.target}{complaint}"] if complaint else [])


def test_lines_map_additional_columns_like_those_of_the_source() -> None:
    plan = with_fields(customers().lines[0].fields[0], FieldMap(target="name", value="Kind"))

    assert sentences(plan) == ["name of line Customer: Kind is not a column of the source."]
    assert sentences(replace(plan, additional=(added("Kind", value="Name"),))) == []


def test_a_line_cannot_take_the_rows_of_a_list_of_a_flat_source() -> None:
    plan = customers()

    assert sentences(replace(plan, lines=(replace(plan.lines[0], rows="items"),))) == [
        "Line Customer takes the rows of items, and the source is not read as documents."
    ]


def test_a_child_that_reads_its_parent_is_given_rows() -> None:
    task = Task(name="CHILD", type=TaskType.RUN_INTEGRATION, stage=Stage.INTEGRATION_POST_ALWAYS, integration="child")

    assert sentences(
        replace(customers(), tasks=(task,)), neighbours={"child": Neighbour(name="CHILD", from_parent=True)}
    ) == ["Task CHILD runs CHILD, which reads the rows of its parent. Choose the data to use."]


def test_set_variable_names_facts_of_the_run_that_there_are() -> None:
    task = Task(
        name="SET",
        type=TaskType.SET_VARIABLE,
        stage=Stage.INTEGRATION_PRE,
        variable="GBL_REGION",
        value="[run.number] [run.colour]",
    )

    (said,) = sentences(replace(customers(), tasks=(task,)), variables={"GBL_REGION"})

    assert said.startswith("Task SET names [run.colour]. A run has [run.number], [run.name],")
