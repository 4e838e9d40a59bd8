"""No script gets out of its engine, and nothing that a document does to the world is seen by another one."""

import json
import os
from collections.abc import Iterator

import pytest

from integrations.engine.ports import Computed, Fault
from tests.scripting.escapes import CHANGES, HOSTS, MODULES, ROADS, WORLDS
from tests.scripting.making import answers, plan_of

CANARY = "canary-5f1d0c"

TRIED = """
var found;
try { found = (0, eval)(this._Number); } catch (error) { return "threw " + error; }
if (found === undefined) { return "undefined"; }
if (found === globalThis) { return "the global object"; }
try { return String(JSON.stringify(found)).slice(0, 5000); } catch (error) { return "cannot be shown"; }
"""
"""Evaluates the text of a document, and gives what it came to."""

NOTHING_LEFT = """
var text = JSON.stringify([typeof leak, typeof leaks, ({}).leak, ({}).then, [3].map(function (n) { return n + 1; }),
    /a/.exec("a"), Math.max(1, 2), "\\ud800".isWellFormed(), typeof Object, Array.from(new Set([1])),
    Object.getPrototypeOf(this).leak, String(Symbol("s")), (function () { return 7; }).call(null)]);
return text;
"""
UNTOUCHED = json.dumps(
    ["undefined", "undefined", None, None, [4], ["a"], 2, False, "function", [1], None, "Symbol(s)", 7],
    separators=(",", ":"),
)

POISON = """
var seen = [], waiting = [globalThis, Object.getPrototypeOf([].values()), Object.getPrototypeOf(function* () {}), this];
function poison() { return "poisoned"; }
function at(what, work) { try { work(); } catch (error) { } }
while (waiting.length) {
    var item = waiting.pop();
    if (item === null || (typeof item !== "object" && typeof item !== "function") || seen.indexOf(item) !== -1) { continue; }
    seen.push(item);
    Reflect.ownKeys(item).forEach(function (key) {
        var kept;
        at("read", function () { kept = Object.getOwnPropertyDescriptor(item, key); });
        if (kept) { waiting.push(kept.value, kept.get, kept.set); }
        at("write", function () { item[key] = poison; });
        at("define", function () { Object.defineProperty(item, key, { value: poison, configurable: true }); });
        at("delete", function () { delete item[key]; });
    });
    at("add", function () { item.poisoned = poison; });
    at("inherit", function () { Object.setPrototypeOf(item, { poisoned: poison }); });
}
return seen.length;
"""


@pytest.fixture
def canary() -> Iterator[None]:
    """A word in this process's environment, which the child's parent has and the child must not give away."""
    os.environ["WAYBILL_CANARY"] = CANARY
    yield
    del os.environ["WAYBILL_CANARY"]


def came_of(*expressions: str) -> list[str]:
    """What each expression came to, in a document of its own between others that hold the canary."""
    rows = [row for text in expressions for row in (("1", CANARY, CANARY), (text, "", ""))]
    found = answers(plan_of(TRIED), *rows)[1::2]
    return [str(item.sentence if isinstance(item, Fault) else item.values[0]) for item in found]


@pytest.mark.usefixtures("canary")
def test_every_way_out_ends_in_the_language_and_shows_nothing_of_the_host() -> None:
    expressions = [*ROADS, *WORLDS, *MODULES]
    for text, came in zip(expressions, came_of(*expressions), strict=True):
        for word in (CANARY, "root:", "/tmp", "site-packages", ".py", "WAYBILL", "passwd:"):
            assert word not in came, (text, came)


def test_the_names_of_hosts_mean_nothing() -> None:
    expressions = [f"typeof {name}" for name in HOSTS]
    assert dict(zip(HOSTS, came_of(*expressions), strict=True)) == dict.fromkeys(HOSTS, '"undefined"')


def test_the_global_object_reached_by_any_road_lacks_the_names_of_hosts() -> None:
    # A function has a property `arguments` in sloppy code, and one that throws in strict code: neither is the host's.
    names = json.dumps([name for name in HOSTS if name != "arguments"])
    looked = "(function (world) {{ return {}.filter(function (name) {{ return name in Object(world); }}); }})({})"
    for road, came in zip(ROADS, came_of(*[looked.format(names, road) for road in ROADS]), strict=True):
        assert came == "[]" or came.startswith("threw"), (road, came)


def test_no_module_is_loaded() -> None:
    for text, came in zip(MODULES, came_of(*MODULES), strict=True):
        assert came == "{}" or came.startswith("threw"), (text, came)


def test_a_change_to_the_world_fails_or_ends_with_its_document() -> None:
    script = f"if (this._Number) {{ (0, eval)(this._Number); return ''; }}\n{NOTHING_LEFT}"
    rows = [(text, "", "") for change in CHANGES for text in (change, "")]
    found = answers(plan_of(script), *rows)
    after = found[1::2]
    for change, item in zip(CHANGES, after, strict=True):
        assert item == Computed(True, [UNTOUCHED]), change


def test_a_document_that_poisons_everything_it_can_reach_is_not_noticed_by_the_next() -> None:
    script = f"if (this._Number === 'bad') {{ {POISON} }}\n{NOTHING_LEFT}"
    found = answers(plan_of(script), *[(("bad", "good")[n % 2], "", "") for n in range(1_000)])
    poisoners = [item for item in found[::2] if isinstance(item, Computed)]
    assert poisoners and all(item.values[0] > 500 for item in poisoners), "it reaches the whole language"
    assert set(map(str, found[1::2])) == {str(Computed(True, [UNTOUCHED]))}


def test_the_set_is_as_large_as_it_says() -> None:
    assert len({*HOSTS, *ROADS, *WORLDS, *MODULES, *CHANGES}) >= 150
