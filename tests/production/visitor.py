"""A person's browser, as far as HTTP goes: from an address of its own, with cookies, over TLS where there is."""

import re
import ssl
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode, urlsplit

CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Page:
    status: int
    headers: HTTPMessage
    text: str


@dataclass(kw_only=True)
class Visitor:
    """`sees` is the address of the installation; it may change while the cookies stay."""

    sees: str
    comes_from: str = "127.0.0.1"
    trusts: Path | None = None
    says: dict[str, str] = field(default_factory=dict)
    cookies: SimpleCookie = field(default_factory=SimpleCookie)

    def get(self, path: str) -> Page:
        return self._ask("GET", path, "", {})

    def post(self, path: str, fields: dict[str, str], *, form: str = "") -> Page:
        """Fill in the form of a page (`form`, or the page itself) and send it."""
        token = CSRF.search(self.get(form or path).text)
        assert token, f"there is no form on {form or path}"
        body = urlencode({"csrfmiddlewaretoken": token[1], **fields})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.sees.startswith("https:"):
            headers["Referer"] = self.sees + (form or path)
        return self._ask("POST", path, body, headers)

    def signs_in(self, email: str, password: str) -> Page:
        return self.post("/sign-in/", {"login": email, "password": password})

    def _ask(self, method: str, path: str, body: str, headers: dict[str, str]) -> Page:
        connection = self._connection()
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        headers = {**headers, **self.says, **({"Cookie": cookies} if cookies else {})}
        try:
            connection.request(method, path, body=body or None, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        for given in answer.headers.get_all("Set-Cookie", []):
            self.cookies.load(given)
        return Page(status=answer.status, headers=answer.headers, text=text)

    def _connection(self) -> HTTPConnection:
        place = urlsplit(self.sees)
        assert place.hostname and place.port
        source = (self.comes_from, 0)
        if place.scheme == "https":
            context = ssl.create_default_context(cafile=self.trusts)
            return HTTPSConnection(place.hostname, place.port, source_address=source, timeout=30, context=context)
        return HTTPConnection(place.hostname, place.port, source_address=source, timeout=30)
