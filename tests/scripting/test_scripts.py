"""What a designer may rely on in a script."""

import pytest

from integrations.engine.errors import DefinitionError
from integrations.engine.ports import Computed, Fault
from integrations.scripting.check import Severity, check_script, looked_up, mended
from integrations.scripting.names import mentioned, token
from tests.scripting.making import COLUMNS, answers, calculated, plan_of


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ("return this._Name;", "Acme"),
        ("return this._Zip_Code;", "00123"),
        ('return this["Zip Code"];', "00123"),
        ("return Number(this._Zip_Code) / 2;", 61.5),
        ("return this._Name === 'Acme';", True),
        ("return null;", None),
        ("var total = 0; for (var i = 0; i < 3; i++) { total += i; } return total;", 3),
        ("return [1, 2].map(function (n) { return n * 2; });", [2, 4]),
        ("return 10n ** 20n;", "100000000000000000000"),
        ("return new Date(Date.UTC(2026, 0, 31)).toISOString().slice(0, 10);", "2026-01-31"),
        ("return Object.keys(this).length;", 3),
    ],
)
def test_a_calculation_gives_its_value(script: str, value: object) -> None:
    assert calculated(script) == value


def test_a_restriction_sends_or_leaves_out() -> None:
    plan = plan_of("return this._Number;", restriction="return this._Name !== 'x';")
    assert answers(plan, ("1", "x", ""), ("2", "y", "")) == [Computed(False, []), Computed(True, ["2"])]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("var a = 1;", "The calculation of field0 gave no answer: it ends without a return."),
        ("return Number('x');", "The calculation of field0 returned NaN, which is no value."),
        ("return function () {};", "The calculation of field0 must return a value, and it returned a function."),
        ("return Promise.resolve(1);", "The calculation of field0 returned a promise: a script answers at once."),
        ("var a = 1;\nreturn b.c;", "The calculation of field0 failed at line 2: ReferenceError: b is not defined"),
        (
            "undeclared = 1; return 1;",
            "The calculation of field0 failed at line 1: ReferenceError: undeclared is not defined",
        ),
        ("throw 'no';", "The calculation of field0 failed: threw no"),
        ("throw null;", "The calculation of field0 failed: threw null, as also happens when memory runs out"),
    ],
)
def test_a_script_without_a_proper_answer_says_what_and_where(script: str, sentence: str) -> None:
    assert calculated(script) == sentence


def test_a_restriction_must_say_true_or_false() -> None:
    (fault,) = answers(plan_of(restriction="return 'yes';"), ("1", "", ""))
    assert isinstance(fault, Fault)
    assert fault.sentence == 'The restriction of Customer must return true or false, and it returned "yes".'


def test_nothing_survives_a_script() -> None:
    plan = plan_of("this.kept = (this.kept || 0) + 1; return this.kept;")
    assert [
        answer.values for answer in answers(plan, ("1", "", ""), ("2", "", "")) if isinstance(answer, Computed)
    ] == [
        [1],
        [1],
    ]


def test_a_script_that_cannot_be_compiled_is_a_fault_of_the_definition() -> None:
    with pytest.raises(DefinitionError, match="cannot be compiled"):
        answers(plan_of("return ;;)"), ("1", "", ""))


def test_the_child_is_locked_in() -> None:
    from integrations.scripting import open_scripts

    scripts = open_scripts(plan_of("return 1;"), COLUMNS)
    try:
        assert scripts.isolation == "full"
    finally:
        scripts.close()


def test_only_columns_that_scripts_look_at_cross_to_the_child() -> None:
    assert mentioned(["return this._Name;"], COLUMNS) == [1]
    assert mentioned(["return f(this);"], COLUMNS) == [0, 1, 2]
    assert mentioned(["return 1;"], COLUMNS) == []
    assert mentioned(["return this\n._Zip_Code"], COLUMNS) == [2]


def test_a_column_is_called_by_its_token() -> None:
    assert token("Zip Code (US)") == "_Zip_Code__US_"


def test_a_syntax_error_is_found_at_its_line_before_anything_runs() -> None:
    (complaint,) = check_script("var a = 1;\nvar b = ;", needs_return=True)
    assert (complaint.line, complaint.severity) == (2, Severity.ERROR)


def test_a_missing_return_is_a_warning() -> None:
    (complaint,) = check_script("// return\nvar a = 'return';", needs_return=True)
    assert complaint.severity is Severity.WARNING
    assert check_script("return 1", needs_return=True) == []


@pytest.mark.parametrize("escape", ["})(); for(;;); (function () {", "} for(;;); function f() {", "}}; for(;;); {{"])
def test_checking_a_script_never_runs_what_stands_behind_its_end(escape: str) -> None:
    (complaint,) = check_script(escape, needs_return=False)
    assert complaint.severity is Severity.ERROR
    assert "interrupted" not in complaint.sentence


def test_a_script_that_runs_while_it_is_compiled_ends_in_a_sentence() -> None:
    with pytest.raises(DefinitionError, match="cannot be compiled"):
        answers(plan_of("})(); for(;;); (function () {"), ("1", "", ""))


def test_checking_a_script_never_runs_it() -> None:
    assert check_script("for(;;); return 1", needs_return=True) == []


def test_typographic_quotes_are_named_and_can_be_mended() -> None:
    (complaint,) = check_script("return “a”;", needs_return=True)
    assert "typographic" in complaint.sentence
    assert mended("return “a” + '“';") == "return \"a\" + '“';"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("return this._Name;\nreturn this._Name;", [(1, "this._Name")]),
        ('\nreturn this . _Name + this["Zip Code"];', [(2, "this._Name"), (2, 'this["Zip Code"]')]),
        ("// this._A\n/* this._B\n */ return 'this._C' + this.GBL_D;", [(3, "this.GBL_D")]),
        ("this._own = 1; return this._own === 1;", []),
        ("return this._a == 1 && this._b <= 2;", [(1, "this._a"), (1, "this._b")]),
        ("return this.run.number;", [(1, "this.run")]),
        ("return Object.keys(this).length;", []),
    ],
)
def test_a_script_tells_what_it_looks_up_and_where(script: str, found: list[tuple[int, str]]) -> None:
    assert looked_up(script) == found
