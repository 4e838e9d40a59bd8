"""Whatever is sent, the answer is a page in plain words: never a fault of ours."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests.accounts.table import TABLE, Row
from tests.accounts.world import World, state_of, undone

ODD = {
    "a NUL": "a\0b",
    "very long": "x" * 70_000,
    "a superscript two": "²",
    "arabic digits": "٣",
    "half a character": "\ud800",
    "a huge number": "9" * 5_000,
    "a negative number": "-1",
    "not a number": "NaN",
    "line breaks": "a\r\nSet-Cookie: b=c",
    "markup": "<script>alert(1)</script>",
    "a template": "{{ settings.SECRET_KEY }}{% debug %}",
    "a format": "%s%n{0.__class__}",
    "a quote": "' OR 1=1 --",
    "a path": "../../../../etc/passwd",
    "right to left": "\u202etxt.exe",
    "nothing": "",
    "spaces": "   ",
}
A_FORM = 5
"""Fields of a form that are tried, spread over all of it."""
QUERY = ("page", "before", "after", "q", "status", "process", "period", "cause", "show", "kind", "sample", "action")
QUERY += ("person", "thing", "next", "number")


def posts() -> Iterator[tuple[str, Row]]:
    for name, row in TABLE.items():
        if "POST" in row.methods and name != "account_logout":
            yield name, row


def who(row: Row) -> str:
    return next(person for person in ("administrator", "owner", "nobody") if row.allows(person))


def harmless(response: Any, said: str) -> None:
    assert response.status_code < 500 or "health" in said, f"{said} gave {response.status_code}"
    body = response.getvalue().decode("utf-8", "replace")
    assert "<script>alert" not in body, said
    assert "Set-Cookie: b=c" not in str(response.headers), said
    assert "Traceback" not in body and "SELECT " not in body, said


def test_an_odd_query_string_breaks_no_page(world: World) -> None:
    """Every page, every parameter, a different oddity in each, several times over."""
    values = [text[:3_000].encode("utf-8", "surrogatepass") for text in ODD.values() if "\0" not in text]
    for shift, (name, row) in enumerate(TABLE.items()):
        if "GET" in row.methods:
            url = reverse(name, args=row.args(world, world.ours))
            for turn in range(3):
                query = {key: values[(at + shift + 5 * turn) % len(values)] for at, key in enumerate(QUERY)}
                harmless(world.client(who(row)).get(url, query), f"{name} with {query}"[:4_000])


@pytest.mark.parametrize("name", ["runs", "processes", "audit-log", "run-panel", "connections", "account_login"])
def test_a_nul_in_a_query_string_is_refused_in_plain_words(world: World, name: str) -> None:
    for key in ("q", "thing", "next", "x"):
        response = world.client("administrator").get(reverse(name), {key: "a\0b"})
        assert response.status_code == 400
        assert "The request could not be understood" in response.content.decode()


def test_an_odd_answer_breaks_no_form(world: World) -> None:
    """Every form, one odd answer among right ones, a different oddity for each field."""
    values = [text.encode("utf-8", "surrogatepass") for text in ODD.values()]
    asking = world.client("administrator")
    turn = 0
    for name, row in posts():
        url = reverse(name, args=row.args(world, world.ours))
        with undone():
            row.before()
            answers = row.data(world, world.ours, asking)
            # Of the rows of a grid the first stands for all.
            names = [key for key in [*answers, "again", "kept", "do", "then", "next"] if not key[-1].isdigit()]
            names = [key for key in names if "-" not in key or "-0-" in key or "_FORMS" in key]
            for key in names[:: len(names) // A_FORM + 1]:
                turn += 7
                odd = values[turn % len(values)]
                with undone():
                    harmless(world.client(who(row)).post(url, answers | {key: odd}), f"{name}: {key}={odd[:20]!r}")
            with undone():
                harmless(world.client(who(row)).post(url, dict.fromkeys(names, b"a\0b")), f"{name}: NUL everywhere")


@pytest.mark.parametrize(
    "address",
    [
        "/runs/{number}/summary/",
        "/runs/{number}/source-file/download/",
        "/run/progress/{number}/",
        "/users/{number}/role/",
        "/users/invitations/{number}/revoke/",
        "/processes/{uuid}/integration/{number}/mapping/",
        "/processes/{uuid}/versions/{number}/restore/",
        "/processes/{uuid}/",
        "/connections/{uuid}/",
        "/companies/{uuid}/",
        "/connections/new/{slug}/",
        "/connections/{uuid}/offers/{slug}/",
        "/password/reset/key/{slug}-{slug}/",
    ],
)
def test_an_odd_address_is_not_found(world: World, address: str) -> None:
    client = world.client("administrator")
    numbers = ("0", "9" * 19, "9" * 40, "9" * 4_400, "-1", "1.5", "abc", "٣", "%00")
    ids = (str(world.ours.process.public_id), str(uuid.uuid4()), "no-uuid", str(uuid.UUID(int=0)), "%00", "x" * 3_000)
    slugs = ("sql2", "x" * 3_000, "%00", "..%2f..", "é")
    for index in range(9):
        filled = address.format(number=numbers[index], uuid=ids[index % len(ids)], slug=slugs[index % len(slugs)])
        with undone():
            response = client.generic("POST" if index % 2 else "GET", filled)
            harmless(response, filled[:90])
            assert response.status_code in (200, 302, 403, 404, 405), filled[:90]


def test_a_body_that_is_no_form_changes_nothing(world: World) -> None:
    """A body of another type than the page sends (JSON, XML, a broken multipart) is no answer."""
    before = state_of(world.ours.company)
    bodies = [
        ("application/json", b'{"name": "x", "file": {"filepath": "/etc/passwd"}}'),
        ("text/xml", b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>"),
        ("multipart/form-data; boundary=x", b"--y\r\n"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=" + "x" * 300, b""),
        ("application/x-www-form-urlencoded; charset=utf-7", b"name=x"),
        ("application/x-www-form-urlencoded; charset=no-such", b"name=x"),
        ("", b"\xff\xfe\x00"),
    ]
    for name in ("process-new", "run-start", "process-sample", "process-mapping-save", "invitation-new"):
        row = TABLE[name]
        for kind, body in bodies:
            url = reverse(name, args=row.args(world, world.ours))
            with undone():
                response = world.client("administrator").generic("POST", url, body, content_type=kind)
                harmless(response, f"{name} as {kind}")
                assert "root:" not in response.getvalue().decode("utf-8", "replace")
                if name not in ("run-start",):  # It needs no answer: the default file is there.
                    assert state_of(world.ours.company)["integrations.Run"] == before["integrations.Run"], name


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\0b.csv", "x" * 300 + ".csv", ".csv", "C:\\a.csv", "\u202evsc.csv", "ünd.csv"]
)
def test_an_oddly_named_file_stays_in_its_place(world: World, name: str) -> None:
    process = world.ours.process
    url = reverse("run-start", args=[process.public_id])
    upload = SimpleUploadedFile("a.csv", b"Customer Number,Name\n1,A\n")
    upload._name = name  # type: ignore[attr-defined]

    with undone():
        response = world.client("operator").post(url, {"name": "odd", "file": upload})
        harmless(response, name)


def test_more_fields_than_any_grid_has_are_refused_in_plain_words(world: World) -> None:
    client = world.client("designer")
    response = client.post(reverse("process-new"), {f"field-{number}": "x" for number in range(25_001)})

    assert response.status_code == 400
    assert "could not be understood" in response.content.decode()
