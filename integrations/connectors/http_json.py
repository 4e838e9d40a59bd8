"""JSON over HTTP: one request a record, a bounded number in flight, an idempotency key with every one.

What was refused before a byte left may be sent again. What left and was not answered is *unknown*, unless the receiver
honours the key: then a repetition changes nothing, and is made.
"""

import json
import re
from collections import Counter
from collections.abc import Container, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from integrations.connectors import http_auth, rest
from integrations.connectors.spec import (
    Connector,
    DestinationContext,
    DestinationKind,
    FieldKind,
    Finder,
    Opened,
    Setting,
    SourceContext,
    SourceKind,
    Tested,
)
from integrations.egress.http import Answer, HttpDoor, Outgoing, Patience, Unanswered, says_nothing_of_before
from integrations.engine.batch import Bucket, Delivery, LineRecords, MappedBatch, Problem
from integrations.engine.errors import DefinitionError, TransientError, WaybillError, Where
from integrations.engine.plan import Line, WriteMode
from integrations.engine.ports import Settled, Ticket
from integrations.engine.variables import filled, text_of
from integrations.engine.watermark import WATERMARK

BATCH_DOCUMENTS = 200
ANSWER_CHARS = 2_000
HALF = re.compile("[\ud800-\udfff]")
METHODS = {WriteMode.INSERT: "POST", WriteMode.UPSERT: "PUT", WriteMode.UPDATE: "PATCH", WriteMode.DELETE: "DELETE"}


class HttpJsonDestination:
    """`engine.ports.Destination` that posts each record of a document in order of its lines."""

    batch_size = BATCH_DOCUMENTS
    settles = False

    def __init__(self, context: DestinationContext) -> None:
        self._settings = context.opened.settings
        self._lines = context.lines
        self._is_over = context.is_over
        self._addresses = [address(base_url(context.opened), line) for line in context.lines]
        self.repeat_safe = bool(self._settings.get("honours_key", False))
        self._door = HttpDoor(
            allow_nets=context.opened.allow_nets,
            concurrency=context.concurrency or whole_number(self._settings, "concurrency", 10, 1, 100),
            timeout=timedelta(seconds=whole_number(self._settings, "timeout", 30, 1, 300)),
            patience=Patience(repeat_unanswered=self.repeat_safe),
        )
        self._credentials = http_auth.Credentials(context.opened, self._door)
        self._retries = context.retries
        self._wait_to_retry = context.wait_to_retry

    def enter(self, ticket: Ticket) -> Settled | None:
        return None

    def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
        buckets: list[Bucket | None] = list(batch.verdicts)
        problems: dict[int, Problem] = {}
        counts: list[Counter[Bucket]] = []
        there: set[int] = set()
        """Documents of which something has arrived, or may have."""
        end = len(batch.documents)
        for number, records in enumerate(batch.lines):
            count: Counter[Bucket] = Counter({Bucket.RESTRICTED: records.restricted} if records.restricted else {})
            unfit = _unfit(self._lines[number], records, problems)
            problems |= unfit
            # A document that met a problem on one line sends nothing on the next ones.
            going = [
                (owner, record)
                for owner, record in zip(records.owners, records.records, strict=True)
                if owner not in problems and owner < end
            ]
            requests = [
                self._request(number, record, f"{ticket.token}-{batch.documents[owner].number}-{number}-{place}")
                for place, (owner, record) in _placed(going)
            ]
            if number == 0 and not ticket.in_doubt:
                results = self._credentials.send_all(
                    requests, lambda signed: self._door.send_until(signed, self._is_over)
                )
                if len(results) < len(going):
                    # The run should end: what was begun is completed, and the rest is left to whoever continues.
                    last = going[len(results) - 1][0]
                    end = last + 1
                    going = [item for item in going if item[0] < end]
                    results += self._credentials.send_all(requests[len(results) : len(going)])
            else:
                results = self._credentials.send_all(requests)
            if number == 0 and results and all(isinstance(r, Unanswered) and not r.sent for r in results):
                raise _none_left(results)
            self._send_again(requests, results)
            for (owner, _), result in zip(going, results, strict=True):
                bucket, problem = verdict(result)
                count[bucket] += 1
                buckets[owner] = buckets[owner] or bucket
                if problem is not None:
                    problems.setdefault(owner, problem)
                if bucket is not Bucket.FAILED:
                    there.add(owner)
            not_sent = sum(owner < end for owner in unfit)
            count[Bucket.FAILED] += not_sent
            count[Bucket.HELD] += sum(owner < end for owner in records.owners) - len(going) - not_sent
            counts.append(+count)
        for owner in problems:
            # A part that arrived and one that did not: that it is whole there cannot be said.
            buckets[owner] = Bucket.UNKNOWN if owner in there else Bucket.FAILED
        return Delivery(
            buckets=[bucket or Bucket.UNCHANGED for bucket in buckets[:end]],
            problems={owner: problem for owner, problem in problems.items() if owner < end},
            line_counts=[dict(count) for count in counts],
        )

    def close(self) -> None:
        self._door.close()

    def _send_again(self, requests: Sequence[Outgoing], results: list[Answer | Unanswered]) -> None:
        """Send what was not taken for a reason that passes as often as the process says, and put each new result in
        the place of the one before."""
        for retry in range(1, self._retries + 1):
            places = [place for place, result in enumerate(results) if passes(result, repeat_safe=self.repeat_safe)]
            if not places or not self._wait_to_retry(len(places), retry):
                return
            later = self._credentials.send_all([requests[place] for place in places])
            for place, result in zip(places, later, strict=True):
                if not (verdict(results[place])[0] is Bucket.UNKNOWN and says_nothing_of_before(result)):
                    results[place] = result

    def _request(self, number: int, record: Sequence[Any], key: str) -> Outgoing:
        line = self._lines[number]
        body = {item.target: _plain(value) for item, value in zip(line.fields, record, strict=True)}
        if not line.update_blanks:
            body = {name: value for name, value in body.items() if value not in (None, "")}
        return Outgoing(
            method=METHODS[line.mode],
            url=self._addresses[number],
            headers={"Content-Type": "application/json", "Idempotency-Key": key},
            body=json.dumps(body, ensure_ascii=False).encode(),
        )


