"""Where the value of a target field comes from: one row for each column type and for each of its ways to end."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from integrations.engine.batch import Bucket, Document
from integrations.engine.errors import DefinitionError
from integrations.engine.inputs import Inputs, Parent, Table
from integrations.engine.mapping import Mapper
from integrations.engine.plan import (
    Aggregate,
    Column,
    ColumnType,
    DateCalculation,
    DateUnit,
    DayOfMonth,
    FieldMap,
    Lookup,
    ManyFound,
    Match,
    NoMatch,
    NoneFound,
    Plan,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Translation,
    ValueType,
)
from integrations.engine.ports import TaskEnd
from integrations.engine.variables import Variables
from tests.engine.fakes import Functions, Hooks, Ledger, Rows, Tables, World, customers, run

COLUMNS = ("Number", "Name")
VALUES = {
    "GBL_REGION": "North",
    "GBL_COUNT": 3,
    "GBL_RATE": "0.5",
    "GBL_LIST": ["a", 1],
    "GBL_BLANK": "",
    "GBL_NO": None,
}

START = datetime(2026, 1, 31, 14, 30)
TABLES = {
    "countries": Table(name="Countries", rows={"DE": "Germany", "FR": "France"}),
    "with_blank": Table(name="With blank", rows={"": "none", "one": "1"}),
    "rates": Table(name="Rates", rows={"full": "19.5"}),
}


KNOWN: dict[tuple[str, ...], list[str | None]] = {
    ("DE",): ["49"],
    ("XY",): ["2026-01-31"],
    ("two",): ["1", "2"],
    ("null",): [None],
    ("DE", "North"): ["0049"],
}


def mapped(
    field: FieldMap,
    *rows: list[str],
    column: Column | None = None,
    lookups: Tables | None = None,
    parent: Parent | None = None,
    **ports: Any,
) -> tuple[list[Any], dict[str, str]]:
    """What a run sends of `field` for these rows, and the sentence of each document that fails."""
    world, ledger = World(size=100), Ledger()
    source = SourceSpec(kind="listed", columns=(Column(name="Number"), column or Column(name="Name")))
    plan = customers(source=source, fields=(FieldMap(target="number", value="Number"), field))
    plan = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    outcome = run(
        plan,
        Rows(COLUMNS, rows),
        world,
        ledger,
        variables=Variables(VALUES),
        tables=TABLES,
        started_at=START,
        lookups=lookups or Tables(KNOWN),
        parent=parent,
        **ports,
    )
    assert ledger.balances(), outcome
    return [record[1] for segment in world.records for record in segment[0]], ledger.sentences


def translated(no_match: NoMatch = NoMatch.ERROR, default: str = "", table: str = "countries", **more: Any) -> FieldMap:
    how = Translation(table=table, no_match=no_match, default=default)
    return FieldMap(target="field", column_type=ColumnType.TRANSLATION, value="Name", translation=how, **more)


def variable(name: str, **more: Any) -> FieldMap:
    return FieldMap(target="field", column_type=ColumnType.GLOBAL_VARIABLE, value=name, **more)


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        (FieldMap(target="field", value="Name"), "Anna"),
        (FieldMap(target="field", column_type=ColumnType.CONSTANT, value=" x "), " x "),
        (variable("GBL_REGION"), "North"),
        (variable("GBL_COUNT"), "3"),
        (variable("GBL_COUNT", type=ValueType.INTEGER), 3),
        (variable("GBL_RATE", type=ValueType.DECIMAL), Decimal("0.5")),
        (variable("GBL_LIST"), '["a", 1]'),
        (variable("GBL_BLANK"), ""),
        (variable("GBL_BLANK", type=ValueType.DATE), None),
        (variable("GBL_NO"), None),
        (FieldMap(target="field", column_type=ColumnType.LIST_OPTION, value="b", choices=("a", "b")), "b"),
        (
            FieldMap(
                target="field", column_type=ColumnType.LIST_OPTION, value="7", choices=("7",), type=ValueType.INTEGER
            ),
            7,
        ),
    ],
)
def test_a_field_takes_its_value_from_where_its_column_type_says(field: FieldMap, sent: Any) -> None:
    assert mapped(field, ["1", "Anna"]) == ([sent], {})


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        (
            variable("GBL_REGION", type=ValueType.INTEGER),
            "“North” in GBL_REGION of row 1 is not a whole number such as 42, which field needs.",
        ),
        (variable("GBL_BLANK", required=True), "GBL_BLANK is blank in row 1, and field is required."),
    ],
)
def test_a_value_that_does_not_fit_fails_its_document(field: FieldMap, sentence: str) -> None:
    assert mapped(field, ["1", "Anna"]) == ([], {"1": sentence})


def test_a_variable_that_the_run_does_not_have_ends_it_before_anything_is_sent() -> None:
    with pytest.raises(DefinitionError, match="field takes GBL_GONE, and there is no such global variable"):
        Mapper(customers(fields=(variable("GBL_GONE"),)), COLUMNS, None, Inputs(variables=Variables(VALUES)))


def test_a_field_has_the_value_that_the_scripts_of_its_own_document_left() -> None:
    variables = Variables({"GBL_SEEN": ""})

    def note(row: list[str]) -> tuple[bool, list[Any]]:
        variables.update({"GBL_SEEN": row[0]})
        return True, [row[0]]

    script = FieldMap(
        target="name", column_type=ColumnType.CALCULATION, value="this.GBL_SEEN = this._Number; return 1;"
    )
    plan = customers(fields=(script, variable("GBL_SEEN")))
    world, ledger = World(size=100, settles=True), Ledger()
    run(
        plan,
        Rows(COLUMNS, [["1", ""], ["2", ""], ["3", ""]]),
        world,
        ledger,
        scripts=Functions(note),
        variables=variables,
    )
    assert world.records == [[[["1", "1"], ["2", "2"], ["3", "3"]]]]
    assert ledger.counts == {Bucket.CREATED: 3}


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        (translated(), "DE", "Germany"),
        (translated(table="with_blank"), "", "none"),
        (translated(table="with_blank", type=ValueType.INTEGER), "one", 1),
        (translated(NoMatch.KEEP), "de", "de"),
        (translated(NoMatch.KEEP), "DE ", "DE "),
        (translated(NoMatch.KEEP), "", ""),
        (translated(NoMatch.KEEP, type=ValueType.INTEGER), "007", 7),
        (translated(NoMatch.BLANK), "XX", ""),
        (translated(NoMatch.BLANK, type=ValueType.INTEGER), "XX", None),
        (translated(NoMatch.DEFAULT, "Elsewhere"), "XX", "Elsewhere"),
        (translated(NoMatch.DEFAULT, "Elsewhere"), "", "Elsewhere"),
        (translated(NoMatch.DEFAULT, "0.5", type=ValueType.DECIMAL), "XX", Decimal("0.5")),
    ],
)
def test_a_translation_matches_exactly_and_does_what_its_rule_says_otherwise(
    field: FieldMap, value: str, sent: Any
) -> None:
    assert mapped(field, ["1", value]) == ([sent], {})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (translated(), "de", "“de” in Name of row 1 is not in the translation table Countries."),
        (translated(), "", "The blank Name of row 1 is not in the translation table Countries."),
        (translated(), " ", "“ ” in Name of row 1 is not in the translation table Countries."),
        (
            translated(type=ValueType.DATE),
            "DE",
            "“Germany” in Name (translated by Countries) of row 1 is not a date such as 2026-11-24, which field needs.",
        ),
        (translated(NoMatch.BLANK, required=True), "XX", "Name is blank in row 1, and field is required."),
        (
            translated(NoMatch.DEFAULT, "x", type=ValueType.INTEGER),
            "XX",
            "“x” in Name (translated by Countries) of row 1 is not a whole number such as 42, which field needs.",
        ),
    ],
)
def test_a_translation_that_fails_names_value_column_and_table(field: FieldMap, value: str, sentence: str) -> None:
    assert mapped(field, ["1", value]) == ([], {"1": sentence})


def test_a_failed_translation_costs_its_own_document_only() -> None:
    sent, problems = mapped(translated(), ["1", "DE"], ["2", "XX"], ["3", "FR"])
    assert sent == ["Germany", "France"] and list(problems) == ["2"]


def test_a_kept_value_is_read_in_the_form_of_its_column_and_a_translated_one_is_not() -> None:
    rate = translated(NoMatch.KEEP, table="rates", type=ValueType.DECIMAL)
    column = Column(name="Name", type=ValueType.DECIMAL, format=",")
    assert mapped(rate, ["1", "full"], ["2", "1,5"], column=column) == ([Decimal("19.5"), Decimal("1.5")], {})


def test_a_table_that_is_gone_ends_the_run_before_anything_is_sent() -> None:
    with pytest.raises(DefinitionError, match="The translation table of field no longer exists"):
        Mapper(customers(fields=(translated(table="gone"),)), COLUMNS, None, Inputs(tables=TABLES))


def dated(amount: int = 0, unit: str = "days", day: str = "same", *, start: bool = False, **more: Any) -> FieldMap:
    how = DateCalculation(of_start=start, amount=amount, unit=DateUnit(unit), day=DayOfMonth(day))
    parts: dict[str, Any] = {"type": ValueType.DATE, **more}
    return FieldMap(
        target="field", column_type=ColumnType.DATE_CALCULATION, value="" if start else "Name", date=how, **parts
    )


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        (dated(), "2026-11-24", date(2026, 11, 24)),
        (dated(14), "2026-11-24", date(2026, 12, 8)),
        (dated(-1, "weeks"), "2026-01-03", date(2025, 12, 27)),
        (dated(1, "months"), "2026-01-31", date(2026, 2, 28)),
        (dated(1, "months"), "2028-01-30", date(2028, 2, 29)),
        (dated(-1, "months"), "2026-03-31", date(2026, 2, 28)),
        (dated(12, "months"), "2026-12-31", date(2027, 12, 31)),
        (dated(-11, "months"), "2026-11-24", date(2025, 12, 24)),
        (dated(1, "years"), "2028-02-29", date(2029, 2, 28)),
        (dated(-4, "years"), "2028-02-29", date(2024, 2, 29)),
        (dated(day="first"), "2026-11-24", date(2026, 11, 1)),
        (dated(day="last"), "2028-02-01", date(2028, 2, 29)),
        (dated(1, "months", "last"), "2026-01-31", date(2026, 2, 28)),
        (dated(1, day="first"), "2026-01-31", date(2026, 2, 1)),
        (dated(1, type=ValueType.TEXT), "2026-12-31", "2027-01-01"),
        (dated(1, type=ValueType.DATETIME), "2026-12-31", datetime(2027, 1, 1)),
        (dated(1, type=ValueType.DATETIME), "2026-12-31 23:15:00", datetime(2027, 1, 1, 23, 15)),
        (dated(1), "2026-12-31 23:15:00", date(2027, 1, 1)),
        (dated(7), "", None),
        (dated(7, type=ValueType.TEXT), " ", ""),
        (dated(start=True), "not read", date(2026, 1, 31)),
        (dated(1, "months", start=True, type=ValueType.DATETIME), "", datetime(2026, 2, 28, 14, 30)),
        (dated(day="first", start=True, type=ValueType.TEXT), "", "2026-01-01"),
    ],
)
def test_a_date_is_moved_and_month_ends_clamp(field: FieldMap, value: str, sent: Any) -> None:
    assert mapped(field, ["1", value]) == ([sent], {})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (dated(1), "31.12.2026", "is not a date and time such as 2026-11-24 14:30:00, which field needs."),
        (dated(1, "years"), "9999-06-01", "is not a date that stays within the years 1 to 9999, which field needs."),
        (
            dated(-3000, "years"),
            "2026-06-01",
            "is not a date that stays within the years 1 to 9999, which field needs.",
        ),
        (dated(1), "9999-12-31", "is not a date that stays within the years 1 to 9999, which field needs."),
    ],
)
def test_a_date_that_cannot_be_calculated_fails_its_document(field: FieldMap, value: str, sentence: str) -> None:
    assert mapped(field, ["1", value]) == ([], {"1": f"“{value}” in Name of row 1 {sentence}"})


def test_a_blank_date_of_a_required_field_fails_its_document() -> None:
    sent, problems = mapped(dated(1, required=True), ["1", ""])
    assert (sent, problems) == ([], {"1": "Name is blank in row 1, and field is required."})


@pytest.mark.parametrize(
    ("column", "value", "sent"),
    [
        (Column(name="Name", type=ValueType.DATE, format="DMY"), "31.12.2026", date(2027, 1, 1)),
        (Column(name="Name", format="MM/DD/YYYY"), "12/31/2026", date(2027, 1, 1)),
        (Column(name="Name", type=ValueType.DATE), "2026-12-31", date(2027, 1, 1)),
    ],
)
def test_a_date_is_read_in_the_form_of_its_column(column: Column, value: str, sent: Any) -> None:
    assert mapped(dated(1), ["1", value], column=column) == ([sent], {})


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        (dated(type=ValueType.INTEGER), "field is integer, and a date calculation gives a date"),
        (dated(9_000, "years", start=True), "field is not a date that stays within the years 1 to 9999"),
    ],
)
def test_a_date_calculation_that_can_never_be_ends_the_run(field: FieldMap, sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        Mapper(customers(fields=(field,)), COLUMNS, None, Inputs(started_at=START))


def test_an_option_that_is_not_in_its_list_ends_the_run() -> None:
    field = FieldMap(target="field", column_type=ColumnType.LIST_OPTION, value="c", choices=("a", "b"))
    with pytest.raises(DefinitionError, match="“c” is no option of field"):
        Mapper(customers(fields=(field,)), COLUMNS, None)


def looked_up(none: str = "fail", many: str = "fail", default: str = "", **more: Any) -> FieldMap:
    how = Lookup(
        connection="c",
        table="countries",
        matches=more.pop("matches", (Match(field="code", column="Name"),)),
        result="prefix",
        none=NoneFound(none),
        many=ManyFound(many),
        default=default,
    )
    return FieldMap(target="field", column_type=ColumnType.LOOKUP, lookup=how, **more)


BOTH = (Match(field="code", column="Name"), Match(field="region", variable="GBL_REGION"))


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        (looked_up(), "DE", ["49"]),
        (looked_up(type=ValueType.INTEGER), "DE", [49]),
        (looked_up(type=ValueType.DATE), "XY", [date(2026, 1, 31)]),
        (looked_up(matches=BOTH), "DE", ["0049"]),
        (looked_up(), "null", [None]),
        (looked_up("default", default="none"), "FR", ["none"]),
        (looked_up("default", default="0", type=ValueType.INTEGER), "FR", [0]),
        (looked_up("restrict"), "FR", []),
        (looked_up("restrict", required=True), "FR", []),
        (looked_up("restrict"), "DE", ["49"]),
        (looked_up(many="first"), "two", ["1"]),
        (looked_up(many="default", default="many"), "two", ["many"]),
        (looked_up(many="restrict"), "two", []),
    ],
)
def test_a_lookup_sends_what_it_finds_and_does_what_its_rules_say_otherwise(
    field: FieldMap, value: str, sent: list[Any]
) -> None:
    assert mapped(field, ["1", value]) == (sent, {})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (looked_up(), "FR", "“FR” in Name of row 1 is not found in countries."),
        (looked_up(), "", "“” in Name of row 1 is not found in countries."),
        (looked_up(), "two", "“two” in Name of row 1 is found 2 times in countries, and one is expected."),
        (
            looked_up(matches=BOTH),
            "FR",
            "“FR” in Name and “North” in GBL_REGION of row 1 is not found in countries.",
        ),
        (
            looked_up(type=ValueType.INTEGER),
            "XY",
            "“2026-01-31” in field (looked up in countries) of row 1 is not a whole number such as 42.",
        ),
        (looked_up(required=True), "null", "field is blank in row 1, and field is required."),
    ],
)
def test_a_lookup_that_fails_its_document_says_what_was_sought_and_where(
    field: FieldMap, value: str, sentence: str
) -> None:
    assert mapped(field, ["1", value]) == ([], {"1": sentence})


def test_what_is_looked_up_for_many_records_is_one_question_and_never_asked_again() -> None:
    tables = Tables(KNOWN)
    rows = [[str(number), "DE" if number % 2 else "FR"] for number in range(2_500)]

    sent, problems = mapped(looked_up("default", default="none"), *rows, lookups=tables)

    assert (len(sent), problems) == (2_500, {})
    assert tables.asked == [[("FR",), ("DE",)]]


def test_what_a_task_of_the_document_before_left_is_found() -> None:
    rows: dict[tuple[str, ...], list[str | None]] = {}

    class Leaves(Hooks):
        def at(self, stage: Stage, document: Document | None = None) -> TaskEnd:
            rows[("DE",)] = ["49"]
            return super().at(stage, document)

    adds = Task(name="ADD", type=TaskType.RUN_SQL, stage=Stage.DOCUMENT_POST_SUCCESS, connection="c", statement="x")
    number = FieldMap(target="number", value="Number")
    plan = customers(tasks=(adds,), fields=(number, looked_up("default", default="none")))
    world = World()

    run(
        plan, Rows(COLUMNS, [["1", "DE"], ["2", "DE"]]), world, Ledger(), tasks=Leaves(adds.stage), lookups=Tables(rows)
    )

    assert [record for segment in world.records for record in segment[0]] == [["1", "none"], ["2", "49"]]


# ---- additional columns ----------------------------------------------------------------------------------------------


def added(name: str, value: str, **more: Any) -> FieldMap:
    return FieldMap(target=name, value=value, **more)


def widened(
    *additional: FieldMap, field: str, rows: list[list[str]], line: dict[str, Any] | None = None, **ports: Any
) -> tuple[list[Any], dict[str, str]]:
    """What a run sends of the column `field` where the process has these additional columns."""
    world, ledger = World(size=100), Ledger()
    fields = (FieldMap(target="number", value="Number"), FieldMap(target="field", value=field))
    plan = Plan.from_json(
        json.loads(json.dumps(customers(additional=additional, fields=fields, line=line or {}).to_json()))
    )
    ports = {"variables": Variables(VALUES), "tables": TABLES, "started_at": START, "lookups": Tables(KNOWN)} | ports
    outcome = run(plan, Rows(COLUMNS, rows), world, ledger, **ports)
    assert ledger.balances(), outcome
    return [record[1] for segment in world.records for record in segment[0]], ledger.sentences


ADDED = "Added"


@pytest.mark.parametrize(
    ("column", "sent"),
    [
        (added(ADDED, "Name"), "DE"),
        (added(ADDED, "x", column_type=ColumnType.CONSTANT), "x"),
        (added(ADDED, "GBL_COUNT", column_type=ColumnType.GLOBAL_VARIABLE), "3"),
        (
            added(ADDED, "Name", column_type=ColumnType.TRANSLATION, translation=Translation(table="countries")),
            "Germany",
        ),
        (
            added(
                ADDED,
                "",
                column_type=ColumnType.DATE_CALCULATION,
                type=ValueType.DATE,
                date=DateCalculation(of_start=True),
            ),
            "2026-01-31",
        ),
        (added(ADDED, "", column_type=ColumnType.LOOKUP, lookup=looked_up().lookup), "49"),
        (added(ADDED, "b", column_type=ColumnType.LIST_OPTION, choices=("a", "b")), "b"),
        (added(ADDED, "1.50", column_type=ColumnType.CONSTANT, type=ValueType.DECIMAL), "1.50"),
    ],
)
def test_an_additional_column_of_any_type_is_mapped_like_one_of_the_source(column: FieldMap, sent: str) -> None:
    assert widened(column, field=ADDED, rows=[["1", "DE"]]) == ([sent], {})


def test_an_additional_column_may_read_the_ones_before_it() -> None:
    country = added("Country", "Code", column_type=ColumnType.TRANSLATION, translation=Translation(table="countries"))

    assert widened(added("Code", "Name"), country, field="Country", rows=[["1", "DE"]]) == (["Germany"], {})


def test_an_additional_column_that_reads_a_later_one_ends_the_run() -> None:
    plan = customers(additional=(added("A", "B"), added("B", "Name")))
    with pytest.raises(DefinitionError, match="A reads B, which is no column of the source and no additional column"):
        Mapper(plan, COLUMNS, None)


def test_additional_columns_are_computed_for_each_row_and_reduced_like_the_others() -> None:
    prefix = added("Prefix", "", column_type=ColumnType.LOOKUP, lookup=looked_up("default", default="1").lookup)
    rows = [["1", "DE"], ["1", "FR"], ["2", "FR"]]

    assert widened(prefix, field="Prefix", rows=rows, line={"aggregates": {"Prefix": Aggregate.SUM}}) == (
        ["50", "1"],
        {},
    )


def test_a_row_whose_additional_column_fails_costs_its_own_document() -> None:
    country = added("Country", "Name", column_type=ColumnType.TRANSLATION, translation=Translation(table="countries"))

    sent, problems = widened(country, field="Country", rows=[["1", "DE"], ["2", "XX"]])

    assert sent == ["Germany"]
    assert problems == {"2": "“XX” in Name of row 2 is not in the translation table Countries."}
