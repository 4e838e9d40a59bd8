"""Every address of the installation, asked for by everyone: a route opens for whom the table says and nobody else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.checks import routes
from accounts.models import Role
from accounts.policy import policy_of
from tests.accounts.table import GET, PEOPLE, TABLE, Row
from tests.accounts.world import WORD, World, state_of, text_of, undone
from tests.web.defining import shown_answers


def asked(client: Client, method: str, url: str, data: dict[str, Any] | None = None) -> Any:
    """Send one request, and read the answer to its end (`seen`)."""
    response: Any = client.get(url) if method == "GET" else client.post(url, data or {})
    response.seen = text_of(response)
    return response


def address(world: World, name: str, row: Row) -> str:
    return reverse(name, args=row.args(world, world.ours))


def answers(world: World, row: Row) -> dict[str, Any]:
    """What someone who may do it would send."""
    return row.data(world, world.ours, world.client("administrator"))


def leads_to_sign_in(response: HttpResponse) -> bool:
    return response.status_code == 302 and response["Location"].startswith(reverse("account_login"))


def test_the_table_has_a_row_for_every_route_and_no_other() -> None:
    assert {name for _, name, _ in routes()} == set(TABLE)


def test_every_row_says_what_the_view_declares() -> None:
    for _, name, view in routes():
        policy, row = policy_of(view), TABLE[name]
        assert policy is not None
        declared = (
            "nobody" if policy.public else "owner" if policy.owner else str(policy.role) if policy.role else "anyone"
        )
        assert declared == row.least, name


def test_every_parameter_of_a_route_is_given_something_of_the_company() -> None:
    for path, name, _ in routes():
        assert ("<" in path) == (TABLE[name].args is not Row.args), name


@pytest.mark.parametrize("person", PEOPLE)
def test_a_route_opens_for_whom_it_should(world: World, person: str) -> None:
    for name, row in TABLE.items():
        for method in ("GET", "POST"):
            with undone():
                row.before()
                data = answers(world, row) if method == "POST" and row.allows(person) else {}
                response = asked(world.client(person), method, address(world, name, row), data)
                said = f"{person}: {method} {name} gave {response.status_code}"
                if not row.allows(person):
                    _refused(response, row, person, said)
                elif method not in row.methods:
                    assert response.status_code == 405, said
                elif name in ("company-switch",) and person == "owner":
                    assert response.status_code == 404, said  # No member: there is nothing to switch to.
                elif name == "health":
                    assert response.status_code in (200, 503), said
                else:
                    assert response.status_code < 400, said
                    assert not leads_to_sign_in(response) or row.least == "nobody" or name == "account_logout", said


def _refused(response: HttpResponse, row: Row, person: str, said: str) -> None:
    if person == "nobody":
        assert leads_to_sign_in(response), said
    elif person == "owner":
        assert response["Location"] == reverse("no-company"), said
    else:
        assert response.status_code == 403, said
        needed = "an Owner of this installation" if row.least == "owner" else f"the role {Role(row.least).label}"
        assert needed in response.content.decode(), said


def test_a_fragment_asked_for_by_nobody_is_told_to_sign_in(client: Client, world: World) -> None:
    here = {"HX-Request": "true", "HX-Current-URL": "http://testserver/runs/?status=failed&q=a"}
    response = client.get(reverse("runs"), headers=here)

    assert response.status_code == 401
    assert response["HX-Redirect"] == "/sign-in/?next=/runs/%3Fstatus%3Dfailed%26q%3Da"


@pytest.mark.parametrize("elsewhere", ["http://evil.test/runs/", "//evil.test/runs/", "javascript:alert(1)", "\\\\x"])
def test_a_fragment_leads_back_to_a_page_of_this_installation_only(client: Client, db: None, elsewhere: str) -> None:
    response = client.get(reverse("runs"), headers={"HX-Request": "true", "HX-Current-URL": elsewhere})

    assert "evil" not in response["HX-Redirect"] and "alert" not in response["HX-Redirect"]
    assert response["HX-Redirect"].startswith("/sign-in/?next=/")


@pytest.fixture
def untouched(world: World) -> Iterator[None]:
    """Nothing that belongs to our company may differ afterwards."""
    before = state_of(world.ours.company)
    yield
    assert state_of(world.ours.company) == before


def unseen(response: Any, said: str) -> None:
    """Nothing of our company stands in the answer."""
    assert WORD not in response.seen.lower() + str(response.headers).lower(), said


def names_something(row: Row) -> bool:
    return row.args is not Row.args and row.named and row.least not in ("nobody", "owner")


@pytest.mark.usefixtures("untouched")
def test_a_stranger_with_our_addresses_finds_nothing(world: World) -> None:
    for name, row in TABLE.items():
        if not names_something(row):
            continue
        for method in row.methods:
            data = answers(world, row) if method == "POST" else {}
            response = asked(world.client("mallory"), method, address(world, name, row), data)
            assert response.status_code == 404, f"{method} {name} gave {response.status_code}"
            unseen(response, name)


@pytest.mark.usefixtures("untouched")
def test_a_strangers_own_pages_hold_nothing_of_ours(world: World) -> None:
    for name, row in TABLE.items():
        if "GET" not in row.methods or row.least == "owner":
            continue
        url = reverse(name, args=row.args(world, world.theirs))
        for query in ("", f"?q={WORD[:7]}&status=&process=&person={WORD[:7]}&thing={WORD[:7]}&cause={WORD[:7]}"):
            response = asked(world.client("mallory"), "GET", url + query)
            assert response.status_code < 500 or name == "health", name
            unseen(response, f"{name}{query}")


@pytest.mark.usefixtures("untouched")
def test_a_strangers_form_cannot_name_what_is_ours(world: World) -> None:
    mallory, ours, theirs = world.client("mallory"), world.ours, world.theirs
    key, mine = str(ours.connection.public_id), theirs.process
    mine.refresh_from_db()
    before = mine.draft

    attempts: list[tuple[str, list[Any], dict[str, Any], tuple[int, ...]]] = [
        ("company-switch", [], {"company": str(ours.company.public_id)}, (404,)),
        ("process-new", [], {"name": "N", "kind": "delimited", "source_connection": key}, (422,)),
        ("process-new", [], {"name": "N", "kind": "delimited", "destination": f"sql@{key}"}, (422,)),
        (
            "process-source-save",
            [mine.public_id],
            shown_answers(mallory, mine, "source") | {"kind": "sql_query", "connection": key},
            (422,),
        ),
        (
            "process-target-save",
            [mine.public_id],
            shown_answers(mallory, mine, "target") | {"destination": f"sql@{key}"},
            (422,),
        ),
        ("run-start", [mine.public_id], {"kept": str(ours.process.sample.public_id)}, (422,)),  # type: ignore[union-attr]
        ("process-details-save", [mine.public_id], shown_answers(mallory, mine, "details") | {"owner": "1"}, (422,)),
        ("definitions-take", [], {"kept": str(ours.export.public_id), "seen": "", "take": "0"}, (302,)),
        (
            "process-discard",
            [mine.public_id],
            {"revision": 99, "next": f"/processes/{ours.process.public_id}/"},
            (302,),
        ),
    ]
    for name, args, data, expected in attempts:
        response = asked(mallory, "POST", reverse(name, args=args), data)
        assert response.status_code in expected, f"{name} gave {response.status_code}"
        unseen(response, name)
    mine.refresh_from_db()
    assert mine.draft == before


@pytest.mark.usefixtures("untouched")
def test_fields_that_a_form_does_not_ask_for_are_not_written(world: World) -> None:
    """Whoever adds `company`, `is_owner` or a number to a form changes nothing by it."""
    more = {"company": world.ours.company.pk, "company_id": world.ours.company.pk, "is_owner": "on", "id": 1, "pk": 1}
    more |= {
        "user": world.people["administrator"].pk,
        "number": 1,
        "data_key": "x",
        "public_id": world.ours.run.public_id,
    }

    before = state_of(world.ours.company)
    for name, row in TABLE.items():
        if "POST" in row.methods and row.least in (*Role.values, "anyone") and name != "account_logout":
            with undone():
                mallory = world.client("mallory")
                data = row.data(world, world.theirs, mallory)
                response = asked(mallory, "POST", reverse(name, args=row.args(world, world.theirs)), data | more)
                assert response.status_code < 500, name
                assert state_of(world.ours.company) == before, name
                person = world.people["mallory"]
                person.refresh_from_db()
                assert not person.is_owner, name
                assert person.memberships.get().company == world.theirs.company, name


def test_a_get_changes_nothing(world: World) -> None:
    """Addresses are opened by links, previews of links and crawlers: none of them may act."""
    before = state_of(world.ours.company)

    for name, row in TABLE.items():
        if "GET" in row.methods:
            asked(world.client(row.by or _who_may(row)), "GET", address(world, name, row))

    assert state_of(world.ours.company) == before


def _who_may(row: Row) -> str:
    return next(person for person in ("administrator", "owner", "nobody") if row.allows(person))


def test_other_methods_are_refused_and_break_nothing(world: World) -> None:
    for name, row in TABLE.items():
        client = world.client(_who_may(row))
        for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"):
            with undone():
                response = client.generic(method, address(world, name, row))
                assert response.status_code < 500, f"{method} {name} gave {response.status_code}"
                if method in ("PUT", "PATCH", "DELETE", "TRACE") and row.methods == GET:
                    assert response.status_code in (405, 403), f"{method} {name} gave {response.status_code}"


def test_the_world_holds_every_kind_of_thing_a_company_owns(world: World, tmp_path: Path) -> None:
    """A new model needs a place in the furnished company, or the walk proves nothing of it."""
    state = state_of(world.ours.company)

    assert [label for label, rows in state.items() if not rows] == []