def verdict(result: Answer | Unanswered) -> tuple[Bucket, Problem | None]:
    """Give the bucket that an answer means. Pure."""
    if isinstance(result, Unanswered):
        bucket, code = (Bucket.UNKNOWN, "unknown") if result.sent else (Bucket.FAILED, "destination.unreachable")
        return bucket, Problem(sentence=result.sentence, cause=result.sentence, code=code, where=Where(stage="deliver"))
    if 200 <= result.status < 300:
        return (Bucket.CREATED if result.status == 201 else Bucket.UPDATED), None
    said = result.body.decode("utf-8", "replace")[:ANSWER_CHARS]
    bucket = Bucket.UNKNOWN if result.status >= 500 and result.status != 503 else Bucket.FAILED
    what = "may have taken it" if bucket is Bucket.UNKNOWN else "refused it"
    sentence = f"The destination answered {result.status} and {what}: {first_line(said) or 'no reason given'}"
    return bucket, Problem(
        sentence=sentence,
        cause=f"Answered {result.status}",
        code=f"http.{result.status}",
        where=Where(stage="deliver"),
        answer=said,
    )


def passes(result: Answer | Unanswered, *, repeat_safe: bool) -> bool:
    """Say whether the same request may be answered better later, and changes nothing twice. Pure.

    425, 429 and 503 say that it was not taken (RFC 8470, 6585, 9110), 408 that it did not come whole.
    """
    if isinstance(result, Unanswered):
        reaches_nothing = result.error is not None and not isinstance(result.error, TransientError)
        return not reaches_nothing and (repeat_safe or not result.sent)
    return result.status in (408, 425, 429, 503) or (repeat_safe and result.status in (500, 502, 504))


def base_url(opened: Opened) -> str:
    """Give the address that targets are relative to. Raises `DefinitionError` for one that is none."""
    url = str(opened.settings.get("url") or "").strip()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise DefinitionError(
            f"“{url}” is no address of a web service. Enter one such as https://api.example.com/v1/.", code="http.url"
        )
    return url if url.endswith("/") else url + "/"


def address(base: str, line: Line) -> str:
    """Give the address of a line's target."""
    return below(base, line.target, f"the target of the line {line.name}")


def below(base: str, path: str, place: str) -> str:
    """Give the address of a path: always below the base address, for the connection's secret goes with it.

    Raises `DefinitionError` naming the `place` to correct.
    """
    target = path.strip().lstrip("/")
    steps = unquote(target.split("?")[0]).split("/")
    if not target or "://" in target or ".." in steps or not target.isprintable():
        raise DefinitionError(
            f"“{path}” is no path below {base}. Correct {place}, such as customers or orders/items.",
            code="http.target",
        )
    return base + target


def encoded(value: Any) -> str:
    """Give a value as one step of a path, or as one value of a query."""
    return quote(text_of(value), safe="")


