"""Plain data as readable YAML and back: stable to the byte on the way out, narrow on the way in.

Written is a part of YAML that every reader understands: block style, scripts as literal blocks, and quotes around
whatever any version of YAML might take for something else than text. Read is no more than that: no aliases, no tags,
no key twice. The reader builds from the parser's events, so a file can neither multiply itself nor make objects.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import yaml

from integrations.engine.errors import WaybillError

LONGEST = 8 * 1024 * 1024
"""Characters of one file."""
DEEPEST = 30
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
BREAKS_ELSEWHERE = re.compile("[\x85\u2028\u2029\ufeff]")
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+(e[-+]?[0-9]+)?\Z")


class NotTaken(WaybillError):
    """Correct the file: it is not what an export writes. Nothing was changed."""

    code = "import"


class _Writer(yaml.SafeDumper):
    """Keeps texts of several lines as literal blocks, also with tabs and with blanks at the ends of their lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        if "\n" not in scalar:
            return super().analyze_scalar(scalar)
        # A literal block may hold both; PyYAML only thinks of the other styles.
        analysis = super().analyze_scalar(re.sub(r"\t| +(?=\n|\Z)", lambda found: "x" * len(found[0]), scalar))
        analysis.scalar = scalar
        return analysis


def _text(writer: yaml.SafeDumper, value: str) -> yaml.Node:
    # A block that begins with a blank line or blanks would need a sign that people overlook.
    is_block = "\n" in value.strip("\n") and value[0] not in " \n\t"
    quoted = BREAKS_ELSEWHERE.search(value) or ("\n" in value and not is_block)
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else "|" if is_block else None)


_Writer.add_representer(str, _text)


def written(data: Any) -> str:
    """Give `data` (mappings, lists, texts, numbers, switches, nothing) as text that `read` gives back unchanged."""
    text: str = yaml.dump(
        data, Dumper=_Writer, sort_keys=False, allow_unicode=True, default_flow_style=False, width=float("inf")
    )
    return text


@dataclass
class _Open:
    """A mapping or list that is being read. `key` is the one whose value comes next."""

    holds: dict[str, Any] | list[Any]
    key: str | None = None


def read(text: str, name: str) -> Any:
    """Read what `written` wrote, or a person after its pattern. Raises `NotTaken`, which names the file and the line."""
    if len(text) > LONGEST:
        raise NotTaken(f"{name} has {len(text):,} characters; {LONGEST:,} are read at most. Divide what it holds.")
    try:
        return _built(yaml.parse(text, Loader=PARSER), name)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it holds a character that does not belong into a text"
        raise NotTaken(f"{name} cannot be read{line}: {problem}. Correct it there.") from error


def _built(events: Iterator[Any], name: str) -> Any:
    top = _Open([])
    stack = [top]
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise NotTaken(f"{name}, line {line}: anchors and aliases are not read. Write the value out.")
        if getattr(event, "tag", None) not in (None, "!"):
            raise NotTaken(f"{name}, line {line}: the tag {event.tag} is not read. Leave it away.")
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(stack) > DEEPEST:
                raise NotTaken(f"{name}, line {line}: it is nested deeper than {DEEPEST} levels.")
            holds: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            _put(stack[-1], holds, f"{name}, line {line}")
            stack.append(_Open(holds))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            stack.pop()
        elif isinstance(event, yaml.ScalarEvent):
            if isinstance(stack[-1].holds, dict) and stack[-1].key is None:
                _expect(stack[-1], event.value, f"{name}, line {line}")
            else:
                _put(stack[-1], _value(event, f"{name}, line {line}"), f"{name}, line {line}")
    assert isinstance(top.holds, list)
    if len(top.holds) != 1:
        raise NotTaken(f"{name} holds {len(top.holds)} documents. One file holds one thing.")
    return top.holds[0]


def _expect(place: _Open, key: str, where: str) -> None:
    if key in place.holds:
        raise NotTaken(f"{where}: {key[:80]} is there twice. Keep one of the two.")
    place.key = key


def _put(place: _Open, value: Any, where: str) -> None:
    if isinstance(place.holds, list):
        place.holds.append(value)
    elif place.key is None:
        raise NotTaken(f"{where}: a name is expected here, and there is a list or a group.")
    else:
        place.holds[place.key] = value
        place.key = None


def _value(event: yaml.ScalarEvent, where: str) -> Any:
    """Give a scalar its type. What stands in quotes or in a block is text, and so is what only looks like a number:
    00123 keeps its zeros."""
    text = event.value
    if event.style:
        return text
    if text in WORDS:
        return WORDS[text]
    if INTEGER.match(text):
        return int(text)
    if not DECIMAL.match(text):
        return text
    number = float(text)
    if not isfinite(number):
        raise NotTaken(f"{where}: the number {text[:80]} is larger than any that is kept. Put a text into quotes.")
    return number
