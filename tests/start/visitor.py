"""A person at the web door, without a browser: cookies, forms, files."""

import re
import urllib.error
import urllib.request
import uuid
from http.cookiejar import CookieJar
from typing import NamedTuple
from urllib.parse import urlencode

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Page(NamedTuple):
    status: int
    url: str
    text: str


class Visitor:
    """Follows redirects and keeps cookies. A form is fetched before it is posted, as a browser does."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open

    def get(self, path: str) -> Page:
        return self._ask(urllib.request.Request(self._address(path)))

    def post(self, path: str, *, form: str = "", **fields: str) -> Page:
        """Fill in the form on the page `form` (or on `path` itself) and send it to `path`."""
        fields["csrfmiddlewaretoken"] = self._token(form or path)
        return self._send(path, urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def upload(self, path: str, *, form: str, name: str, content: bytes, **fields: str) -> Page:
        fields["csrfmiddlewaretoken"] = self._token(form)
        border = uuid.uuid4().hex
        parts = [
            f'--{border}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{fields[key]}\r\n' for key in fields
        ]
        head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = ("".join(parts) + head).encode() + content + f"\r\n--{border}--\r\n".encode()
        return self._send(path, body, f"multipart/form-data; boundary={border}")

    def sign_in(self, email: str, password: str) -> Page:
        return self.post("/sign-in/", login=email, password=password)

    def run(self, process: str, *, name: str = "", content: bytes = b"") -> int:
        """Run an integration from its panel, with an upload or with its own file; give the run's number."""
        found = re.search(rf'href="(/run/[0-9a-f-]+/)"[^>]*>(?:(?!</a>).)*{process}', self.get("/run/").text, re.DOTALL)
        assert found, f"{process} cannot be run by this person"
        panel = found[1]
        if content:
            page = self.upload(f"{panel}start/", form=panel, name=name, content=content)
        else:
            page = self.post(f"{panel}start/", form=panel)
        number = re.search(r"/runs/(\d+)/summary/", page.url)
        assert number, f"{page.status} {page.url}\n{page.text}"
        return int(number[1])

    def _token(self, path: str) -> str:
        page = self.get(path)
        token = TOKEN.search(page.text)
        assert token, f"no form on {path}: {page.status}"
        return token[1]

    def _send(self, path: str, body: bytes, kind: str) -> Page:
        headers = {"Content-Type": kind, "Referer": self._address(path)}
        return self._ask(urllib.request.Request(self._address(path), data=body, headers=headers))

    def _address(self, path: str) -> str:
        return path if path.startswith("http") else self._url + path

    def _ask(self, request: urllib.request.Request) -> Page:
        try:
            with self._open(request, timeout=60) as answer:
                return Page(answer.status, answer.url, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, error.url or "", error.read().decode())
