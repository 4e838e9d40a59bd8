"""The HTTP client of everything that leaves: pinned addresses, no redirects, no proxy, a bound on what is in flight.

It tells apart what may be sent again: a request that never left, and one that left and was not answered.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt

from integrations.egress.rules import Resolver, forbidden, is_allowed, resolve, system_resolver
from integrations.engine.errors import WaybillError

ANSWER_BYTES = 65_536
"""What is read of an answer unless more is asked for; the rest is left."""

SAYS_NOTHING_OF_BEFORE = frozenset({409, 429, 503})
"""Answers that leave open whether an earlier attempt was taken: still at work on it, or too busy to look."""

LOOK_UP_SECONDS = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request. The header names and values are plain text."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `body` is bounded; `is_whole` says whether it is all that was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No answer came. `sent` true: bytes may have left, so the receiver may have acted on them."""

    sent: bool
    sentence: str
    error: WaybillError | None = None


@dataclass(frozen=True, kw_only=True)
class Patience:
    """When a request is sent again: after 429 or 503 as the answer asks, and when unanswered only if that is safe."""

    attempts: int = 4
    longest: timedelta = timedelta(seconds=30)
    repeat_unanswered: bool = False

    def retries(self, result: "Answer | Unanswered") -> bool:
        if isinstance(result, Unanswered):
            return self.repeat_unanswered and result.sent
        return result.status in (429, 503) and self.pause(result, 1) is not None

    def pause(self, result: "Answer | Unanswered", attempt: int) -> timedelta | None:
        """Give how long to wait before the next attempt; None when the receiver asks for more than our patience."""
        wanted = _retry_after(result.headers) if isinstance(result, Answer) else None
        if wanted is None:
            wanted = timedelta(seconds=0.25 * 2 ** (attempt - 1))
        return None if wanted > self.longest else wanted


def says_nothing_of_before(result: Answer | Unanswered) -> bool:
    """Say whether a result leaves open what became of an earlier attempt that was not answered."""
    return not result.sent if isinstance(result, Unanswered) else result.status in SAYS_NOTHING_OF_BEFORE


class HttpDoor:
    """Sends requests from one event loop in a thread of its own. Close it when the run ends."""

    def __init__(
        self,
        *,
        allow_nets: Sequence[str],
        timeout: timedelta = timedelta(seconds=30),
        concurrency: int = 10,
        patience: Patience | None = None,
        resolver: Resolver = system_resolver,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        self._allow_nets = allow_nets
        self._answer_bytes = answer_bytes
        self._timeout = timeout
        self._concurrency = concurrency
        self._patience = patience or Patience()
        self._resolver = resolver
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="egress", daemon=True)
        self._thread.start()
        self._session = self._do(self._open())

    def send_all(self, requests: Sequence[Outgoing]) -> list[Answer | Unanswered]:
        """Send all, at most `concurrency` at once, and give their results in order. Raises nothing for a request."""
        return self._do(self._send_all(requests, threading.Event()))

    def send_until(self, requests: Sequence[Outgoing], is_over: Callable[[], bool]) -> list[Answer | Unanswered]:
        """Do the same until `is_over`, which is asked now and then: what is on its way is waited for, and the results
        are those of the first requests. At least one is sent."""
        over = threading.Event()
        work = asyncio.run_coroutine_threadsafe(self._send_all(requests, over), self._loop)
        try:
            while not wait([work], LOOK_UP_SECONDS).done:
                if is_over():
                    over.set()
        finally:
            over.set()
        return work.result()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._do(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> aiohttp.ClientSession:
        # aiohttp declares a class here and calls any callable; ours keeps the context that a request brings.
        trace = aiohttp.TraceConfig(trace_config_ctx_factory=_trace_context)  # type: ignore[arg-type]
        trace.on_connection_create_end.append(_mark_sent)
        trace.on_connection_reuseconn.append(_mark_sent)
        connector = aiohttp.TCPConnector(
            limit=self._concurrency,
            resolver=_JudgingResolver(self._allow_nets, self._resolver),
            ttl_dns_cache=300,
            # A connection that idled longer may be closed by the other side just as we write to it.
            keepalive_timeout=2,
            socket_factory=self._socket,
        )
        seconds = self._timeout.total_seconds()
        return aiohttp.ClientSession(
            connector=connector,
            trace_configs=[trace],
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # An answer that comes in drops ends, too.
            timeout=aiohttp.ClientTimeout(total=4 * seconds, sock_connect=min(10, seconds), sock_read=seconds),
        )

    def _socket(self, info: Any) -> socket.socket:
        """Make the socket of every connection: the last place to judge an address, numeric hosts included."""
        family, kind, protocol, _, address = info
        if not is_allowed(str(address[0]), self._allow_nets):
            raise _Forbidden(str(address[0]))
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        # Without it, kept-alive connections stall 40 ms a request (delayed acknowledgements).
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    async def _send_all(self, requests: Sequence[Outgoing], over: threading.Event) -> list[Answer | Unanswered]:
        results: list[Answer | Unanswered | None] = [None] * len(requests)
        waiting = iter(enumerate(requests))

        async def take() -> None:
            for index, request in waiting:
                results[index] = await self._send(request)
                if over.is_set():
                    return

        await asyncio.gather(*(take() for _ in range(min(self._concurrency, len(requests)))))
        return [result for result in results if result is not None]

    async def _send(self, request: Outgoing) -> Answer | Unanswered:
        patience = self._patience
        attempts = AsyncRetrying(
            retry=retry_if_result(patience.retries),
            stop=stop_after_attempt(patience.attempts),
            wait=_wait(patience),
            retry_error_callback=_last_result,
        )
        left: Unanswered | None = None

        async def once() -> Answer | Unanswered:
            nonlocal left
            result = await self._send_once(request)
            if isinstance(result, Unanswered):
                # Once an attempt has left, one that did not changes nothing about it.
                left = result if result.sent else left
                return left or result
            return result

        result: Answer | Unanswered = await attempts(once)
        if left is not None and says_nothing_of_before(result):
            return left
        return result

    async def _send_once(self, request: Outgoing) -> Answer | Unanswered:
        host = urlsplit(request.url).hostname or ""
        seen = SimpleNamespace(sent=False)
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers={"Accept-Encoding": "identity", **request.headers},
                data=request.body,
                allow_redirects=False,
                trace_request_ctx=seen,
            ) as response:
                body, is_whole = await _bounded_body(response, self._answer_bytes)
                return Answer(status=response.status, headers=dict(response.headers), body=body, is_whole=is_whole)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return _unanswered(error, host, seen.sent)


