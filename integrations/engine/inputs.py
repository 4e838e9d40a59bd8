"""What a run brings to its mapping besides its rows: its variables, its start, the translation tables it pinned, the
tables of other systems that it looks into, the sequences it takes numbers from, and what its parent gave it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from integrations.engine.ports import Lookups, Numbers
from integrations.engine.variables import Variables


@dataclass(frozen=True, kw_only=True)
class Table:
    """A translation table as a run sees it from its start to its end: what each source value becomes."""

    name: str
    rows: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Parent:
    """What a run has of the run that started it: `document`, by column the values of the first row of the document that
    it was started at; None where none started it. `gives_rows` where the rows are the parent's."""

    document: Mapping[str, str] | None = None
    gives_rows: bool = False


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """`tables` are known by their public ids, `started_at` is the company's local time. Only `variables` change while
    the run goes on."""

    variables: Variables = field(default_factory=Variables)
    tables: Mapping[str, Table] = field(default_factory=dict)
    started_at: datetime | None = None
    lookups: Lookups | None = None
    numbers: Numbers | None = None
    parent: Parent = Parent()