def test(opened: Opened) -> Tested:
    """Ask the base address for anything: any answer at all shows that it can be reached."""
    try:
        base = base_url(opened)
        door = HttpDoor(allow_nets=opened.allow_nets, timeout=timedelta(seconds=10))
    except WaybillError as error:
        return Tested(ok=False, sentence=error.sentence, checks=(("Reach the address", False, error.sentence),))
    try:
        (result,) = http_auth.Credentials(opened, door).send_all([Outgoing(method="GET", url=base)])
    except WaybillError as error:
        return Tested(ok=False, sentence=error.sentence, checks=(("Credentials", False, error.sentence),))
    finally:
        door.close()
    if isinstance(result, Unanswered):
        return Tested(ok=False, sentence=result.sentence, checks=(("Reach the address", False, result.sentence),))
    reached = ("Reach the address", True, f"The address answers, with status {result.status}.")
    if result.status in (401, 403):
        sentence = f"The address answers, but refuses the credentials ({result.status})."
        return Tested(ok=False, sentence=sentence, checks=(reached, ("Credentials", False, sentence)))
    return Tested(ok=True, sentence=reached[2], checks=(reached,))


def _unfit(line: Line, records: LineRecords, known: Container[int]) -> dict[int, Problem]:
    """Give the documents, but for those `known` to have a problem, that hold half of a character: a service or a script
    may give one, and no request can carry it."""
    unfit: dict[int, Problem] = {}
    for owner, record in zip(records.owners, records.records, strict=True):
        values = zip(line.fields, record, strict=True)
        name = next((item.target for item, value in values if isinstance(value, str) and HALF.search(value)), "")
        if name and owner not in known:
            what = f"{name} holds half of a character"
            problem = Problem(
                sentence=f"{what}, which no request can carry. Correct it in the source.",
                cause=what,
                code="record.text",
                where=Where(stage="deliver", column=name),
            )
            unfit.setdefault(owner, problem)
    return unfit


def _placed(going: Sequence[tuple[int, Any]]) -> list[tuple[int, tuple[int, Any]]]:
    """Number the records of each document, so that each has an idempotency key of its own."""
    seen: Counter[int] = Counter()
    placed = []
    for item in going:
        placed.append((seen[item[0]], item))
        seen[item[0]] += 1
    return placed


def _none_left(results: Sequence[Answer | Unanswered]) -> WaybillError:
    first = results[0]
    assert isinstance(first, Unanswered)
    if first.error is not None and not isinstance(first.error, TransientError):
        return first.error
    return TransientError(first.sentence, code="http.unreachable")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() and abs(value) < 10**15
        return int(value) if whole else float(value) if Decimal(repr(float(value))) == value else str(value)
    return value.isoformat() if isinstance(value, date) else value


def first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:200]


def whole_number(settings: Any, name: str, default: int, least: int, most: int) -> int:
    try:
        value = int(settings.get(name) or default)
    except ValueError:
        raise DefinitionError(f"“{settings.get(name)}” is no number. Correct {name} of the connection.") from None
    return min(max(value, least), most)


def _open(context: DestinationContext) -> HttpJsonDestination:
    return HttpJsonDestination(context)


def _open_rest(context: SourceContext) -> rest.RestSource:
    if context.opened is None:
        raise DefinitionError("A REST endpoint needs a connection. Choose one on the Source tab.")
    path = filled(str(context.spec.options.get("path") or ""), context.values, encoded)
    if context.after is not None:
        path = path.replace(WATERMARK, encoded(context.after))
    address = below(base_url(context.opened), path, "the path of the source")
    return rest.RestSource(context, context.opened, address)


def _open_finder(opened: Opened, seconds: float) -> Finder:
    # It needs what stands here.
    from integrations.connectors.http_lookup import HttpFinder

    return HttpFinder(opened, seconds)


CONNECTOR = Connector(
    key="http",
    title="JSON over HTTP",
    summary="Read the records of a web service, look values up there, or send each as JSON with an idempotency key.",
    settings=(
        Setting(name="url", leads=True, label="Base address", required=True, help="Lines name paths below it."),
        *http_auth.SETTINGS,
        Setting(name="concurrency", label="Requests at once", kind=FieldKind.NUMBER, default=10),
        Setting(name="timeout", label="Seconds to wait for an answer", kind=FieldKind.NUMBER, default=30),
        Setting(
            name="honours_key",
            label="The service honours idempotency keys",
            kind=FieldKind.SWITCH,
            default=False,
            help="Then an unanswered request is sent again; otherwise its document becomes unknown.",
        ),
    ),
    test=test,
    finder=_open_finder,
    sources=(
        SourceKind(
            key="rest",
            title="REST endpoint",
            open=_open_rest,
            repeatable=False,
            settings=rest.SETTINGS,
            reads_changes=True,
            watermark_in="path",
        ),
    ),
    destinations=(DestinationKind(key="http_json", title="JSON over HTTP", open=_open),),
)
