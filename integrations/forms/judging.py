"""What is known when a definition is judged, and the words that every judgement shares."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from integrations.connectors.spec import DestinationKind, SourceKind, TargetField
from integrations.engine.plan import Column, FieldMap, Lookup, Plan, Stage
from integrations.forms.scripts import unknown_columns

QUOTED = re.compile(r"'[^']*'")
"""A text in a statement of SQL."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A sentence and the place that it is about: a tab, and in it a line or task (from 1), a part or a variable."""

    sentence: str
    tab: str
    line: int | None = None
    part: str = ""


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Another process, as far as one that runs it must know it.

    `columns` are those of its source; `calls` the public ids of the processes that its tasks run; `obstacle` says why
    it cannot be run at all, or "".
    """

    name: str
    columns: Sequence[Column] = ()
    calls: frozenset[str] = frozenset()
    obstacle: str = ""
    from_parent: bool = False
    """It reads the rows of whoever runs it, and nothing else."""
    of_the_parent: Sequence[FieldMap] = ()
    """Its fields that take a value of the parent's document."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is known outside the plan.

    `connections` maps public ids to names. `targets` is the target profile: the fields of each target, empty where
    the destination does not list its fields. `check` gives the first complaint about a script, or "". `variables` are
    the names of the company's global variables, `secure` those that are secure, `tables` the public ids of its translation tables, `searchable` those of the connections that values can be looked up at. `own` is the public id of the process itself, `neighbours` are the
    processes that its tasks may come to, by public id.
    """

    sources: Mapping[str, SourceKind]
    destinations: Mapping[str, DestinationKind]
    connections: Mapping[str, str]
    targets: Mapping[str, Sequence[TargetField]] = field(default_factory=dict)
    check: Callable[[str], str] = lambda script: ""
    variables: Collection[str] = ()
    secure: Collection[str] = ()
    tables: Collection[str] = ()
    searchable: Collection[str] = ()
    sequences: Mapping[str, str] = field(default_factory=dict)
    """The rolling numbers: public ids to prefixes."""
    own: str = ""
    neighbours: Mapping[str, Neighbour] = field(default_factory=dict)


def nearest(name: str, names: Sequence[str]) -> str:
    """Give the name most like `name`, or ""."""
    by_folded = {folded(candidate): candidate for candidate in reversed(names)}
    found = get_close_matches(folded(name), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else ""


def folded(name: str) -> str:
    """Give a name as matching by name sees it: letters and digits only, without case."""
    return "".join(character for character in name.casefold() if character.isalnum())


def nearest_hint(name: str, names: Sequence[str]) -> str:
    """Give the end of a sentence that says which name was perhaps meant, or ""."""
    close = nearest(name, names)
    return f". Nearest name: {close}" if close else ""


def of_script(script: str, columns: Sequence[str], around: Surroundings, stage: Stage | None = None) -> str:
    """Give the first thing that keeps a script from running, or "". Unknown variables are told elsewhere."""
    if said := around.check(script):
        return said
    unknown = unknown_columns(script, columns, stage=stage)
    return f"line {unknown[0].line}: {unknown[0].sentence}" if unknown else ""


def of_where(how: Lookup, around: Surroundings) -> str:
    """Say what a lookup lacks to be asked, or ""."""
    if not how.connection:
        return "the lookup says no connection."
    if how.connection not in around.connections:
        return "the connection of the lookup no longer exists. Choose another one."
    if how.connection not in around.searchable:
        return f"nothing can be looked up at {around.connections[how.connection]}. Choose another connection."
    if not how.table:
        return "the lookup says no table."
    if not how.matches:
        return "the lookup says nothing to match."
    return ""


def secure_here(plan: Plan, around: Surroundings) -> frozenset[str]:
    """Name the variables whose values nobody may see: the company's and the process's own."""
    return frozenset(around.secure) | {item.name for item in plan.variables if item.secure}
