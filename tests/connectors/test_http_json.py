"""JSON over HTTP against a real server on loopback."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from integrations.connectors import http_json
from integrations.connectors.registry import destination_kind
from integrations.connectors.spec import DestinationContext, Opened
from integrations.egress.http import Answer, Unanswered
from integrations.engine.batch import Bucket, LineRecords
from integrations.engine.errors import DefinitionError, TransientError, WaybillError
from integrations.engine.plan import DestinationSpec, FieldMap, Line
from integrations.engine.ports import Destination
from integrations.engine.secret import Secret
from tests.connectors.contract import LINE, Contract, batch_of, deliver, open_destination, ticket
from tests.servers import Together, free_port


class Server:
    """Answers 422 to a record without a name, 500 to one named "broken", and drops the line at one named "gone"."""

    kind = "http_json"

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], dict[str, Any]]] = []
        self.busy = 0
        self.refuse_busily: dict[str, int] = {}
        """How often the record of a number is answered 503 before it is taken."""
        self.drops = 0
        self.takes_seconds = 0.0
        self.settings: dict[str, Any] = {}
        self.together: Together | None = None
        self._lock = threading.Lock()
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                if world.together:
                    world.together.visit()
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
                with world._lock:
                    if world.is_busy(body):
                        return self._say(503, "busy", {"Retry-After": "0"})
                    world.requests.append((self.command, self.path, dict(self.headers), body))
                time.sleep(world.takes_seconds)
                if body.get("name") == "gone" or world.drops_this():
                    self.close_connection = True
                    return None
                if body.get("name") == "broken":
                    return self._say(500, "oh no")
                if "name" in body and body["name"] is None:
                    return self._say(422, "no name given")
                return self._say(201, "{}")

            do_GET = do_POST = do_PUT = answer

            def _say(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *words: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def is_busy(self, body: dict[str, Any]) -> bool:
        left = self.refuse_busily.get(number := body.get("number", ""), 0)
        if left:
            self.refuse_busily[number] = left - 1
        elif self.busy:
            self.busy -= 1
        else:
            return False
        return True

    def drops_this(self) -> bool:
        with self._lock:
            self.drops -= 1
            return self.drops >= 0

    def opened(self) -> Opened:
        settings = {"url": self.url, "timeout": 5, **self.settings}
        return Opened(public_id="c", name="CRM", settings=settings, allow_nets=["127.0.0.0/8"])

    def numbers(self) -> list[str]:
        return sorted(body["number"] for _, _, _, body in self.requests if body["name"] not in (None, "broken", "gone"))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def world() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


class TestHttpJson(Contract):
    """The same promises as every destination."""


def test_each_record_carries_its_own_key_that_stays_the_same_when_sent_again(world: Server) -> None:
    for _ in range(2):
        destination = open_destination(world)
        deliver(destination, ("1", "a"), ("2", "b"))
        destination.close()
    keys = sorted(headers["Idempotency-Key"] for _, _, headers, _ in world.requests)
    assert keys == ["token-1-0-0", "token-1-0-0", "token-2-0-0", "token-2-0-0"]
    assert {path for _, path, _, _ in world.requests} == {"/v1/customers"}


@pytest.mark.parametrize(("update_blanks", "body"), [(True, {"number": "1", "name": ""}), (False, {"number": "1"})])
def test_a_blank_value_is_sent_only_where_it_should_overwrite(
    world: Server, update_blanks: bool, body: dict[str, str]
) -> None:
    destination = open_destination(world, Line(**{**LINE.__dict__, "update_blanks": update_blanks}))
    deliver(destination, ("1", ""))
    destination.close()

    assert [sent for *_, sent in world.requests] == [body]


def test_an_answer_of_500_or_none_is_unknown(world: Server) -> None:
    destination = open_destination(world)
    delivery = deliver(destination, ("1", "a"), ("2", "broken"), ("3", "gone"))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.UNKNOWN, Bucket.UNKNOWN]
    assert not destination.repeat_safe
    assert "500" in delivery.problems[1].sentence


@pytest.mark.parametrize("records_each", [1, 3])
def test_a_sending_that_should_end_answers_for_what_was_begun_and_sends_nothing_of_the_rest(
    world: Server, records_each: int
) -> None:
    world.takes_seconds = 0.2
    world.settings = {"concurrency": 2}
    spec = DestinationSpec(kind=world.kind, connection="c")
    destination = destination_kind(world.kind).open(
        DestinationContext(spec=spec, lines=(LINE,), opened=world.opened(), is_over=lambda: True)
    )
    owners = [document for document in range(30) for _ in range(records_each)]
    batch = batch_of(*[(f"{owner:03}", "a") for owner in owners], owners=owners)
    delivery = destination.deliver(batch, ticket())
    taken = len(delivery.buckets)
    assert 1 <= taken < 30 and set(delivery.buckets) == {Bucket.CREATED}
    assert world.numbers() == [f"{owner:03}" for owner in owners if owner < taken]
    assert delivery.line_counts == [{Bucket.CREATED: taken * records_each}]
    world.takes_seconds = 0
    assert len(destination.deliver(batch, ticket(in_doubt=True)).buckets) == 30, "what is in doubt is answered whole"
    destination.close()


def test_the_options_of_the_process_go_before_what_the_connection_says(world: Server) -> None:
    world.settings, world.together = {"concurrency": 3}, Together(2)
    context = DestinationContext(
        spec=DestinationSpec(kind=world.kind, connection="c"), lines=(LINE,), opened=world.opened(), concurrency=2
    )
    destination = destination_kind(world.kind).open(context)
    deliver(destination, *[(str(n), "a") for n in range(8)])
    destination.close()
    assert world.together.most == 2


def test_a_busy_service_is_asked_again(world: Server) -> None:
    world.busy = 2
    destination = open_destination(world)
    delivery = deliver(destination, ("1", "a"))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED]


def unanswered(*, sent: bool, error: WaybillError | None = None) -> Unanswered:
    return Unanswered(sent=sent, sentence="No answer.", error=error)


@pytest.mark.parametrize(
    ("result", "in_any_case", "where_a_key_is_honoured"),
    [
        *((Answer(status=status, headers={}, body=b""), True, True) for status in (408, 425, 429, 503)),
        *((Answer(status=status, headers={}, body=b""), False, True) for status in (500, 502, 504)),
        *(
            (Answer(status=status, headers={}, body=b""), False, False)
            for status in (200, 201, 400, 404, 409, 422, 501)
        ),
        (unanswered(sent=False), True, True),
        (unanswered(sent=False, error=TransientError("Away.")), True, True),
        (unanswered(sent=False, error=DefinitionError("Forbidden.")), False, False),
        (unanswered(sent=True), False, True),
    ],
)
def test_what_may_be_answered_better_later(
    result: Answer | Unanswered, in_any_case: bool, where_a_key_is_honoured: bool
) -> None:
    assert http_json.passes(result, repeat_safe=False) is in_any_case
    assert http_json.passes(result, repeat_safe=True) is where_a_key_is_honoured


def test_only_what_was_not_taken_is_sent_again_under_its_key_as_often_as_the_process_says(world: Server) -> None:
    waits: list[tuple[int, int]] = []

    def wait(records: int, retry: int) -> bool:
        waits.append((records, retry))
        return True

    world.refuse_busily = {"2": 4 + 1, "3": 4 * 99}
    destination = open_retrying(world, retries=2, wait=wait)
    delivery = deliver(destination, ("1", "a"), ("2", "b"), ("3", "c"), ("4", None))
    destination.close()

    assert delivery.buckets == [Bucket.CREATED, Bucket.CREATED, Bucket.FAILED, Bucket.FAILED]
    assert (delivery.problems[2].code, delivery.problems[3].code) == ("http.503", "http.422")
    assert waits == [(2, 1), (1, 2)]
    assert sorted((body["number"], headers["Idempotency-Key"]) for _, _, headers, body in world.requests) == [
        ("1", "token-1-0-0"),
        ("2", "token-2-0-0"),
        ("4", "token-4-0-0"),
    ]


def test_nothing_is_sent_again_once_the_run_should_end(world: Server) -> None:
    world.refuse_busily = {"2": 4}
    destination = open_retrying(world, retries=5, wait=lambda records, retry: False)
    delivery = deliver(destination, ("1", "a"), ("2", "b"))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED]


def open_retrying(world: Server, *, retries: int, wait: Callable[[int, int], bool]) -> Destination:
    return destination_kind(world.kind).open(
        DestinationContext(
            spec=DestinationSpec(kind=world.kind, connection="c"),
            lines=(LINE,),
            opened=world.opened(),
            retries=retries,
            wait_to_retry=wait,
        )
    )


def test_the_bound_on_requests_at_once_is_kept(world: Server) -> None:
    world.settings, world.together = {"concurrency": 3}, Together(3)
    destination = open_destination(world)
    deliver(destination, *[(str(n), "a") for n in range(60)])
    destination.close()
    assert world.together.most == 3


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [
        ({"auth": "bearer", "secret": Secret("s3cret")}, "Authorization", "Bearer s3cret"),
        ({"auth": "basic", "user": "u", "secret": Secret("p")}, "Authorization", "Basic dTpw"),
        ({"auth": "header", "header": "X-Key", "secret": Secret("k")}, "X-Key", "k"),
    ],
)
def test_credentials_go_with_every_request(world: Server, settings: dict[str, Any], header: str, value: str) -> None:
    world.settings = settings
    destination = open_destination(world)
    deliver(destination, ("1", "a"))
    destination.close()
    assert world.requests[0][2][header] == value


def test_a_service_that_cannot_be_reached_takes_nothing_and_is_tried_later() -> None:
    class Nowhere:
        kind = "http_json"

        def opened(self) -> Opened:
            url = f"http://127.0.0.1:{free_port()}/"
            return Opened(public_id="c", name="CRM", settings={"url": url}, allow_nets=["127.0.0.0/8"])

        def numbers(self) -> list[str]:
            return []

    destination = open_destination(Nowhere())
    with pytest.raises(TransientError):
        deliver(destination, ("1", "a"), ("2", "b"))
    destination.close()


def test_what_was_taken_and_not_answered_is_sent_again_where_the_key_is_honoured(world: Server) -> None:
    world.settings = {"honours_key": True}
    world.drops = 2
    destination = open_destination(world)
    assert destination.repeat_safe
    delivery = deliver(destination, ("1", "a"))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED]
    assert [headers["Idempotency-Key"] for _, _, headers, _ in world.requests] == ["token-1-0-0"] * 3


def test_what_was_taken_and_not_answered_is_sent_once_where_no_key_is_honoured(world: Server) -> None:
    world.drops = 1
    destination = open_destination(world)
    delivery = deliver(destination, ("1", "a"))
    destination.close()
    assert delivery.buckets == [Bucket.UNKNOWN]
    assert delivery.problems[0].code == "unknown"
    assert len(world.requests) == 1


def test_a_document_of_which_one_line_arrived_and_another_was_refused_is_unknown(world: Server) -> None:
    destination = open_destination(world, LINE, Line(**{**LINE.__dict__, "name": "Item", "target": "items"}))
    batch = batch_of(("1", "a"), ("2", "b"))
    batch.lines.append(LineRecords(records=[["1", None], ["2", "x"]], owners=[0, 1]))
    delivery = destination.deliver(batch, ticket())
    destination.close()
    assert delivery.buckets == [Bucket.UNKNOWN, Bucket.CREATED]
    assert "422" in delivery.problems[0].sentence


@pytest.mark.parametrize(
    ("names", "bucket"),
    [
        (["a", None], Bucket.UNKNOWN),
        ([None, "a"], Bucket.UNKNOWN),
        ([None, "gone"], Bucket.UNKNOWN),
        (["gone", None], Bucket.UNKNOWN),
        ([None, None], Bucket.FAILED),
        (["a", "b"], Bucket.CREATED),
    ],
)
def test_a_document_of_which_some_records_were_refused_has_failed_only_if_none_can_have_arrived(
    world: Server, names: list[str | None], bucket: Bucket
) -> None:
    destination = open_destination(world)
    delivery = destination.deliver(batch_of(*[("1", name) for name in names], owners=[0] * len(names)), ticket())
    destination.close()
    assert delivery.buckets == [bucket]
    assert (0 in delivery.problems) is (bucket is not Bucket.CREATED)
    assert sum(delivery.line_counts[0].values()) == len(names)


def test_a_document_that_was_refused_sends_nothing_on_its_next_lines(world: Server) -> None:
    destination = open_destination(world, LINE, Line(**{**LINE.__dict__, "name": "Item", "target": "items"}))
    batch = batch_of(("1", None), ("2", "b"))
    batch.lines.append(LineRecords(records=[["1", "x"], ["2", "x"]], owners=[0, 1]))
    delivery = destination.deliver(batch, ticket())
    destination.close()
    assert delivery.buckets == [Bucket.FAILED, Bucket.CREATED]
    assert [body["number"] for _, path, _, body in world.requests if path == "/v1/items"] == ["2"]
    assert delivery.line_counts[1] == {Bucket.CREATED: 1, Bucket.HELD: 1}


@pytest.mark.parametrize("target", ["https://elsewhere.example/collect", "../admin", "a/../../b", "", "a\nb"])
def test_a_target_never_leads_away_from_the_base_address(world: Server, target: str) -> None:
    with pytest.raises(DefinitionError, match="is no path below"):
        open_destination(world, Line(**{**LINE.__dict__, "target": target}))


def test_values_keep_their_meaning_as_json(world: Server) -> None:
    fields = tuple(FieldMap(target=name) for name in ("number", "name", "amount", "count", "since", "flag"))
    destination = open_destination(world, Line(**{**LINE.__dict__, "fields": fields}))
    deliver(destination, ("00123", "Köhler", Decimal("10.50"), 7, date(2026, 1, 31), True))
    destination.close()
    assert world.requests[0][3] == {
        "number": "00123",
        "name": "Köhler",
        "amount": 10.5,
        "count": 7,
        "since": "2026-01-31",
        "flag": True,
    }


@pytest.mark.parametrize("url", ["", "ftp://x/", "http://u:p@x/", "//x", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(DefinitionError, match="no address"):
        http_json.base_url(Opened(public_id="c", name="CRM", settings={"url": url}))


def test_a_test_says_whether_the_address_answers(world: Server) -> None:
    assert http_json.test(world.opened()).ok
    closed = Opened(public_id="c", name="CRM", settings={"url": world.url})
    assert "private network" in http_json.test(closed).sentence


def test_half_of_a_character_fails_its_document_alone(world: Server) -> None:
    destination = open_destination(world)
    delivery = deliver(destination, ("1", "a"), ("2", "half \ud800"), ("3", "c"))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED, Bucket.CREATED]
    assert "name holds half of a character" in delivery.problems[1].sentence
    assert delivery.line_counts == [{Bucket.CREATED: 2, Bucket.FAILED: 1}]
    assert sorted(body["number"] for *_, body in world.requests) == ["1", "3"]
