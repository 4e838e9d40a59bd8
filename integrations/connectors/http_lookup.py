"""Values looked up at a web service: one GET a key, the key in its path, the value at a place of the JSON answer."""

import json
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from integrations.connectors.http_auth import Credentials
from integrations.connectors.http_json import ANSWER_CHARS, base_url, below, encoded, first_line, whole_number
from integrations.connectors.spec import Opened
from integrations.egress.http import Answer, HttpDoor, Outgoing, Patience, Unanswered
from integrations.engine.errors import AdministratorError, DefinitionError, TransientError, Where
from integrations.engine.plan import Lookup
from integrations.engine.ports import Found
from integrations.engine.variables import text_of

IN_BRACES = re.compile(r"\{([^{}]+)\}")
ANSWER_BYTES = 1 << 20
NOTHING = Found(0)


class HttpFinder:
    """`connectors.spec.Finder` for a web service. The *table* of a lookup is a path such as `customers/{code}`; what has to
    match goes into its braces, and the result is a path of names into the answer.

    An answer 404 is nothing found. Lists on the way to the result are as many rows as they have items; of several the
    first is the first of the answer.
    """

    def __init__(self, opened: Opened, seconds: float) -> None:
        self._opened = opened
        self._seconds = seconds
        self._base = base_url(opened)
        wait = min(whole_number(opened.settings, "timeout", 30, 1, 300), seconds)
        self._door = HttpDoor(
            allow_nets=opened.allow_nets,
            timeout=timedelta(seconds=wait),
            concurrency=whole_number(opened.settings, "concurrency", 10, 1, 100),
            patience=Patience(repeat_unanswered=True),
            answer_bytes=ANSWER_BYTES,
        )
        self._credentials = Credentials(opened, self._door)

    def tables(self) -> Sequence[str]:
        return ()

    def fields(self, table: str) -> Sequence[str]:
        return tuple(dict.fromkeys(IN_BRACES.findall(table)))

    def check(self, lookup: Lookup) -> None:
        below(self._base, IN_BRACES.sub("x", lookup.table), "the path of the lookup")
        wanted, given = self.fields(lookup.table), [match.field for match in lookup.matches]
        if missing := next((name for name in wanted if name not in given), ""):
            raise _incorrect(f"The path {lookup.table} has {{{missing}}}, and nothing says what goes there.")
        if unused := next((name for name in given if name not in wanted), ""):
            raise _incorrect(f"The path {lookup.table} has no {{{unused}}} for what is compared.")

    def find(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> Sequence[Found]:
        self.check(lookup)
        found = [NOTHING] * len(keys)
        asked = [at for at, key in enumerate(keys) if all(map(_can_be_asked, key))]
        until = time.monotonic() + self._seconds
        results = self._credentials.send_all(
            [self._request(lookup, keys[at]) for at in asked],
            lambda requests: self._door.send_until(requests, lambda: time.monotonic() > until) if requests else [],
        )
        for place, at in enumerate(asked):
            found[at] = self._read(results[place], lookup) if place < len(results) else _late(self._seconds)
        return found

    def close(self) -> None:
        self._door.close()

    def _request(self, lookup: Lookup, key: tuple[str, ...]) -> Outgoing:
        values = {match.field: encoded(text) for match, text in zip(lookup.matches, key, strict=True)}
        path = IN_BRACES.sub(lambda name: values[name[1]], lookup.table)
        return Outgoing(
            method="GET",
            url=below(self._base, path, "the path of the lookup"),
            headers={"Accept": "application/json"},
        )

    def _read(self, result: Answer | Unanswered, lookup: Lookup) -> Found:
        name = self._opened.name
        if isinstance(result, Unanswered):
            if result.error is not None and not isinstance(result.error, TransientError):
                raise result.error
            return Found(-1, fault=_about_a_question(result.sentence), passing=True)
        if result.status == 404:
            return NOTHING
        if 200 <= result.status < 300:
            return self._found(result, lookup)
        said = first_line(result.body.decode("utf-8", "replace")[:ANSWER_CHARS]) or "no reason given"
        sentence = f"{name} answered {result.status}: {said}"
        if result.status in (401, 403):
            raise AdministratorError(f"{sentence}. Correct its credentials.", code=f"http.{result.status}")
        return Found(-1, fault=sentence, passing=result.status == 429 or result.status >= 500)

    def _found(self, answer: Answer, lookup: Lookup) -> Found:
        if not answer.is_whole:
            return Found(-1, fault=f"the answer of {self._opened.name} broke off, or is larger than 1 MB")
        if not answer.body.strip():
            return NOTHING
        try:
            said = json.loads(answer.body, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError):
            return Found(-1, fault=f"the answer of {self._opened.name} is no JSON")
        values = _at(said, lookup.result)
        return Found(len(values), None if not values or values[0] is None else text_of(values[0]))


def _at(said: Any, path: str) -> list[Any]:
    """Give what stands at a path of names, one value for each item of the lists on the way. A last name that is missing
    is no value of something that is there; one before it means that nothing is there."""
    there = _items(said)
    names = [name for name in path.strip().split(".") if name]
    for last, name in enumerate(names, start=1 - len(names)):
        objects = [item for item in there if isinstance(item, dict)]
        if last == 0:
            there = [part for item in objects for part in _items(item.get(name), keeps_null=True)]
        else:
            there = [part for item in objects for part in _items(item.get(name))]
    return there


def _items(value: Any, *, keeps_null: bool = False) -> list[Any]:
    if isinstance(value, list):
        return [part for item in value for part in _items(item)]
    return [] if value is None and not keeps_null else [value]


def _can_be_asked(text: str) -> bool:
    """Say whether a value can stand in a path: a blank one would ask for all, and one that leads elsewhere for another."""
    is_text = text.encode("utf-8", "ignore").decode() == text
    return bool(text.strip()) and is_text and not {".", ".."} & set(text.split("/"))


def _about_a_question(sentence: str) -> str:
    """Leave out what only concerns records that are sent."""
    return sentence.removesuffix(" It may have taken the record.").removesuffix(" Nothing was sent.")


def _late(seconds: float) -> Found:
    return Found(-1, fault=f"it was not answered within {seconds:g} s", passing=True)


def _incorrect(sentence: str) -> DefinitionError:
    return DefinitionError(f"{sentence} Correct the lookup.", code="definition.lookup", where=Where(stage="map"))
