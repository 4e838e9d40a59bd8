"""Where global variables, translation tables, rolling numbers and processes are used: in the drafts and newest versions of the processes that are kept."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from integrations.engine.plan import Plan
from integrations.forms.mentions import Mention, mentions_of, numbers_of, translations_of
from integrations.models import Process, ProcessVersion, RollingNumber, TranslationTable

Mentions = Callable[[Plan], list[Mention]]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A process that uses a variable, a table or a rolling number. `mentions` are the draft's; `version` is the newest one's number if that uses it
    too, and `only_version` holds the places in words where the draft no longer does."""

    process: Process
    mentions: list[Mention]
    version: int | None = None
    only_version: tuple[str, ...] = ()


def uses() -> dict[str, list[Use]]:
    """Give for every variable that is used anywhere where that is, by name of the process."""
    return _uses("GBL_", mentions_of)


def uses_of_tables() -> dict[str, list[Use]]:
    """The same for translation tables, by their public ids."""
    return _uses(': "translation"', translations_of)


def uses_of_table(table: TranslationTable) -> list[Use]:
    """Give where one translation table is used."""
    return _uses(str(table.public_id), translations_of).get(str(table.public_id), [])


def uses_of_numbers() -> dict[str, list[Use]]:
    """The same for rolling numbers, by their public ids."""
    return _uses(': "rolling_number"', numbers_of)


def uses_of_number(sequence: RollingNumber) -> list[Use]:
    """Give where one rolling number is used."""
    return _uses(str(sequence.public_id), numbers_of).get(str(sequence.public_id), [])


def _uses(text: str, mentions: Mentions) -> dict[str, list[Use]]:
    """Look into those plans only that hold `text` at all: most do not, and a plan is long."""
    found: dict[str, list[Use]] = {}
    drafts = {process.pk: process for process in _that_hold(text, Process.objects.kept(), "draft")}
    versions = {v.process_id: v for v in _that_hold(text, _newest(), "plan_json")}
    missing = versions.keys() - drafts.keys()
    processes = [*drafts.values(), *Process.objects.filter(pk__in=missing)] if missing else list(drafts.values())
    for process in sorted(processes, key=lambda item: item.name):
        version = versions.get(process.pk)
        for name, use in _of_process(process, version, mentions):
            found.setdefault(name, []).append(use)
    return found


def uses_of(name: str) -> list[Use]:
    """Give where one variable is used."""
    return uses().get(name, [])


def callers_of(process: Process) -> list[Process]:
    """Give the other processes that run this one as a task, by name."""
    key = str(process.public_id)
    drafts = _that_hold(key, Process.objects.kept(), "draft")
    versions = _that_hold(key, _newest(), "plan_json").values("process")
    return list(Process.objects.filter(Q(pk__in=drafts.values("pk")) | Q(pk__in=versions)).exclude(pk=process.pk))


def _of_process(process: Process, version: ProcessVersion | None, mentions: Mentions) -> Iterator[tuple[str, Use]]:
    in_draft = _by_name(mentions(process.drafted))
    in_version = _by_name(mentions(version.plan)) if version else {}
    for name in sorted({*in_draft, *in_version}):
        drafted = in_draft.get(name, [])
        words = {mention.words for mention in drafted}
        there = dict.fromkeys(mention.words for mention in in_version.get(name, ()))
        yield (
            name,
            Use(
                process=process,
                mentions=drafted,
                version=version.number if version and name in in_version else None,
                only_version=tuple(place for place in there if place not in words),
            ),
        )


def _by_name(mentions: Iterable[Mention]) -> dict[str, list[Mention]]:
    found: dict[str, list[Mention]] = {}
    for mention in mentions:
        found.setdefault(mention.name, []).append(mention)
    return found


def _newest() -> Any:
    return ProcessVersion.objects.that_are_newest().filter(process__trashed_at=None)


def _that_hold(text: str, rows: Any, plan: str) -> Any:
    return rows.annotate(text=Cast(plan, TextField())).filter(text__contains=text)
