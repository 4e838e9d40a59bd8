"""A REST endpoint as a source: real answers of a server on loopback, page by page, and every way to prove who asks."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from integrations.connectors.registry import connector, source_kind
from integrations.connectors.spec import Opened, SourceContext
from integrations.engine.errors import AdministratorError, DefinitionError, SourceError, TransientError, WaybillError
from integrations.engine.plan import SourceSpec
from integrations.engine.secret import Secret

Reply = tuple[int, Any, dict[str, str]]
SECRET = "s3cret/key&more"
FIVE = [{"id": f"0{n}", "total": 1.5} for n in range(1, 6)]


class Service:
    """A web service that answers by `reply(path, query)`; `asked` are the paths and headers of its requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.tokens = 0
        self.refuses: set[str] = set()
        self.reply: Callable[[str, dict[str, str]], Any] = lambda path, query: FIVE
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append((self.path, dict(self.headers)))
                if self.headers.get("Authorization", "") in service.refuses:
                    return self.say((401, {"error": self.headers["Authorization"]}, {}))
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                found = service.reply(parts.path, query)
                self.say(found if isinstance(found, tuple) else (200, found, {}))

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                service.asked.append((f"{self.path}?{form}", dict(self.headers)))
                service.tokens += 1
                self.say((200, {"access_token": f"token-{service.tokens}", "expires_in": 3600}, {}))

            def say(self, reply: Reply) -> None:
                status, said, headers = reply
                body = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/"

    def paths(self) -> list[str]:
        return [path.removeprefix("/v1/") for path, _ in self.asked]


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def opened(service: Service, **settings: Any) -> Opened:
    settings = {"url": service.url, "timeout": 5, **settings}
    return Opened(public_id="c", name="Shop", settings=settings, allow_nets=["127.0.0.0/8"])


def source(service: Service, *, auth: dict[str, Any] | None = None, path: str = "orders", **more: Any) -> Any:
    context = {name: more.pop(name) for name in ("values", "rows", "seconds") if name in more}
    spec = SourceSpec(kind="rest", options={"path": path, **more})
    return source_kind("rest").open(SourceContext(spec=spec, opened=opened(service, **(auth or {})), **context))


def ids(found: Any) -> list[str]:
    column = found.columns.index("id")
    rows = [row[column] for batch in found.read() for row in batch.rows]
    found.close()
    return rows


ALL = ["01", "02", "03", "04", "05"]

# ---- records and paging ---------------------------------------------------------------------------------------------


def test_an_answer_gives_rows_whose_numbers_stay_as_they_were_written(service: Service) -> None:
    text = b'{"data": {"items": [{"id": 12345678901234567890, "total": 1.10, "lines": [{"sku": "A"}, {"sku": "B"}]}]}}'
    service.reply = lambda path, query: (200, text, {})
    found = source(service, records="data.items")

    assert found.columns == ("id", "total", "lines.sku")
    assert [batch.rows for batch in found.read()] == [
        [["12345678901234567890", "1.10", "A"], ["12345678901234567890", "1.10", "B"]]
    ]
    found.close()


def pages(path: str, query: dict[str, str]) -> Any:
    """Two records a page, told in every way at once."""
    size = int(query.get("limit", 2))
    at = (int(query["page"]) - 1) * size if "page" in query else int(query.get("offset") or query.get("cursor") or 0)
    rest = at + size < len(FIVE)
    following = {"cursor": str(at + size), "next": f"/v1/orders?offset={at + size}"} if rest else {"cursor": None}
    link = {"Link": f'<?offset={at + size}>; rel="next", </v1/orders>; rel="first"'} if rest else {}
    return 200, {"rows": FIVE[at : at + size], "meta": following}, link


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (
            {"paging": "page", "page_size": 2},
            ["orders?page=1&limit=2", "orders?page=2&limit=2", "orders?page=3&limit=2"],
        ),
        ({"paging": "page"}, ["orders?page=1", "orders?page=2", "orders?page=3", "orders?page=4"]),
        ({"paging": "offset", "page_size": 3}, ["orders?offset=0&limit=3", "orders?offset=3&limit=3"]),
        ({"paging": "cursor", "next": "meta.cursor"}, ["orders", "orders?cursor=2", "orders?cursor=4"]),
        ({"paging": "next", "next": "meta.next"}, ["orders", "orders?offset=2", "orders?offset=4"]),
        ({"paging": "link"}, ["orders", "orders?offset=2", "orders?offset=4"]),
    ],
)
def test_pages_are_followed_to_the_last(service: Service, options: dict[str, Any], asked: list[str]) -> None:
    service.reply = pages

    assert ids(source(service, records="rows", **options)) == ALL
    assert service.paths() == asked


def test_a_preview_fetches_no_more_pages_than_it_shows(service: Service) -> None:
    service.reply = pages

    assert ids(source(service, records="rows", paging="page", rows=2)) == ["01", "02"]
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("options", "reply", "said"),
    [
        ({"paging": "page"}, lambda path, query: FIVE, "page 2 is the same as the one before it"),
        (
            {"paging": "next", "next": "next", "records": "rows"},
            lambda path, query: {"rows": FIVE, "next": "/v1/orders", "n": 1},
            "page 2 has the address of an earlier one",
        ),
        (
            {"paging": "next", "next": "next", "records": "rows"},
            lambda path, query: {"rows": FIVE, "next": "http://elsewhere.test/orders"},
            "is said to be at another host, elsewhere.test. The credentials are not sent there.",
        ),
        (
            {"paging": "cursor", "next": "next", "records": "rows"},
            lambda path, query: {"rows": [], "next": str(int(query.get("cursor", 0)) + 1)},
            "100 in a row, up to page 100, have no records",
        ),
        ({}, lambda path, query: {"orders": FIVE}, "is no list of records by itself. Lists stand at orders."),
        ({"records": "x.y"}, lambda path, query: {"orders": FIVE}, "is no list of records at “x.y”."),
        ({}, lambda path, query: (200, b"<html>", {}), "Page 1 of the answer is no JSON"),
        ({}, lambda path, query: (200, b"[" * 100_000, {}), "Page 1 of the answer is no JSON"),
        ({}, lambda path, query: (404, {"error": "unknown"}, {}), "Shop answered 404"),
    ],
)
def test_what_cannot_be_read_says_why(service: Service, options: dict[str, str], reply: Any, said: str) -> None:
    service.reply = reply

    with pytest.raises(SourceError) as refused:
        ids(source(service, auth={"auth": "bearer", "secret": Secret(SECRET)}, **options))
    assert said in refused.value.sentence and SECRET not in refused.value.sentence


