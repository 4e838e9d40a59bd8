"""What every answer says to the browser: what it may load, whom it may tell, who may frame it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.accounts.table import TABLE
from tests.accounts.world import World, undone

CONFIG = '"includeIndicatorStyles": false, "allowEval": false, "selfRequestsOnly": true, "historyCacheSize": 0'
UNSAFE = re.compile(r"\sstyle=|\son[a-z]+=|javascript:|hx-on|hx-vars|<style(?![^>]*nonce)|<script(?![^>]*\bsrc=)", re.I)


def sound(response: Any, where: str) -> None:
    """The headers that no answer may lack."""
    policy = response["Content-Security-Policy"]
    directives = {part.split()[0]: part.split()[1:] for part in policy.split(";") if part.strip()}
    assert "unsafe" not in policy and "*" not in policy and "http:" not in policy, where
    assert directives["default-src"] == ["'self'"], where
    assert directives["script-src"][0] == "'self'", where
    for name in ("object-src", "base-uri", "frame-ancestors"):
        assert directives[name] == ["'none'"], where
    assert directives["form-action"] == ["'self'"], where
    assert response["X-Content-Type-Options"] == "nosniff", where
    assert response["Referrer-Policy"] == "same-origin", where
    assert response["Cross-Origin-Opener-Policy"] == "same-origin", where


def no_inline(response: Any, where: str) -> None:
    """Nothing in the page that the policy would refuse."""
    page = response.getvalue().decode("utf-8", "replace")
    if response["Content-Type"].startswith("text/html"):
        assert not UNSAFE.search(page), f"{where}: {UNSAFE.search(page)}"


def test_every_answer_carries_the_headers(world: World) -> None:
    for name, row in TABLE.items():
        person = next(person for person in ("administrator", "owner") if row.allows(person))
        url = reverse(name, args=row.args(world, world.ours))
        for who, method in (("nobody", "GET"), (person, "GET"), (person, "POST")):
            with undone():
                response: Any = world.client(who).generic(method, url)
                where = f"{who} {method} {name}"
                sound(response, where)
                assert response["X-Frame-Options"] == "DENY", where
                no_inline(response, where)


def test_pages_tell_htmx_to_evaluate_nothing(world: World) -> None:
    for client, address in ((world.client("nobody"), "/sign-in/"), (world.client("viewer"), "/runs/")):
        assert CONFIG in client.get(address).content.decode()


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("/no-such-page/", "testserver", 404),
        ("/runs/", "evil.test", 400),
        ("/runs/?q=%00", "testserver", 400),
        ("/static/no-such-file.js", "testserver", 404),
    ],
)
def test_error_pages_carry_them_too(client: Client, vera: User, address: str, host: str, status: int) -> None:
    client.force_login(vera)

    response = client.get(address, headers={"Host": host})

    assert response.status_code == status
    sound(response, address)
    no_inline(response, address)


def test_a_file_is_given_as_a_download_and_nothing_else(world: World) -> None:
    response = world.client("viewer").get(reverse("run-source-download", args=[world.ours.run.number]))

    assert response["Content-Disposition"].startswith("attachment;")
    assert response["Content-Type"] == "application/octet-stream"
    assert b"".join(response.streaming_content).startswith(b"Customer Number")  # type: ignore[arg-type]


def test_a_static_file_is_not_sniffed(client: Client, db: None) -> None:
    from django.templatetags.static import static

    response = client.get(static("js/desk.js"))

    assert response.status_code == 200 and response["X-Content-Type-Options"] == "nosniff"
    assert b"".join(response.streaming_content)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["evil.test", "testserver.evil.test", "evil.test:8000", "testserver@evil.test", ""])
def test_a_host_that_is_not_ours_is_refused(client: Client, vera: User, host: str) -> None:
    client.force_login(vera)

    response = client.get("/runs/", headers={"Host": host})

    assert response.status_code == 400
    assert "evil" not in response.content.decode()


def test_a_forwarded_host_is_nobodys_word(client: Client, db: None) -> None:
    response = client.get("/runs/", headers={"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"})

    assert response["Location"].startswith("/sign-in/")
    assert not response.has_header("Strict-Transport-Security")


def told(tmp_path: Path, **environment: str) -> list[Any]:
    """What the settings come to in an installation that is set up like this."""
    names = [
        "ALLOWED_HOSTS",
        "SECURE_HSTS_SECONDS",
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_SECURE",
        "SESSION_COOKIE_NAME",
    ]
    code = f"from django.conf import settings; print([getattr(settings, n) for n in {names} + ['DEBUG']])"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")}
    given = {f"WAYBILL_{name}": value for name, value in environment.items()}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **given, "WAYBILL_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"},
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: list[Any] = eval(run.stdout)
    return answer


def test_https_is_kept_once_it_is_used(tmp_path: Path) -> None:
    hosts, hsts, session, csrf, name, debug = told(tmp_path, PUBLIC_URL="https://waybill.example.com")

    assert hosts[0] == "waybill.example.com"
    assert "*" not in hosts and not [host for host in hosts if host.startswith(".")]
    assert hsts == 31_536_000
    assert session and csrf and name.startswith("__Host-")
    assert debug is False


def test_plain_http_promises_no_https(tmp_path: Path) -> None:
    hosts, hsts, session, csrf, name, debug = told(tmp_path, PORT="8123")

    assert set(hosts) == {"127.0.0.1", "localhost", "[::1]"}
    assert hsts == 0 and not session and not csrf and not name.startswith("__Host-")
    assert debug is False


def test_two_installations_on_one_host_have_cookies_of_their_own(tmp_path: Path) -> None:
    assert told(tmp_path, PORT="8123")[4] != told(tmp_path, PORT="8124")[4]