class _Forbidden(OSError):
    """A socket was asked for to an address that may not be reached."""


class _JudgingResolver(AbstractResolver):
    """Resolves a name once a session and hands out only the addresses that may be reached."""

    def __init__(self, allow_nets: Sequence[str], resolver: Resolver) -> None:
        self._allow_nets, self._resolver = allow_nets, resolver
        self._pinned: dict[tuple[str, int], list[str]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if (host, port) not in self._pinned:
            loop = asyncio.get_running_loop()
            try:
                addresses = await loop.run_in_executor(None, resolve, host, port, self._allow_nets, self._resolver)
            except WaybillError as error:
                raise _NotResolved(error) from error
            self._pinned[host, port] = addresses
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._pinned[host, port]
        ]

    async def close(self) -> None:
        """Nothing is held."""


class _NotResolved(OSError):
    """Carries our own error through aiohttp, which expects one of the operating system."""

    def __init__(self, reason: WaybillError) -> None:
        super().__init__(reason.sentence)
        self.reason = reason


def _unanswered(error: BaseException, host: str, sent: bool) -> Unanswered:
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, _NotResolved):
            return Unanswered(sent=False, sentence=cause.reason.sentence, error=cause.reason)
        if isinstance(cause, _Forbidden):
            reason = forbidden(host)
            return Unanswered(sent=False, sentence=reason.sentence, error=reason)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unanswered(sent=False, sentence=f"The certificate of “{host}” is not valid for it. Nothing was sent.")
    if isinstance(error, aiohttp.ClientSSLError):
        return Unanswered(sent=False, sentence=f"“{host}” does not speak TLS as expected. Nothing was sent.")
    if isinstance(error, (aiohttp.InvalidURL, ValueError)):
        return Unanswered(sent=False, sentence="The address of the request is not valid. Nothing was sent.")
    if isinstance(error, aiohttp.ClientConnectorError) or not sent:
        return Unanswered(sent=False, sentence=f"“{host}” does not accept connections now. Nothing was sent.")
    if isinstance(error, TimeoutError):
        return Unanswered(sent=True, sentence=f"“{host}” did not answer in time. It may have taken the record.")
    return Unanswered(sent=True, sentence=f"“{host}” broke the connection off. It may have taken the record.")


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        found += list(getattr(error, "exceptions", ()))
        os_error = getattr(error, "os_error", None)
        error = error.__cause__ or error.__context__ or (os_error if os_error is not error else None)
    return found


async def _bounded_body(response: aiohttp.ClientResponse, most: int) -> tuple[bytes, bool]:
    """Give what came of the body, and whether that is all. The status is the answer: one whose body breaks off is one."""
    body = bytearray()
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        while len(body) < most:
            piece = await response.content.read(most - len(body))
            if not piece:
                return bytes(body), True
            body += piece
    return bytes(body), False


def _trace_context(trace_request_ctx: Any = None, **_: Any) -> Any:
    return trace_request_ctx


async def _mark_sent(_session: Any, context: Any, _params: Any) -> None:
    # From here on the request has a connection, and nobody can tell how much of it has left.
    context.sent = True


def _wait(patience: Patience) -> Callable[[RetryCallState], float]:
    def seconds(state: RetryCallState) -> float:
        assert state.outcome is not None
        pause = patience.pause(state.outcome.result(), state.attempt_number)
        return (patience.longest if pause is None else pause).total_seconds()

    return seconds


def _last_result(state: RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if text.isdigit():
        return timedelta(seconds=int(text[:9]))
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC), timedelta(0))