def test_a_busy_service_is_asked_again_when_it_says_and_a_broken_answer_is_no_whole_one(service: Service) -> None:
    replies = iter([(503, "", {"Retry-After": "0"}), (429, "", {"Retry-After": "0"}), (200, FIVE, {})])
    service.reply = lambda path, query: next(replies)
    assert ids(source(service)) == ALL and len(service.asked) == 3

    service.reply = lambda path, query: (200, b'[{"id": 1}]', {"Content-Length": "500", "Connection": "close"})
    with pytest.raises(TransientError, match="broke off"):
        ids(source(service))


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AdministratorError), (403, AdministratorError), (500, TransientError)]
)
def test_a_refusal_says_who_can_help(service: Service, status: int, kind: type[WaybillError]) -> None:
    service.reply = lambda path, query: (status, {"why": "no"}, {})

    with pytest.raises(kind, match=f"Shop answered {status}"):
        ids(source(service))


def test_all_pages_of_a_preview_together_may_take_its_seconds(service: Service) -> None:
    def slowly(path: str, query: dict[str, str]) -> Any:
        time.sleep(0.1)
        return [{"id": query["page"]}]

    service.reply = slowly

    with pytest.raises(TransientError, match="Shop has not given enough rows in 1 s"):
        ids(source(service, paging="page", rows=1_000, seconds=1))
    assert len(service.asked) < 20


# ---- addresses ------------------------------------------------------------------------------------------------------


def test_the_value_of_a_variable_stays_one_step_or_one_value(service: Service) -> None:
    path = "shops/[GBL_SHOP]/orders?region=[GBL_REGION]"
    ids(source(service, path=path, values={"GBL_SHOP": "a/b?c", "GBL_REGION": "North & South=1#x"}))

    assert service.paths() == ["shops/a%2Fb%3Fc/orders?region=North%20%26%20South%3D1%23x"]


@pytest.mark.parametrize("value", ["..", "../../admin", "%2e%2e/x/../.."])
def test_no_value_climbs_out_of_the_base_address(service: Service, value: str) -> None:
    with pytest.raises(DefinitionError, match="Correct the path of the source"):
        source(service, path="shops/[GBL_SHOP]/orders", values={"GBL_SHOP": value.replace("%2e", ".")})


# ---- who asks -------------------------------------------------------------------------------------------------------

BASIC = "Basic " + base64.b64encode(f"waybill:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    ("settings", "header", "value", "path"),
    [
        ({"auth": "none"}, "Authorization", None, "orders"),
        ({"auth": "basic", "user": "waybill"}, "Authorization", BASIC, "orders"),
        ({"auth": "bearer"}, "Authorization", f"Bearer {SECRET}", "orders"),
        ({"auth": "header", "header": "X-Key"}, "X-Key", SECRET, "orders"),
        ({"auth": "query", "header": "key"}, "Authorization", None, "orders?key=s3cret/key%26more"),
    ],
    ids=["none", "basic", "bearer", "header", "query"],
)
def test_each_request_proves_who_asks(
    service: Service, settings: dict[str, str], header: str, value: str | None, path: str
) -> None:
    assert ids(source(service, auth={"secret": Secret(SECRET), **settings})) == ALL
    assert (service.paths(), service.asked[0][1].get(header)) == ([path], value)


def oauth(service: Service) -> dict[str, Any]:
    token_url = service.url.replace("/v1/", "/token")
    return {"auth": "oauth2", "user": "client", "secret": Secret("hush"), "token_url": token_url, "scope": "read all"}


def test_a_token_is_fetched_once_and_anew_where_it_is_refused(service: Service) -> None:
    service.reply = pages
    service.refuses = {"Bearer token-1"}

    assert ids(source(service, auth=oauth(service), records="rows", paging="page")) == ALL
    assert service.tokens == 2
    assert service.asked[0][0] == "/token?grant_type=client_credentials&scope=read+all"
    assert service.asked[0][1]["Authorization"] == "Basic " + base64.b64encode(b"client:hush").decode()
    assert [headers["Authorization"] for _, headers in service.asked[3:]] == ["Bearer token-2"] * 4


def test_a_token_that_stays_refused_is_not_repeated_to_anyone(service: Service) -> None:
    service.refuses = {f"Bearer token-{n}" for n in range(9)}

    with pytest.raises(AdministratorError) as refused:
        ids(source(service, auth=oauth(service)))
    assert "token-2" not in refused.value.sentence and service.tokens == 2


def test_a_connection_without_a_token_says_so(service: Service) -> None:
    tested = connector("http").test(opened(service, **{**oauth(service), "token_url": service.url + "none"}))
    assert tested.ok, "the token address of this service answers everywhere"

    with pytest.raises(DefinitionError, match="Correct the token address of Shop"):
        ids(source(service, auth={**oauth(service), "token_url": "ftp://x"}))
