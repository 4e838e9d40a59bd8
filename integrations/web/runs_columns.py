"""The columns of the list of runs: which there are, which a person chose, and what sorts by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import DurationField, ExpressionWrapper, F, Value
from django.db.models.functions import Coalesce

from accounts.models import Company, User
from integrations.models import RunsColumns


@dataclass(frozen=True)
class Column:
    """A column of the list. `sort` is what orders it in the database; None: nobody can sort by it."""

    key: str
    label: str
    css: str = ""
    sort: Any = None
    is_usual: bool = True
    is_number: bool = False


def _sum(*buckets: str) -> Any:
    return sum((F(f"documents_{bucket}") for bucket in buckets), start=Value(0))


NAME = "name"
"""The column that is always there: it names the row and leads to the Run Summary."""
STARTED = "started"
COLUMNS = (
    Column("status", "Status", "w-status"),
    Column(NAME, "Run name", sort=F("name")),
    Column("integration", "Integration", "w-l", sort=F("process__name")),
    Column("kind", "Kind, trigger", "w-m"),
    Column(STARTED, "Started", "w-when", sort=F("number")),
    # A run that goes on or never started has no duration: it stands behind all others.
    Column(
        "took",
        "Duration",
        "num w-s",
        Coalesce(ExpressionWrapper(F("ended_at") - F("started_at"), DurationField()), timedelta(seconds=-1)),
        is_usual=False,
        is_number=True,
    ),
    Column("ok", "OK", "num w-xs", _sum("created", "updated", "unchanged"), is_number=True),
    Column("failed", "Failed", "num w-xs", _sum("failed", "unknown", "held"), is_number=True),
    Column("total", "Total", "num w-xs", Coalesce("source_documents", 0), is_number=True),
    Column("file", "Source file", "w-l", is_usual=False),
    Column("version", "Version", "num w-s", is_usual=False, is_number=True),
    Column("by", "By whom", "w-m"),
)
USUAL = tuple(column.key for column in COLUMNS if column.is_usual)
BY_KEY = {column.key: column for column in COLUMNS}


def chosen(user: User, named: str = "") -> tuple[Column, ...]:
    """Give the columns to show: those `named` by an address, else those that `user` chose, else the usual ones."""
    keys = cleaned(named.split(",")) if named else ()
    if not keys:
        kept = RunsColumns.objects.filter(user=user).values_list("columns", flat=True).first()
        keys = cleaned(kept) if kept else USUAL
    return tuple(BY_KEY[key] for key in keys)


def cleaned(keys: Sequence[str]) -> tuple[str, ...]:
    """Give the columns among `keys` in their order, the name always; nothing when there is none."""
    known = set(keys) & BY_KEY.keys()
    return tuple(key for key in BY_KEY if key in known | {NAME}) if known else ()


def remember(company: Company, user: User, keys: Sequence[str]) -> None:
    """Keep what `user` chose for the list of `company`; the usual ones need no keeping."""
    wanted = cleaned(keys) or (NAME,)
    if wanted == USUAL:
        RunsColumns.objects.filter(user=user).delete()
    else:
        RunsColumns.objects.update_or_create(company=company, user=user, defaults={"columns": list(wanted)})
