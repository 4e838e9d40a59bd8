"""A script that attacks, in a real run: it costs its document and nothing else, and the run goes on at once."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.engine.plan import ColumnType, FieldMap, Line
from integrations.models import DocumentOutcome, RunStatus
from tests.runs.performing import Crm, performed, process_into

pytestmark = pytest.mark.django_db(transaction=True)

GENEROUS_SECONDS = 30
"""A run of three documents of which one attacks takes under two; machines are slow and shared."""

ATTACKS = {
    "loops for ever": ("for (;;) {}", "ran longer than 1 s"),
    "loops inside one native call": ("return Array(1e9).join('x');", "was ended."),
    "backtracks in a regular expression": ("return /(a+)+b/.test('a'.repeat(40));", "was "),
    "allocates without end": ("var all = []; for (;;) { all.push(new Array(1000).fill(1)); }", "memory"),
    "fills one huge array": ("return new Array(1e9).fill(7).length;", "memory"),
    "makes one huge text": ("return 'a'.repeat(2 ** 29).length;", "memory"),
    "parses far too much": ("return JSON.parse('[' + '1,'.repeat(2e7) + '1]').length;", "memory"),
    "recurses": ("function f() { return f() + 1; } return f();", "Maximum call stack size exceeded"),
    "redefines a global": ("JSON.stringify = function () { return 'x'; }; return 1;", "failed at line 1: TypeError"),
    "poisons a prototype": ("Object.prototype.toJSON = function () { return 9; }; return 1;", "failed at line 1: TypeError"),
    "throws nothing": ("throw undefined;", "failed: threw undefined"),
    "throws a trap": ("throw new Proxy({}, { get: function () { for (;;) {} } });", "was "),
    "returns half of a character": ("return '\\ud800';", "returned half of a character"),
    "returns a function": ("return function () {};", "returned a function"),
    "returns nothing": ("return;", "gave no answer"),
    "returns far too much": ("return 'x'.repeat(2e6);", "returned more than"),
    "prints": ("console.log('x'); return 1;", "console is not defined"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        yield


@pytest.mark.parametrize(("attack", "words"), ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_costs_its_document_and_nothing_else(
    company: Company, tmp_path: Path, attack: str, words: str
) -> None:
    crm = Crm(company, tmp_path)
    script = f"if (this._CustomerNumber === 'C2') {{ {attack} }}\nreturn this._Name.toUpperCase();"
    line = Line(
        name="Customer",
        target="customers",
        keys=("customer_number",),
        fields=(
            FieldMap(target="customer_number", value="CustomerNumber"),
            FieldMap(target="name", column_type=ColumnType.CALCULATION, value=script),
        ),
    )
    began = time.monotonic()
    run = performed(process_into(crm, batch_documents=10, lines=(line,)), "C1,Anna\nC2,Ben\nC3,Cara\n")

    assert time.monotonic() - began < GENEROUS_SECONDS
    assert run.status == RunStatus.COMPLETED_WITH_ERRORS, run.reason
    assert (run.documents_created, run.documents_failed) == (2, 1)
    assert run.is_balanced
    assert crm.customers() == [("C1", "ANNA"), ("C3", "CARA")]
    (outcome,) = DocumentOutcome.objects.filter(run=run)
    assert (outcome.key, outcome.stage) == ("C2", "script")
    assert words in outcome.sentence
    assert outcome.rows == [{"number": 2, "values": {"CustomerNumber": "C2", "Name": "Ben"}}]
