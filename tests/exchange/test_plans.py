"""Whatever a plan can hold is exported and comes back: the test is made from the dataclasses, like the export."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from integrations.engine.plan import Lookup, Plan
from integrations.exchange.plans import REFERENCES, as_data, from_data, references, renamed
from integrations.exchange.text import NotTaken, read, written

HELD_BY_ID = ("connection", "integration", "table", "process", "sequence")
"""What a field that refers to another thing has been called so far."""
NAMED_OTHERWISE = {(Plan, "process"), (Lookup, "table")}
"""Fields that are called so and hold no public id."""


def called(kind: str, key: str) -> str:
    return f"{kind} called {key}"


def known(kind: str, name: str) -> str:
    assert name.startswith(f"{kind} called "), "a name of this kind"
    return name.removeprefix(f"{kind} called ")


def filled(hint: Any, name: str) -> Any:
    """A value of a type that is not its default, everything inside it filled in as well."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return filled(next(part for part in parts if part is not type(None)), name)
    if origin is tuple:
        return (filled(parts[0], name),)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {f"of {name}": filled(parts[1], name), f"also of {name}": filled(parts[1], name)}
    if hint is Any:
        return [f"any {name}", 7, True, None, {"deep": 1.5}]
    if is_dataclass(hint):
        return full(hint)
    if issubclass(hint, StrEnum):
        return list(hint)[-1]
    return {bool: None, int: 42, float: 4.25, str: f"a {name}\n\tof\ttwo lines \n"}[hint]


def full(kind: Any) -> Any:
    hints = get_type_hints(kind)
    values = {item.name: filled(hints[item.name], item.name) for item in fields(kind)}
    for item in fields(kind):
        if hints[item.name] is bool:
            values[item.name] = not item.default
        if values[item.name] == item.default and isinstance(values[item.name], StrEnum):
            values[item.name] = next(iter(type(values[item.name])))
    return kind(**values)


def every_part(kind: Any) -> set[Any]:
    """The dataclasses that `kind` is made of, itself among them."""
    parts = [part for hint in get_type_hints(kind).values() for part in (hint, *get_args(hint)) if is_dataclass(part)]
    return {kind}.union(*map(every_part, parts))


PARTS = sorted(every_part(Plan), key=lambda part: part.__name__)


@pytest.mark.parametrize("part", PARTS)
def test_every_field_differs_from_its_default_in_the_full_plan(part: Any) -> None:
    made = full(part)

    same = [
        item.name for item in fields(part) if item.default is not MISSING and getattr(made, item.name) == item.default
    ]
    assert same == []


def test_nothing_that_a_plan_holds_is_lost() -> None:
    plan = full(Plan)

    data = read(written(as_data(plan, called)), "it")

    assert renamed(from_data(data, plan.process, "it"), known) == plan
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("part", PARTS)
def test_a_field_that_refers_to_another_thing_is_declared(part: Any) -> None:
    hints = get_type_hints(part)
    refers = {(part, name) for name in hints if hints[name] is str and name.endswith(HELD_BY_ID)} - NAMED_OTHERWISE

    assert refers <= set(REFERENCES)
    assert all(name in hints for kind, name in REFERENCES if kind is part)


def test_a_plan_says_what_it_refers_to() -> None:
    plan = full(Plan)

    named = written(as_data(plan, called)).count(" called ")
    assert len(list(references(plan))) == named >= len(REFERENCES)


def test_defaults_are_left_out() -> None:
    data = as_data(
        from_data({"source": {"kind": "x"}, "destination": {"kind": "y", "connection": ""}}, "P", "it"), called
    )

    assert data == {"source": {"kind": "x"}, "destination": {"kind": "y", "connection": ""}}


SOURCE = {"kind": "delimited"}
DESTINATION = {"kind": "sql", "connection": ""}
LINE = {"name": "L", "target": "t"}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "it: names with values belong there"),
        ({"source": SOURCE}, "it: destination is missing. Add it."),
        ({"source": SOURCE, "destination": DESTINATION, "linse": []}, "it: “linse” is not known there. Known are process,"),
        ({"source": {"kind": 5}, "destination": DESTINATION}, "it, source, kind: a text belongs there. Put 5 into quotes."),
        ({"source": SOURCE, "destination": DESTINATION, "lines": {}}, "it, lines is no list."),
        (
            {"source": SOURCE, "destination": DESTINATION, "lines": [LINE, {**LINE, "mode": "upsret"}]},
            "it, lines 2, mode: “upsret” is none of upsert, insert, update, delete.",
        ),
        (
            {"source": SOURCE, "destination": DESTINATION, "lines": [{**LINE, "grouped": "yes"}]},
            "it, lines 1, grouped: “yes” is not true or false.",
        ),
        (
            {"source": {**SOURCE, "options": {"a": [{"b": "\x00"}]}}, "destination": DESTINATION},
            "it, source, options, a, b holds a character that is no text.",
        ),
    ],
)  # fmt: skip
def test_what_stands_where_it_does_not_belong_is_named(data: Any, sentence: str) -> None:
    with pytest.raises(NotTaken) as refused:
        from_data(data, "P", "it")

    assert refused.value.sentence.startswith(sentence)
