"""A plan as plain data that people read: what is left at its default is left out, and things are called by name.

Derived from the dataclasses of `engine.plan`, so that what a plan learns to hold is exported the day it can hold it.
"""

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from integrations.engine.plan import DestinationSpec, FieldMap, Lookup, Plan, Prompt, SourceSpec, Task, Translation
from integrations.engine.secure import HANDLE
from integrations.exchange.text import NotTaken

Rename = Callable[[str, str], str]
"""(kind of thing, its name or public id) → the other of the two."""

CONNECTION, VARIABLE, TABLE, PROCESS = "connection", "global variable", "translation table", "process"
SEQUENCE = "rolling number"
REFERENCES: Mapping[tuple[type, str], str] = {
    (SourceSpec, "connection"): CONNECTION,
    (DestinationSpec, "connection"): CONNECTION,
    (Task, "connection"): CONNECTION,
    (Task, "to_connection"): CONNECTION,
    (Task, "integration"): PROCESS,
    (Lookup, "connection"): CONNECTION,
    (Translation, "table"): TABLE,
    (FieldMap, "sequence"): SEQUENCE,
    (Prompt, "table"): TABLE,
    (Prompt, "connection"): CONNECTION,
}
"""The fields of a plan that hold the public id of another thing of the company."""


def as_data(plan: Plan, name_of: Rename) -> dict[str, Any]:
    """Give `plan` as data, things by their names. The name of the process itself stands outside of its plan."""
    data: dict[str, Any] = _plain(plan, name_of)
    del data["process"]
    return data


def from_data(data: Any, process: str, where: str) -> Plan:
    """Read what `as_data` gave, things still by their names. Raises `NotTaken`, which says after `where` what stands
    where it does not belong."""
    given = {**_mapping(data, where), "process": process}
    return cast(Plan, _dataclass(Plan, given, where))


def renamed(plan: Plan, rename: Rename) -> Plan:
    """Give `plan` with everything that it refers to under its other name."""
    return cast(Plan, _renamed(plan, rename))


def references(data: Any) -> Iterator[tuple[str, str]]:
    """Yield (kind, public id) of everything that a plan refers to, once for each place."""
    if is_dataclass(data):
        for item in fields(data):
            value = getattr(data, item.name)
            if kind := REFERENCES.get((type(data), item.name)):
                if value:
                    yield kind, value
            else:
                yield from references(value)
    elif isinstance(data, tuple):
        for value in data:
            yield from references(value)


def _renamed(value: Any, rename: Rename) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        held = {item.name: getattr(value, item.name) for item in fields(value)}
        kinds = {name: REFERENCES.get((type(value), name)) for name in held}
        return type(value)(
            **{
                name: rename(kind, item) if (kind := kinds[name]) and item else _renamed(item, rename)
                for name, item in held.items()
            }
        )
    return tuple(_renamed(item, rename) for item in value) if isinstance(value, tuple) else value


def _plain(value: Any, name_of: Rename) -> Any:
    if is_dataclass(value):
        data = {}
        for item in fields(value):
            held = getattr(value, item.name)
            if held == _default(item):
                continue
            kind = REFERENCES.get((type(value), item.name))
            data[item.name] = name_of(kind, held) if kind and held else _plain(held, name_of)
        return data
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, str):
        # A secure value stays in the company that sealed it.
        return HANDLE.sub("", value).replace("\r\n", "\n")
    if isinstance(value, tuple | list):
        return [_plain(item, name_of) for item in value]
    if isinstance(value, Mapping):
        # Databases keep the keys of an object in orders of their own.
        return {name: _plain(value[name], name_of) for name in sorted(value)}
    return value


def _default(item: Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _dataclass(kind: type, data: Any, where: str) -> Any:
    given, known = _mapping(data, where), {item.name: item for item in fields(kind)}
    for name in given:
        if name not in known:
            raise NotTaken(f"{where}: “{name[:80]}” is not known there. Known are {', '.join(known)}.")
    for name, item in known.items():
        if name not in given and _default(item) is MISSING:
            raise NotTaken(f"{where}: {name} is missing. Add it.")
    values = {name: _value(_hints(kind)[name], value, f"{where}, {name}") for name, value in given.items()}
    return kind(**values)


def _value(hint: Any, data: Any, where: str) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (part for part in parts if part is not type(None))
        return None if data is None else _value(inner, data, where)
    if origin is tuple:
        if not isinstance(data, list):
            raise NotTaken(f"{where} is no list. Write one item a line, each after “- ”.")
        return tuple(_value(parts[0], item, f"{where} {number}") for number, item in enumerate(data, start=1))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {name: _value(parts[1], item, f"{where}, {name}") for name, item in _mapping(data, where).items()}
    if hint is Any:
        return _anything(data, where)
    if is_dataclass(hint):
        return _dataclass(cast(type, hint), data, where)
    return _scalar(hint, data, where)


def _anything(data: Any, where: str) -> Any:
    if isinstance(data, dict):
        return {text_of(name, where): _anything(item, f"{where}, {name}") for name, item in data.items()}
    if isinstance(data, list):
        return [_anything(item, where) for item in data]
    return text_of(data, where) if isinstance(data, str) else data


def _scalar(hint: type, data: Any, where: str) -> Any:
    if issubclass(hint, StrEnum):
        if data not in list(hint):
            raise NotTaken(f"{where}: “{str(data)[:80]}” is none of {', '.join(hint)}.")
        return hint(data)
    if hint is str:
        return text_of(data, where)
    # A switch is a whole number to Python, and to nobody else.
    if not isinstance(data, hint) or isinstance(data, bool) is not (hint is bool):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[hint]
        raise NotTaken(f"{where}: “{str(data)[:80]}” is not {wanted}.")
    return data


def text_of(data: Any, where: str) -> str:
    """Give a text as it is. Raises `NotTaken` for anything else, and for characters that no text here may hold."""
    if not isinstance(data, str):
        raise NotTaken(f"{where}: a text belongs there. Put {str(data)[:80]} into quotes.")
    if HANDLE.search(data):
        raise NotTaken(
            f"{where} holds a sealed value. Those are never imported: leave it out, and type it in afterwards."
        )
    if "\x00" in data or any("\ud800" <= character <= "\udfff" for character in data):
        raise NotTaken(f"{where} holds a character that is no text. Remove it.")
    return data


def _mapping(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise NotTaken(f"{where}: names with values belong there, one a line, such as “name: value”.")
    return data
