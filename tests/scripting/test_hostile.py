"""A script that attacks costs its document and nothing else; the next document has its answer within two seconds."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.egress import lock_in
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
    "fills the memory with promises": "var s = 'x'.repeat(1e6); for (;;) { let t = s + Math.random(); "
    "Promise.resolve().then(function () { return t; }); }",
    "leaves something in an iterator's prototype": "Object.getPrototypeOf([].values().map(function (x) { return x; }))"
    ".kept = 1; return 1;",
    "leaves something in a wrapped iterator": "Object.getPrototypeOf(Iterator.from({ next() {} })).kept = 1; return 1;",
    "returns half of a character": "return '\\ud800';",
    "returns half of a character within a list": "return [{ '\\udc00': 1 }];",
    "returns hundreds of levels": "var a = []; for (var i = 0; i < 900; i++) { a = [a]; } return a;",
    "throws what looks like a refusal of ours": "throw { refused: 'x'.repeat(2e7) };",
    "has a message that never comes": "var e = new Error(); Object.defineProperty(e, 'message', "
    "{ get: function () { for (;;) {} } }); throw e;",
    "prints": "print('hello');",
    "fills the memory with buffers": "var all = []; for (;;) { all.push(new ArrayBuffer(1e7)); }",
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
        assert len(fault.sentence) < 600
        fault.sentence.encode()
    finally:
        scripts.close()


def test_memory_that_a_document_keeps_after_its_end_is_not_missing_to_the_next() -> None:
    flood = "var s = 'x'.repeat(1e6); for (;;) { let t = s + Math.random(); Promise.resolve().then(() => t); }"
    script = f"if (this._Number === 'bad') {{ try {{ {flood} }} catch (e) {{}} }}\nreturn 'x'.repeat(5e5).length;"
    found = answers(plan_of(script), *[(n, "", "") for n in ("1", "bad", "2", "3")], limits=Limits(seconds=5))
    assert [item.values for item in found[2:] if isinstance(item, Computed)] == [[500000]] * 2


@pytest.mark.parametrize("words", ["Delivery interrupted by strike", "InternalError: out of memory"])
def test_words_of_a_script_are_not_taken_for_ours(words: str) -> None:
    (fault,) = answers(plan_of(f"throw new Error({words!r});"), ("1", "", ""))
    assert isinstance(fault, Fault)
    assert fault.sentence == f"The calculation of field0 failed at line 1: Error: {words}"


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


# What a script would do that broke out of its engine: everything here is tried from within the locked-in process.
BREAK_OUT = """
import json, os, socket, sys
sys.path.append(sys.argv[1])
import lock_in

tries = {
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "write a file": lambda: os.open("/tmp/waybill-out", os.O_WRONLY | os.O_CREAT),
    "list a folder": lambda: os.listdir("/"),
    "reach the network": lambda: socket.socket().connect(("127.0.0.1", int(sys.argv[3]))),
    "open a datagram socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "open a unix socket": lambda: socket.socket(socket.AF_UNIX),
    "make a pipe": lambda: os.pipe(),
    "fork": lambda: os.fork(),
    "signal its parent": lambda: os.kill(os.getppid(), 0),
    "run a program": lambda: os.execv("/bin/true", ["true"]),
}
if sys.argv[2] == "reduced":
    lock_in.SYSTEM_CALLS = {}
    for name in ("fork", "signal its parent", "run a program"):
        del tries[name]
said = {"isolation": lock_in.lock_in(os.getppid(), address_bytes=1 << 30)}
for name, attempt in tries.items():
    try:
        attempt()
        said[name] = "done"
    except OSError:
        said[name] = "refused"
os.write(1, json.dumps(said).encode())
"""


def broken_out(isolation: str, port: int) -> dict[str, str]:
    """What came of every attempt, in a process that is locked in as a script child is."""
    done = subprocess.run(
        [sys.executable, "-c", BREAK_OUT, str(Path(lock_in.__file__).parent), isolation, str(port)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return dict(json.loads(done.stdout))


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_nothing_can_be_reached_from_within_the_child(listening: int) -> None:
    said = broken_out("full", listening)
    assert said.pop("isolation") == "full"
    assert set(said.values()) == {"refused"}, said


def test_where_system_calls_cannot_be_filtered_files_and_network_are_shut_all_the_same(listening: int) -> None:
    said = broken_out("reduced", listening)
    assert said.pop("isolation") == "reduced"
    assert set(said.values()) == {"refused"}, said
