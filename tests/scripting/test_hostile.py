"""A script that attacks costs its document and nothing else; the next document has its answer within two seconds."""

import os
import time
from pathlib import Path

import pytest

from integrations.engine.ports import Computed, Fault
from integrations.scripting import Limits, open_scripts
from tests.scripting.making import COLUMNS, answers, plan_of

LIMITS = Limits(seconds=0.3, grace_seconds=0.2)
GENEROUS = 2.0 + LIMITS.seconds + LIMITS.grace_seconds

HOSTILE = {
    "loops for ever": "for (;;) {}",
    "catches its own end and loops on": "for (;;) { try { for (;;) {} } catch (e) {} }",
    "loops inside one native call": "return Array(1e9).join('x');",
    "backtracks in a regular expression": "return /(a+)+b/.test('a'.repeat(40));",
    "sorts for ever": "return new Array(2e6).fill(0).sort(function () { return Math.random() - 0.5; }).length;",
    "allocates without end": "var all = []; for (;;) { all.push(new Array(1000).fill(1)); }",
    "makes an endless text": "var s = 'x'; for (;;) { s += s; }",
    "recurses": "function f() { return f() + 1; } return f();",
    "recurses through JSON": "var a = []; for (var i = 0; i < 1e6; i++) { a = [a]; } return a;",
    "throws a trap": "throw new Proxy({}, { get: function () { for (;;) {} } });",
    "throws what cannot be shown": "throw { toString: function () { throw 1; } };",
    "returns a trap": "return { toJSON: function () { for (;;) {} } };",
    "returns too much": "return 'x'.repeat(2e6);",
    "returns an endless getter": "return { get a() { return this.a; } };",
    "redefines a global": "JSON.stringify = function () { return 'x'; }; return 1;",
    "poisons a prototype": "Array.prototype.map = function () { return 'x'; }; return 1;",
    "poisons every object": "Object.prototype.then = function () {}; return 1;",
    "poisons through a constructor": "(function () {}).constructor.prototype.call = null; return 1;",
    "adds a global": "globalThis.leak = 1; return 1;",
    "never settles": "return new Promise(function () {});",
}


@pytest.mark.parametrize("attack", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_attack_costs_its_own_document(attack: str) -> None:
    script = (
        f"if (this._Number === 'bad') {{ {attack} }}\nreturn JSON.stringify([3, 4].map(function (n) {{ return n; }}));"
    )
    scripts = open_scripts(plan_of(script), COLUMNS, limits=LIMITS)
    try:
        found = scripts.evaluate([[[[number, "", ""]]] for number in ("1", "2", "bad", "3", "4")])
        before = [next(found), next(found)]
        fault = next(found)
        began = time.monotonic()
        after = [next(found), next(found)]
        assert time.monotonic() - began < GENEROUS
        assert before == after == [[[Computed(True, ["[3,4]"])]]] * 2
        assert isinstance(fault, Fault), fault
        assert fault.sentence.endswith(".") or "failed" in fault.sentence
    finally:
        scripts.close()


def test_documents_of_one_message_that_all_attack_are_told_apart() -> None:
    script = "if (this._Number === 'bad') { return Array(1e9).join('x'); } return this._Number;"
    found = answers(plan_of(script), *[(n, "", "") for n in ("1", "bad", "2", "bad", "3")], limits=LIMITS)
    assert [item.values if isinstance(item, Computed) else "fault" for item in found] == [
        ["1"],
        "fault",
        ["2"],
        "fault",
        ["3"],
    ]


@pytest.mark.parametrize(
    "name", ["std", "os", "require", "process", "fetch", "XMLHttpRequest", "WebAssembly", "Worker", "Atomics", "print"]
)
def test_a_script_finds_nothing_of_its_host(name: str) -> None:
    (found,) = answers(plan_of(f"return typeof {name};"), ("1", "", ""))
    assert found == Computed(True, ["undefined"])


def test_a_child_that_was_killed_from_outside_is_replaced_without_a_culprit() -> None:
    scripts = open_scripts(plan_of("return this._Number;"), COLUMNS)
    try:
        os.kill(scripts._child._process.pid, 9)
        time.sleep(0.1)
        assert list(scripts.evaluate([[[["1", "", ""]]]])) == [[[Computed(True, ["1"])]]]
    finally:
        scripts.close()


def test_the_child_holds_no_file_but_its_pipes() -> None:
    scripts = open_scripts(plan_of("return 1;"), COLUMNS)
    try:
        pid = scripts._child._process.pid
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        assert Path(f"/proc/{pid}/environ").stat().st_size == 0
    finally:
        scripts.close()
    assert not Path(f"/proc/{pid}").exists()
