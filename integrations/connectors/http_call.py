"""One request of a task, and what its answer means. Values are filled in where they can be nothing but values."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from integrations.connectors.http_auth import Credentials
from integrations.connectors.http_headers import with_headers
from integrations.connectors.http_json import ANSWER_CHARS, base_url, below, encoded, first_line, whole_number
from integrations.connectors.spec import Opened
from integrations.egress.http import Answer, HttpDoor, Outgoing, Patience, Unanswered
from integrations.engine.errors import DefinitionError, TransientError, UnknownOutcome, WaybillError
from integrations.engine.plan import Header
from integrations.engine.variables import IN_BRACKETS, filled

WELL = (range(200, 300),)


def call(
    opened: Opened,
    *,
    method: str,
    path: str,
    body: str,
    headers: Sequence[Header],
    expected: str,
    values: Mapping[str, Any],
    key: str,
    repeats: bool,
) -> Answer:
    """Send one request with `[name]`s filled in and give its answer, which has an expected status.

    `key` is its idempotency key; one that `repeats` is sent again when it was not answered. Raises `UnknownOutcome`
    when the service may have acted on it, another `WaybillError` when it has not.
    """
    wanted = statuses(expected)
    request = Outgoing(
        method=method,
        url=below(base_url(opened), filled(path, values, encoded), "the path"),
        headers=with_headers({"Content-Type": "application/json", "Idempotency-Key": key}, headers, values),
        body=body_of(body, values),
    )
    door = HttpDoor(
        allow_nets=opened.allow_nets,
        timeout=timedelta(seconds=whole_number(opened.settings, "timeout", 30, 1, 300)),
        patience=Patience(repeat_unanswered=repeats),
    )
    try:
        credentials = Credentials(opened, door)
        _see_that_one_proves(credentials.header, headers)
        (result,) = credentials.send_all([request])
    finally:
        door.close()
    if isinstance(result, Unanswered):
        raise _unanswered(result)
    if not any(result.status in some for some in wanted):
        raise _unexpected(result)
    return result


def body_of(text: str, values: Mapping[str, Any]) -> bytes | None:
    """Fill in a JSON body; none for an empty one. A text that is one `[name]` alone becomes the value as it is, a
    number or a list too. Raises `DefinitionError` for what is no JSON."""
    if not text.strip():
        return None
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise DefinitionError(
            f"the body is no JSON: {error}. A [GBL_NAME] in it stands between quotes.", code="http.body"
        ) from error
    return json.dumps(_filled(parsed, values)).encode()


def statuses(text: str) -> Sequence[range]:
    """Read “200-299, 404”; every 2xx where nothing is said. Raises `DefinitionError` for anything else."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        low, dash, high = (piece.strip() for piece in part.partition("-"))
        ends = [low, high if dash else low]
        if not all(end.isascii() and end.isdecimal() and len(end) == 3 for end in ends) or ends[0] > ends[1]:
            raise DefinitionError(f"“{part}” is no status. Write them such as 200-299, 404.", code="http.statuses")
        found.append(range(int(ends[0]), int(ends[1]) + 1))
    return found or WELL


def shown(answer: Answer) -> str:
    """The body of an answer as text."""
    return answer.body.decode("utf-8", "replace")


def _see_that_one_proves(header: str, headers: Sequence[Header]) -> None:
    """Refuse a second header that says who sends: which of the two a service believes, nobody knows."""
    if any(item.name.casefold() == header.casefold() for item in headers):
        raise DefinitionError(
            f"the connection itself sends the header {header}. Remove it from the task, or choose a connection without "
            "credentials.",
            code="http.header",
        )


def _filled(item: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(item, dict):
        return {name: _filled(value, values) for name, value in item.items()}
    if isinstance(item, list):
        return [_filled(value, values) for value in item]
    if not isinstance(item, str):
        return item
    alone = IN_BRACKETS.fullmatch(item)
    return values[alone[1]] if alone and alone[1] in values else filled(item, values)


def _unanswered(result: Unanswered) -> WaybillError:
    if result.sent:
        return UnknownOutcome(result.sentence)
    return result.error or TransientError(result.sentence, code="http.unreachable")


def _unexpected(answer: Answer) -> WaybillError:
    said = first_line(shown(answer)[:ANSWER_CHARS]) or "no reason given"
    if answer.status >= 500 and answer.status != 503:
        return UnknownOutcome(f"the service answered {answer.status} and may have acted on it: {said}")
    return WaybillError(f"the service answered {answer.status}, which is not expected: {said}", code="http.status")
