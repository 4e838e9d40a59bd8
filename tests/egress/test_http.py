"""The door to the network, against real servers on loopback: what leaves, where it goes, and what an answer is worth."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from itertools import chain, repeat
from typing import Self

import pytest

from integrations.egress.http import ANSWER_BYTES, Answer, HttpDoor, Outgoing, Patience, Unanswered
from integrations.engine.errors import AdministratorError
from tests.servers import Together, free_port

LOOPBACK = ["127.0.0.0/8", "::1/128"]
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

Say = Callable[[socket.socket, bytes], None]
"""Answers one request on its connection; the connection is closed behind it."""


class Server:
    """Takes one request a connection and has `say` answer it. Keeps the requests it took."""

    def __init__(self, say: Say | bytes, *, host: str = "127.0.0.1") -> None:
        self._say = say
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, 0), family=family)
        self.port = self._listening.getsockname()[1]
        self.requests: list[bytes] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def stop_listening(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def __exit__(self, *error: object) -> None:
        self.stop_listening()
        for thread in (self._accepting, *self._threads):
            thread.join()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection):
            request = self._request(connection)
            if not request:
                return
            with self._lock:
                self.requests.append(request)
            try:
                if isinstance(self._say, bytes):
                    connection.sendall(self._say)
                else:
                    self._say(connection, request)
            except OSError:
                pass  # The client has left; what it makes of that is what the test asks.

    def _request(self, connection: socket.socket) -> bytes:
        taken = b""
        while b"\r\n\r\n" not in taken:
            part = connection.recv(65_536)
            if not part:
                return b""
            taken += part
        head, _, body = taken.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65_536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def servers() -> Iterator[Callable[[Say | bytes], Server]]:
    with ExitStack() as stack:
        yield lambda say, **how: stack.enter_context(Server(say, **how))


@pytest.fixture
def doors() -> Iterator[Callable[..., HttpDoor]]:
    with ExitStack() as stack:

        def opened(*, allow_nets: Sequence[str] = LOOPBACK, seconds: float = 5, **how: object) -> HttpDoor:
            door = HttpDoor(allow_nets=allow_nets, timeout=timedelta(seconds=seconds), **how)  # type: ignore[arg-type]
            stack.callback(door.close)
            return door

        yield opened


def post(url: str, body: bytes = b"{}") -> Outgoing:
    return Outgoing(method="POST", url=url, headers={"Content-Type": "application/json"}, body=body)


# ---- where it may go -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"])
def test_a_private_address_is_never_connected_to_however_it_is_written(servers, doors, host: str) -> None:
    server = servers(OK)
    (result,) = doors(allow_nets=[]).send_all([post(server.url(host=host))])

    assert isinstance(result, Unanswered) and not result.sent
    assert server.requests == []


def test_the_sentence_of_a_forbidden_address_names_who_can_open_it(servers, doors) -> None:
    (result,) = doors(allow_nets=[]).send_all([post(servers(OK).url())])

    assert isinstance(result.error, AdministratorError)
    assert "private network" in result.sentence and "WAYBILL_ALLOW_NETS" in result.sentence


def test_a_mapped_address_is_judged_as_the_one_it_carries(servers, doors) -> None:
    server = servers(OK)
    resolver = lambda host, port: ["::ffff:127.0.0.1"]  # noqa: E731
    (refused,) = doors(allow_nets=["::/0"], resolver=resolver).send_all([post(server.url(host="crm.example"))])

    assert isinstance(refused, Unanswered) and server.requests == []


def test_a_name_is_resolved_once_so_that_it_cannot_change_its_mind(servers, doors) -> None:
    server = servers(OK)
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) > 1 else ["127.0.0.1"]

    door = doors(allow_nets=["127.0.0.1/32"], resolver=rebinding)
    results = [door.send_all([post(server.url(host="crm.example"))])[0] for _ in range(3)]

    assert [result.status for result in results] == [200, 200, 200]
    assert asked == ["crm.example"]
    assert all(b"Host: crm.example" in request for request in server.requests)


def test_a_name_that_becomes_private_between_two_looks_is_refused_at_the_socket(servers, doors) -> None:
    server = servers(OK)
    door = doors(allow_nets=[], resolver=lambda host, port: ["93.184.216.34", "127.0.0.1"])
    found = door._do(door._session.connector._resolver.resolve("crm.example", server.port))

    assert [item["host"] for item in found] == ["93.184.216.34"], "the private one of its addresses is never handed out"


def test_a_proxy_of_the_environment_is_not_used(servers, doors, monkeypatch: pytest.MonkeyPatch) -> None:
    server, proxy = servers(OK), servers(OK)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url())
    (result,) = doors().send_all([post(server.url())])

    assert result.status == 200
    assert len(server.requests) == 1 and proxy.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(servers, doors, status: int) -> None:
    elsewhere = servers(OK)
    server = servers(f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url()}\r\nContent-Length: 0\r\n\r\n".encode())
    (result,) = doors().send_all([post(server.url())])

    assert isinstance(result, Answer) and result.status == status
    assert elsewhere.requests == []


def test_cookies_are_not_kept(servers, doors) -> None:
    # The server takes one request a connection: it says so, or the second might go to the one that it is closing.
    server = servers(b"HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    door = doors()
    for _ in range(2):
        door.send_all([post(server.url())])

    assert b"Cookie" not in server.requests[1]


# ---- what an answer is worth -----------------------------------------------------------------------------------------


def dropped(connection: socket.socket, request: bytes) -> None:
    """Take the request and close without a word."""


def silent(connection: socket.socket, request: bytes) -> None:
    connection.recv(1)


def dripping(connection: socket.socket, request: bytes) -> None:
    for byte in OK:
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


def test_a_connection_that_is_refused_took_nothing(doors) -> None:
    (result,) = doors().send_all([post(f"http://127.0.0.1:{free_port()}/")])

    assert isinstance(result, Unanswered) and not result.sent
    assert result.sentence == "“127.0.0.1” does not accept connections now. Nothing was sent."


@pytest.mark.parametrize(
    ("say", "words"),
    [
        (dropped, "broke the connection off"),
        (silent, "did not answer in time"),
        (b"HTTP/1.1 20", "broke the connection off"),
        (b"this is no HTTP\r\n\r\n", "broke the connection off"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n", "broke the connection off"),
    ],
    ids=["dropped", "silent", "cut in its head", "no HTTP", "endless header"],
)
def test_what_left_and_was_not_answered_may_have_been_taken(servers, doors, say: Say | bytes, words: str) -> None:
    server = servers(say)
    (result,) = doors(seconds=1).send_all([post(server.url())])

    assert isinstance(result, Unanswered) and result.sent, result
    assert words in result.sentence and "It may have taken the record." in result.sentence
    assert len(server.requests) == 1, "it is not sent again"


def test_an_answer_that_comes_in_drops_ends_in_time(servers, doors) -> None:
    server = servers(dripping)
    door = doors(seconds=1)
    began = time.monotonic()
    (result,) = door.send_all([post(server.url())])

    assert isinstance(result, Unanswered) and result.sent
    assert time.monotonic() - began < 60


def test_what_was_dropped_is_sent_again_where_that_changes_nothing(servers, doors) -> None:
    turns = iter([dropped, dropped, lambda connection, request: connection.sendall(OK)])
    server = servers(lambda connection, request: next(turns)(connection, request))
    (result,) = doors(patience=Patience(repeat_unanswered=True)).send_all([post(server.url(), b'{"n": 1}')])

    assert result.status == 200
    assert [request.rsplit(b"\r\n\r\n", 1)[1] for request in server.requests] == [b'{"n": 1}'] * 3


@pytest.mark.parametrize("status", [409, 429, 503])
def test_what_left_once_is_not_called_refused_because_a_later_attempt_met_a_busy_receiver(
    servers, doors, status: int
) -> None:
    no = f"HTTP/1.1 {status} No\r\nRetry-After: 0\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
    turns = chain([dropped], repeat(lambda connection, request: connection.sendall(no)))
    server = servers(lambda connection, request: next(turns)(connection, request))
    (result,) = doors(patience=Patience(repeat_unanswered=True)).send_all([post(server.url())])

    assert isinstance(result, Unanswered) and result.sent, result
    assert "It may have taken the record." in result.sentence and len(server.requests) > 1


def test_what_left_once_may_have_been_taken_though_later_attempts_cannot_connect(servers, doors) -> None:
    server: Server

    def drop_and_go_away(connection: socket.socket, request: bytes) -> None:
        server.stop_listening()

    server = servers(drop_and_go_away)
    (result,) = doors(patience=Patience(repeat_unanswered=True)).send_all([post(server.url())])

    assert isinstance(result, Unanswered) and result.sent, result
    assert len(server.requests) == 1


def test_an_answer_to_a_repetition_counts_where_it_says_what_became_of_the_first(servers, doors) -> None:
    no = b"HTTP/1.1 422 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    turns = iter([dropped, lambda connection, request: connection.sendall(no)])
    server = servers(lambda connection, request: next(turns)(connection, request))
    (result,) = doors(patience=Patience(repeat_unanswered=True)).send_all([post(server.url())])

    assert isinstance(result, Answer) and result.status == 422


def test_an_answer_whose_body_breaks_off_is_an_answer(servers, doors) -> None:
    server = servers(b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\nbroken")
    (result,) = doors().send_all([post(server.url())])

    assert isinstance(result, Answer) and result.status == 201


def test_only_the_beginning_of_a_large_answer_is_read(servers, doors) -> None:
    server = servers(b"HTTP/1.1 500 No\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 5_000_000)
    (result,) = doors().send_all([post(server.url())])

    assert isinstance(result, Answer) and len(result.body) == ANSWER_BYTES


def test_a_packed_answer_is_not_unpacked_without_bound(servers, doors) -> None:
    import gzip

    packed = gzip.compress(b"0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    server = servers(head + packed)
    (result,) = doors().send_all([post(server.url())])

    assert isinstance(result, Answer) and len(result.body) <= ANSWER_BYTES
    assert b"Accept-Encoding: identity" in server.requests[0]


# ---- patience and bounds ---------------------------------------------------------------------------------------------


def busy(status: int, times: int, retry_after: str) -> Say:
    left = iter(range(times))

    def say(connection: socket.socket, request: bytes) -> None:
        wait = f"Retry-After: {retry_after}\r\n" if retry_after else ""
        no = f"HTTP/1.1 {status} Busy\r\n{wait}Connection: close\r\nContent-Length: 0\r\n\r\n".encode()
        connection.sendall(no if next(left, None) is not None else OK)

    return say


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", ["0", "", "Wed, 21 Oct 2015 07:28:00 GMT"], ids=["at once", "unsaid", "past"])
def test_a_busy_receiver_is_asked_again_soon(servers, doors, status: int, retry_after: str) -> None:
    server = servers(busy(status, 2, retry_after))
    began = time.monotonic()
    (result,) = doors().send_all([post(server.url())])

    assert result.status == 200 and len(server.requests) == 3
    assert time.monotonic() - began < 20


def test_a_receiver_is_asked_again_no_sooner_than_it_asks(servers, doors) -> None:
    server = servers(busy(429, 1, "2"))
    began = time.monotonic()
    (result,) = doors().send_all([post(server.url())])

    assert result.status == 200
    assert time.monotonic() - began >= 2


def test_a_receiver_that_asks_for_more_than_our_patience_is_believed(servers, doors) -> None:
    server = servers(busy(503, 9, "3600"))
    (result,) = doors().send_all([post(server.url())])

    assert result.status == 503 and len(server.requests) == 1


def test_a_receiver_that_stays_busy_is_left_in_the_end(servers, doors) -> None:
    server = servers(busy(429, 99, "0"))
    (result,) = doors(patience=Patience(attempts=3)).send_all([post(server.url())])

    assert result.status == 429 and len(server.requests) == 3


def test_no_more_requests_are_in_flight_than_allowed_and_answers_keep_their_order(servers, doors) -> None:
    together = Together(7)

    def slowly(connection: socket.socket, request: bytes) -> None:
        together.visit()
        number = request.rsplit(b"\r\n\r\n", 1)[1]
        connection.sendall(OK.replace(b"Length: 2", b"Length: %d" % len(number))[:-2] + number)

    server = servers(slowly)
    results = doors(concurrency=7).send_all([post(server.url(), str(n).encode()) for n in range(77)])

    assert [int(result.body) for result in results] == list(range(77))
    assert together.most == 7
