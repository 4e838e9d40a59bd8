"""Rows of a web service: its answers are JSON, page after page, and their records become rows as those of a file do.

Reading changes nothing there, so a request that was not answered is sent again. Paging ends when a page says so; one
that comes twice, or leads to another host, ends the reading with a sentence.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from integrations.connectors.http_auth import Credentials, with_parameters
from integrations.connectors.nested import RECORD_BYTES, SHAPE, NestedSource
from integrations.connectors.spec import FieldKind, Opened, Setting, SourceContext
from integrations.egress.http import Answer, HttpDoor, Outgoing, Patience, Unanswered
from integrations.engine.batch import RowBatch
from integrations.engine.errors import AdministratorError, DefinitionError, SourceError, TransientError, WaybillError
from integrations.engine.variables import text_of

PAGES_CAP = 100_000
EMPTY_CAP = 100
SAID_CHARS = 200
BY_NUMBER = frozenset({"page", "offset"})


class RestSource:
    """`engine.ports.Source` that can be read once; the run spools it. All pages are fetched when it is first asked."""

    def __init__(self, context: SourceContext, opened: Opened, address: str) -> None:
        self._context, self._opened, self._address = context, opened, address
        self._options = context.spec.options
        self._paging = str(self._options.get("paging") or "none")
        self._over = threading.Event()
        self._file: IO[str] | None = None
        self._nested: NestedSource | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self._fetched().columns

    def read(self) -> Iterator[RowBatch]:
        return self._fetched().read()

    def interrupt(self) -> None:
        """End a read that another thread waits for, when the request that is under way is answered."""
        self._over.set()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = self._nested = None

    def _fetched(self) -> NestedSource:
        if self._nested is None:
            self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed by `close`)
            try:
                self._fetch(self._file)
            except BaseException:
                self.close()
                raise
            self._nested = NestedSource(
                self._kept,
                as_documents=self._options.get("shape") == "documents",
                declared=[column.name for column in self._context.spec.columns],
            )
        return self._nested

    def _kept(self) -> Iterator[Any]:
        assert self._file is not None
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)

    def _fetch(self, file: IO[str]) -> None:
        door = HttpDoor(
            allow_nets=self._opened.allow_nets,
            timeout=timedelta(seconds=self._seconds()),
            concurrency=1,
            patience=Patience(repeat_unanswered=True),
            answer_bytes=RECORD_BYTES,
        )
        try:
            count = 0
            for records in self._pages(Credentials(self._opened, door), door):
                count += len(records)
                file.writelines(json.dumps(record) + "\n" for record in records)
                if self._context.rows and count >= self._context.rows:
                    return
        finally:
            door.close()

    def _seconds(self) -> float:
        with suppress(ValueError):
            return min(max(float(self._opened.settings.get("timeout") or 30), 1), 300, self._context.seconds)
        raise DefinitionError(f"The seconds to wait of {self._opened.name} are no number. Correct the connection.")

    def _pages(self, credentials: Credentials, door: HttpDoor) -> Iterator[list[Any]]:
        """Yield the records of page after page."""
        size, at = self._number("page_size", 0), self._number("first", 1 if self._paging == "page" else 0)
        address, before = self._first_address(at, size), b""
        seen: set[str] = set()
        empty = 0
        until = time.monotonic() + self._context.seconds
        for page in range(1, PAGES_CAP + 1):
            if address in seen:
                raise _endless(f"page {page} has the address of an earlier one")
            if self._paging not in BY_NUMBER:
                seen.add(address)
            if self._context.rows and time.monotonic() > until:
                raise TransientError(
                    f"{self._opened.name} has not given enough rows in {self._context.seconds:.0f} s. Try again, or ask for "
                    "larger pages.",
                    code="rest.slow",
                )
            answer = self._answer(address, credentials, door)
            if answer.body == before:
                raise _endless(f"page {page} is the same as the one before it")
            said = _parsed(answer, page)
            records = self._records(said, page)
            if records:
                yield records
                before = answer.body
            empty = 0 if records else empty + 1
            if empty == EMPTY_CAP:
                raise _endless(f"{EMPTY_CAP} in a row, up to page {page:,}, have no records")
            if self._paging in BY_NUMBER:
                at += 1 if self._paging == "page" else len(records)
                address = "" if not records or len(records) < size else self._first_address(at, size)
            else:
                address = self._next_address(address, answer, said)
            if not address:
                return
        raise _endless(f"it has more than {PAGES_CAP:,} pages")

    def _first_address(self, at: int, size: int) -> str:
        parameters = {}
        if self._paging in BY_NUMBER:
            parameters[str(self._options.get("parameter") or self._paging)] = str(at)
        if size and self._paging != "none":
            parameters[str(self._options.get("size_parameter") or "limit")] = str(size)
        return with_parameters(self._address, parameters) if parameters else self._address

    def _next_address(self, address: str, answer: Answer, said: Any) -> str:
        """Give the address of the next page; "" behind the last."""
        if self._paging == "link":
            found = _linked(answer)
        elif self._paging in ("cursor", "next"):
            found = text_of(_at(said, self._path("next"))) if self._path("next") else ""
        else:
            return ""
        if not found:
            return ""
        if self._paging == "cursor":
            return with_parameters(address, {str(self._options.get("parameter") or "cursor"): found})
        following = urljoin(address, found)
        if _origin(following) != _origin(self._address):
            raise SourceError(
                f"The next page of {self._opened.name} is said to be at another host, "
                f"{urlsplit(following).hostname}. The credentials are not sent there.",
                code="rest.elsewhere",
            )
        return following

    def _answer(self, address: str, credentials: Credentials, door: HttpDoor) -> Answer:
        if self._over.is_set():
            raise SourceError("The reading was given up.", code="rest.interrupted")
        request = Outgoing(method="GET", url=address, headers={"Accept": "application/json"})
        (result,) = credentials.send_all([request])
        if isinstance(result, Unanswered):
            sentence = result.sentence.replace(" It may have taken the record.", "")
            raise result.error or TransientError(sentence, code="http.unreachable")
        if not 200 <= result.status < 300:
            raise self._refused(result)
        if not result.is_whole:
            raise TransientError(
                f"An answer of {self._opened.name} broke off, or is larger than {RECORD_BYTES >> 20} MB. Run again, or "
                "ask for smaller pages.",
                code="rest.broken_off",
            )
        return result

    def _refused(self, answer: Answer) -> WaybillError:
        said = answer.body.decode("utf-8", "replace").strip().split("\n", 1)[0][:SAID_CHARS] or "no reason given"
        sentence = f"{self._opened.name} answered {answer.status}: {said}"
        if answer.status in (401, 403):
            return AdministratorError(f"{sentence}. Correct its credentials.", code=f"http.{answer.status}")
        if answer.status == 429 or answer.status >= 500:
            return TransientError(f"{sentence}. Run again later.", code=f"http.{answer.status}")
        return SourceError(f"{sentence}. Correct the path on the Source tab.", code=f"http.{answer.status}")

    def _records(self, said: Any, page: int) -> list[Any]:
        path = self._path("records")
        found = _at(said, path)
        if isinstance(found, list):
            return found
        if found is None and path and page > 1:
            return []
        if not path and isinstance(said, dict):
            lists = [name for name, value in said.items() if isinstance(value, list)]
            hint = f"Lists stand at {', '.join(lists[:5])}." if lists else "It has no list."
        else:
            hint = "Correct the path of the records on the Source tab."
        where = f"at “{path}”" if path else "by itself"
        raise SourceError(f"The answer of {self._opened.name} is no list of records {where}. {hint}", code="rest.path")

    def _path(self, name: str) -> str:
        return str(self._options.get(name) or "").strip().strip(".")

    def _number(self, name: str, default: int) -> int:
        given = self._options.get(name)
        try:
            return int(default if given in (None, "") else given)
        except ValueError:
            raise DefinitionError(f"“{given}” is no whole number. Correct it on the Source tab.") from None


def _parsed(answer: Answer, page: int) -> Any:
    """Read an answer; numbers stay the texts that they are."""
    try:
        return json.loads(answer.body, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"Page {page} of the answer is no JSON: {str(error)[:SAID_CHARS]}.", code="rest.json"
        ) from error


def _at(said: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        said = said.get(name) if isinstance(said, dict) else None
    return said


def _linked(answer: Answer) -> str:
    """Give the address that a Link header calls the next one (RFC 8288)."""
    header = next((value for name, value in answer.headers.items() if name.lower() == "link"), "")
    for part in header.split("<")[1:]:
        target, _, parameters = part.partition(">")
        relations = [p.partition("=")[2].strip(" \"',") for p in parameters.split(";") if p.strip().startswith("rel")]
        if any("next" in relation.lower().split() for relation in relations):
            return target.strip()
    return ""


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _endless(why: str) -> SourceError:
    return SourceError(
        f"The pages of the web service have no end: {why}. Correct the paging on the Source tab.", code="rest.endless"
    )


SETTINGS = (
    Setting(
        name="path",
        label="Path",
        required=True,
        help="Below the address of the connection, such as customers?region=[GBL_REGION]. Values of variables are encoded. "
        "[WATERMARK] stands for the watermark where only changes are read.",
    ),
    Setting(
        name="records",
        label="Path of the records in the answer",
        help="Such as data.items; empty where the answer is the list itself.",
    ),
    Setting(
        name="paging",
        label="Paging",
        kind=FieldKind.CHOICE,
        default="none",
        choices=(
            ("none", "None: one answer has all"),
            ("page", "Page number"),
            ("offset", "Offset and limit"),
            ("cursor", "Cursor in the answer"),
            ("next", "Next address in the answer"),
            ("link", "Link header"),
        ),
    ),
    Setting(name="parameter", label="Parameter of the page", help="Empty: page, offset or cursor, by the paging."),
    Setting(
        name="first", label="First page or offset", kind=FieldKind.NUMBER, default="", help="Empty: page 1, offset 0."
    ),
    Setting(
        name="page_size", label="Records a page", kind=FieldKind.NUMBER, default="", help="A shorter page is the last."
    ),
    Setting(name="size_parameter", label="Parameter of the page size", help="Empty: limit."),
    Setting(
        name="next", label="Path of the next cursor or address", help="Such as meta.next; where it is empty, pages end."
    ),
    SHAPE,
)
