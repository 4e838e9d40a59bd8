"""Who sends: the credentials of an HTTP connection, put into each request and kept out of everything else.

A token of OAuth 2 (client credentials) is fetched when it is needed, used until shortly before it ends, and fetched anew
once when a request is refused because of it.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from integrations.connectors.spec import FieldKind, Opened, Setting
from integrations.egress.http import Answer, HttpDoor, Outgoing, Unanswered
from integrations.engine.errors import AdministratorError, DefinitionError, TransientError, WaybillError
from integrations.engine.secret import DOTS, Secret

EARLY_SECONDS = 30.0
"""A token is fetched anew this long before it ends."""
LASTS_SECONDS = 300.0
"""How long a token is used that does not say when it ends."""

WITH_USER, WITH_OAUTH = ("auth", "basic"), ("auth", "oauth2")
SETTINGS = (
    Setting(
        name="auth",
        label="Authentication",
        kind=FieldKind.CHOICE,
        default="none",
        choices=(
            ("none", "None"),
            ("basic", "User and password"),
            ("bearer", "Bearer token"),
            ("header", "Key in a header"),
            ("query", "Key in the address"),
            ("oauth2", "OAuth 2, client credentials"),
        ),
    ),
    Setting(name="user", label="User", help="Of user and password, or the client of OAuth 2."),
    Setting(
        name="header", label="Header or parameter", help="For a key in a header or in the address.", default="X-API-Key"
    ),
    Setting(
        name="token_url", leads=True, label="Token address", only_with=WITH_OAUTH, help="Where tokens are fetched."
    ),
    Setting(name="scope", label="Scope", only_with=WITH_OAUTH, help="As the service names it; may be empty."),
    Setting(
        name="secret", label="Password, token or key", kind=FieldKind.SECRET, help="Of OAuth 2, the client's secret."
    ),
)


class Credentials:
    """The credentials of one connection, for requests through one door."""

    def __init__(self, opened: Opened, door: HttpDoor) -> None:
        self._opened, self._door = opened, door
        self._settings = opened.settings
        self._kind = str(self._settings.get("auth") or "none")
        self._token = ""
        self._until = 0.0

    def send_all(
        self,
        requests: Sequence[Outgoing],
        send: Callable[[Sequence[Outgoing]], list[Answer | Unanswered]] | None = None,
    ) -> list[Answer | Unanswered]:
        """Send requests with the credentials in them, by `send` or all. Those whose token was refused go once more with a
        new one: the answer 401 says that they were not taken. Raises `WaybillError` when no token can be had."""
        send = send or self._door.send_all
        results = send([self.signed(request) for request in requests])
        refused = [n for n, result in enumerate(results) if isinstance(result, Answer) and result.status == 401]
        if refused and self._kind == "oauth2":
            self._token = ""
            again = self._door.send_all([self.signed(requests[n]) for n in refused])
            for number, result in zip(refused, again, strict=True):
                results[number] = result
        return [self._without_token(result) for result in results]

    def _without_token(self, result: Answer | Unanswered) -> Answer | Unanswered:
        """Give a result that does not repeat the token, which no connection knows and nobody else would mask."""
        if isinstance(result, Answer) and self._token and self._token.encode() in result.body:
            return replace(result, body=result.body.replace(self._token.encode(), DOTS.encode()))
        return result

    def signed(self, request: Outgoing) -> Outgoing:
        """Give a request with what proves who sends it."""
        name = str(self._settings.get("header") or "X-API-Key")
        match self._kind:
            case "basic":
                pair = f"{self._settings.get('user') or ''}:{self._secret}".encode()
                return self._with(request, "Authorization", "Basic " + base64.b64encode(pair).decode())
            case "bearer":
                return self._with(request, "Authorization", f"Bearer {self._secret}")
            case "header":
                return self._with(request, name, self._secret)
            case "query":
                return replace(request, url=with_parameters(request.url, {name: self._secret}))
            case "oauth2":
                return self._with(request, "Authorization", f"Bearer {self._valid_token()}")
        return request

    @property
    def header(self) -> str:
        """The name of the header that proves who sends, or ""."""
        if self._kind in ("basic", "bearer", "oauth2"):
            return "Authorization"
        return str(self._settings.get("header") or "X-API-Key") if self._kind == "header" else ""

    @property
    def _secret(self) -> str:
        secret = self._settings.get("secret")
        return secret.reveal() if isinstance(secret, Secret) else str(secret or "")

    def _with(self, request: Outgoing, name: str, value: str) -> Outgoing:
        return replace(request, headers={**request.headers, name: value})

    def _valid_token(self) -> str:
        if not self._token or time.monotonic() > self._until:
            self._token, seconds = self._fetched()
            self._until = time.monotonic() + seconds
        return self._token

    def _fetched(self) -> tuple[str, float]:
        url = str(self._settings.get("token_url") or "").strip()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise DefinitionError(
                f"“{url}” is no address of tokens. Correct the token address of {self._opened.name}.", code="http.token"
            )
        pair = f"{quote(str(self._settings.get('user') or ''), safe='')}:{quote(self._secret, safe='')}".encode()
        asked = {"grant_type": "client_credentials"}
        if scope := str(self._settings.get("scope") or "").strip():
            asked["scope"] = scope
        headers = {
            "Authorization": "Basic " + base64.b64encode(pair).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        (result,) = self._door.send_all(
            [Outgoing(method="POST", url=url, headers=headers, body=urlencode(asked).encode())]
        )
        if isinstance(result, Unanswered):
            raise result.error or TransientError(f"No token could be fetched: {result.sentence}", code="http.token")
        return _token_in(result, self._opened.name)


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """Give an address with these parameters, in place of those it has by the same names."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in parameters]
    return urlunsplit(parts._replace(query=urlencode([*kept, *parameters.items()], quote_via=quote)))


def _token_in(answer: Answer, name: str) -> tuple[str, float]:
    """Read a token and the seconds for which it is used. What the service said else is not repeated: it may be secret."""
    found: Any = None
    if answer.status == 200:
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
    token = found.get("access_token") if isinstance(found, dict) else None
    if not isinstance(token, str) or not token or not token.isprintable():
        error: type[WaybillError] = TransientError if answer.status in (429, 503) else AdministratorError
        raise error(
            f"The token address of {name} answered {answer.status} and gave no token. Check the client, its secret and the "
            "scope of the connection.",
            code="http.token",
        )
    try:
        lasts = float(found.get("expires_in") or LASTS_SECONDS)
    except (TypeError, ValueError):
        lasts = LASTS_SECONDS
    return token, max(lasts - EARLY_SECONDS, lasts / 2)
