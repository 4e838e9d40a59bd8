"""Values looked up at a web service: real answers of a server on loopback."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from integrations.connectors.http_lookup import HttpFinder
from integrations.connectors.registry import connector
from integrations.connectors.spec import Opened
from integrations.engine.errors import AdministratorError, DefinitionError
from integrations.engine.plan import Lookup, Match
from integrations.engine.ports import Found
from tests.connectors.test_rest import Service, service

__all__ = ["service"]

BY_CODE = Lookup(connection="1", table="customers/{code}", matches=(Match(field="code", column="Code"),), result="name")
MakeFinder = Callable[..., HttpFinder]


@pytest.fixture
def finder(service: Service) -> Iterator[MakeFinder]:
    made: list[HttpFinder] = []

    def make(**settings: Any) -> HttpFinder:
        given = {"url": service.url, "timeout": 20, **settings}
        opening = connector("http").finder
        assert opening is not None
        found = opening(Opened(public_id="1", name="Shop", settings=given, allow_nets=("127.0.0.0/8",)), 30.0)
        assert isinstance(found, HttpFinder)
        made.append(found)
        return found

    yield make
    for item in made:
        item.close()


@pytest.mark.parametrize(
    ("result", "answer", "found"),
    [
        ("name", {"name": "Acme"}, Found(1, "Acme")),
        ("name", [{"name": "Acme"}], Found(1, "Acme")),
        ("name", [{"name": "Acme"}, {"name": "Bolt"}], Found(2, "Acme")),
        ("name", [], Found(0)),
        ("name", {"name": None}, Found(1)),
        ("name", {"other": 1}, Found(1)),
        ("name", None, Found(0)),
        ("name", (204, b"", {}), Found(0)),
        ("name", (404, {"error": "no such"}, {}), Found(0)),
        ("data.items.name", {"data": {"items": [{"name": "Acme"}]}}, Found(1, "Acme")),
        ("data.items.name", {"data": {"items": []}}, Found(0)),
        ("data.items.name", {"data": None}, Found(0)),
        ("data.items.name", {}, Found(0)),
        ("codes", {"codes": ["a", "b"]}, Found(2, "a")),
        ("id", {"id": 7}, Found(1, "7")),
        ("rate", (200, b'{"rate": 1.50}', {}), Found(1, "1.50")),
        ("is_open", {"is_open": True}, Found(1, "true")),
        ("", [1, 2, 3], Found(3, "1")),
    ],
)
def test_an_answer_is_as_many_rows_as_stand_at_the_path(
    service: Service, finder: MakeFinder, result: str, answer: Any, found: Found
) -> None:
    service.reply = lambda path, query: answer
    assert finder().find(replace(BY_CODE, result=result), [("A1",)]) == [found]


def test_keys_stand_encoded_in_the_path_and_what_could_lead_elsewhere_is_not_asked(
    service: Service, finder: MakeFinder
) -> None:
    service.reply = lambda path, query: {"name": f"{path} {query}"}
    how = replace(
        BY_CODE, table="c/{code}?in={region}", matches=(Match(field="code"), Match(field="region", variable="GBL_R"))
    )
    keys = [("a/b?c d", "ä=1&x"), ("..", "x"), ("a/../b", "x"), ("", "x"), (" ", "x"), ("half \ud800", "x")]
    found = finder().find(how, keys)
    assert service.paths() == ["c/a%2Fb%3Fc%20d?in=%C3%A4%3D1%26x"]
    assert [item.rows for item in found] == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("answer", "fault", "passing"),
    [
        ((500, b"down\nmore", {}), "Shop answered 500: down", True),
        ((400, b"bad code", {}), "Shop answered 400: bad code", False),
        ((302, b"", {"Location": "/v1/other"}), "Shop answered 302: no reason given", False),
        ((200, b"<html>", {}), "the answer of Shop is no JSON", False),
        ((200, b'"' + b"x" * (1 << 20) + b'"', {}), "the answer of Shop broke off, or is larger than 1 MB", False),
    ],
)
def test_one_key_that_gets_no_answer_leaves_the_others_theirs(
    service: Service, finder: MakeFinder, answer: Any, fault: str, passing: bool
) -> None:
    service.reply = lambda path, query: answer if path.endswith("bad") else {"name": "Acme"}
    good, bad = finder().find(BY_CODE, [("good",), ("bad",)])
    assert (good, bad) == (Found(1, "Acme"), Found(-1, fault=fault, passing=passing))


def test_a_service_that_is_busy_is_asked_again(service: Service, finder: MakeFinder) -> None:
    replies = iter([(503, b"", {"Retry-After": "0"}), {"name": "Acme"}])
    service.reply = lambda path, query: next(replies)
    assert finder().find(BY_CODE, [("A1",)]) == [Found(1, "Acme")]


def test_credentials_that_are_refused_end_it(service: Service, finder: MakeFinder) -> None:
    service.reply = lambda path, query: (401, b"who are you", {})
    with pytest.raises(AdministratorError, match=r"Shop answered 401: who are you\. Correct its credentials"):
        finder().find(BY_CODE, [("A1",)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"table": "customers"}, r"The path customers has no \{code\} for what is compared"),
        ({"table": "c/{code}/{region}"}, r"has \{region\}, and nothing says what goes there"),
        ({"table": "../{code}"}, "is no path below"),
        ({"table": "http://elsewhere.test/{code}"}, "is no path below"),
    ],
)
def test_a_path_that_does_not_fit_is_refused(finder: MakeFinder, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        finder().check(replace(BY_CODE, **changes))


def test_nobody_at_the_address_may_pass(finder: MakeFinder) -> None:
    (found,) = finder(url="http://127.0.0.1:1/").find(BY_CODE, [("A1",)])
    assert found.passing and "does not accept connections now" in found.fault
