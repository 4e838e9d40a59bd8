"""The README's commands for several machines, executed: two web machines, two workers, a clock, PostgreSQL, Valkey, TLS."""

import json
import re
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.production.machines import Machine, command, commands, here, replaced
from tests.production.proxies import ADDRESS, Certificate, Nginx, PlainProxy
from tests.production.visitor import Visitor
from tests.servers import Postgres, Valkey, free_port, listens

OLGA, PASSWORD = "olga@example.com", "Correct-Horse-9!battery"
PATIENCE_SECONDS = 120

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="needs several loopback addresses, which only Linux offers"),
]


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Everything that runs. `tls` is where a proxy listens, `webs` are the ports of the web machines."""

    webs: list[int]
    tls: int
    shared: Path
    database: str
    machines: dict[str, Machine]
    certificate: Certificate

    def visitor(self, web: int = 0, **more: Any) -> Visitor:
        """Somebody who goes to one of the web machines directly."""
        return Visitor(sees=f"http://127.0.0.1:{self.webs[web]}", **more)

    def guest(self, **more: Any) -> Visitor:
        """Somebody who comes through the proxy, from outside."""
        return Visitor(
            sees=f"https://localhost:{self.tls}", comes_from="127.0.0.9", trusts=self.certificate.chain, **more
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]


def wait_for(what: str, holds: Callable[[], bool], machines: dict[str, Machine]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        logs = "\n".join(machine.log() for machine in machines.values())
        assert time.monotonic() < until, f"{what} did not come about.\n{logs}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def installation(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The README from top to bottom."""
    folder = tmp_path_factory.mktemp("production")
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute("CREATE DATABASE waybill")
    database = postgres.url.removesuffix("/postgres") + "/waybill"
    tls, webs = free_port(), [free_port(), free_port()]
    broker = Valkey(port=free_port())
    shared = folder / "shared"
    (shared / "folders").mkdir(parents=True)
    make_key = command("secrets.token_bytes").replace("python3", sys.executable)
    keys = [subprocess.run(["sh", "-c", make_key], capture_output=True, text=True, check=True) for _ in "12"]
    (written,) = commands("ini")
    settings = replaced(
        written,
        {
            "https://waybill.example.com": f"https://localhost:{tls}",
            "10.0.0.5": ADDRESS,
            "0.0.0.0": "127.0.0.1",
            "postgresql://waybill:password@10.0.0.7:5432/waybill": database,
            "redis://10.0.0.8:6379/0": broker.url,
            "the-first-key": keys[0].stdout.strip(),
            "the-second-key": keys[1].stdout.strip(),
            "/srv/waybill": str(shared),
        },
    )
    machines: dict[str, Machine] = {}
    for name in ("web-1", "web-2", "work-1", "work-2", "clock"):
        own = replaced(settings, {"/var/lib/waybill": str(folder / f"{name}-data")})
        port = webs[int(name[-1]) - 1] if name.startswith("web") else free_port()
        machines[name] = Machine(folder / name, f"{own}WAYBILL_PORT={port}\nWAYBILL_LEASE_SECONDS=3\n")
    try:
        machines["web-1"].run(command("migrate"))
        for name in ("web-1", "web-2"):
            machines[name].run(command("collectstatic"))
            machines[name].start(command("part web"))
        for name in ("work-1", "work-2"):
            machines[name].start(command("part worker").replace("worker 1", f"worker {name[-1]}"))
        machines["clock"].start(command("part clock"))
        wait_for("listening", lambda: all(map(listens, webs)), machines)
        yield Installation(
            webs=webs, tls=tls, shared=shared, database=database, machines=machines, certificate=Certificate(folder)
        )
    finally:
        for machine in machines.values():
            machine.stop()
        broker.stop()


@pytest.fixture(scope="module")
def owner(installation: Installation) -> str:
    """Olga, who opened the link that the README's second command printed."""
    said = installation.machines["work-1"].run(command("manage.py owner"))
    found = re.search(r"/welcome/[^/]+/", said)
    assert found, said
    fields = {"name": "Olga", "email": OLGA, "password": PASSWORD, "time_zone": "Europe/Berlin"}
    assert installation.visitor().post(found[0], fields).status == 302
    return OLGA


@pytest.fixture(params=["plain", "nginx"])
def proxy(request: pytest.FixtureRequest, installation: Installation, tmp_path: Path) -> Iterator[PlainProxy | Nginx]:
    if request.param == "nginx" and not Nginx.program():
        pytest.skip("nginx is not installed: the README's configuration of it is not executed here")
    given = (installation.tls, installation.webs, installation.certificate)
    made = Nginx(*given, tmp_path) if request.param == "nginx" else PlainProxy(*given)
    yield made
    made.stop()


def test_every_web_machine_says_that_all_parts_are_well(installation: Installation) -> None:
    def well(web: int) -> bool:
        page = installation.visitor(web).get("/health/")
        return page.status == 200 and json.loads(page.text)["status"] == "ok"

    wait_for("health", lambda: well(0) and well(1), installation.machines)
    beating = {part for (part,) in installation.rows("SELECT part FROM integrations_heartbeat")}

    assert len([part for part in beating if part.startswith("worker")]) == 2
    assert "clock" in beating


def test_who_signs_in_on_one_machine_is_signed_in_on_the_other(installation: Installation, owner: str) -> None:
    visitor = installation.visitor(0)
    assert visitor.get("/runs/").status == 302

    visitor.signs_in(owner, PASSWORD)
    visitor.sees = installation.visitor(1).sees

    assert visitor.get("/runs/").status == 200


def test_a_run_that_one_machine_accepts_is_performed_by_another_and_read_on_a_third(
    installation: Installation, owner: str
) -> None:
    visitor = installation.visitor(0)
    visitor.signs_in(owner, PASSWORD)
    panel = _panel_of("CUSTOMERS_TO_CRM", visitor)
    started = visitor.post(f"{panel}start/", {"name": ""}, form=panel)
    assert started.status == 302, started.text
    visitor.sees = installation.visitor(1).sees
    summary = started.headers["Location"]

    wait_for("the run", lambda: "Completed with Errors" in visitor.get(summary).text, installation.machines)

    ((delivered,),) = installation.rows("SELECT documents_created FROM integrations_run")
    with closing(sqlite3.connect(installation.shared / "demo_crm.db")) as crm:
        assert crm.execute("SELECT count(*) FROM customers").fetchone() == (delivered,)
    assert delivered > 0
    assert any((installation.shared / "files").rglob("*")), "the demo files lie in the shared folder"


def test_what_a_page_of_one_machine_loads_comes_from_the_other_as_well(installation: Installation) -> None:
    page = installation.visitor(0).get("/sign-in/").text
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)

    loaded = [installation.visitor(1).get(name) for name in named]

    assert named and {file.status for file in loaded} == {200}
    assert all("immutable" in file.headers["Cache-Control"] for file in loaded)


def test_a_database_that_drops_its_connections_is_asked_again(installation: Installation, owner: str) -> None:
    visitor = installation.visitor(0)
    visitor.signs_in(owner, PASSWORD)
    with psycopg.connect(installation.database, autocommit=True) as database:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"
        assert database.execute(others, ["waybill"]).fetchall()

    assert visitor.get("/runs/").status == 200
    wait_for("health", lambda: visitor.get("/health/").status == 200, installation.machines)


def test_visitors_come_through_a_proxy_that_ends_tls(
    installation: Installation, owner: str, proxy: PlainProxy | Nginx
) -> None:
    guest = installation.guest(says={"X-Forwarded-For": "203.0.113.66"})

    answer = guest.signs_in(owner, PASSWORD)
    page = guest.get("/runs/")

    assert (answer.status, page.status) == (302, 200)
    cookies = answer.headers.get_all("Set-Cookie", [])
    assert cookies and all("Secure" in cookie for cookie in cookies)
    assert any(cookie.startswith("__Host-waybill") and "HttpOnly" in cookie for cookie in cookies)
    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert _last_sign_in_came_from(installation) == "127.0.0.9", (
        "the address that the proxy saw, not what the guest says"
    )


def test_nobody_but_the_proxy_may_tell_where_a_visitor_comes_from(installation: Installation, owner: str) -> None:
    says = {"X-Forwarded-For": "203.0.113.66", "X-Forwarded-Proto": "https"}
    visitor = installation.visitor(comes_from="127.0.0.9", says=says)

    page = visitor.signs_in(owner, PASSWORD)

    assert page.status == 302
    assert "Strict-Transport-Security" not in page.headers, "TLS did not end here, whatever the visitor says"
    assert _last_sign_in_came_from(installation) == "127.0.0.9"


@pytest.mark.parametrize("name", ["WAYBILL_SECRET_KEY", "WAYBILL_FIELD_KEYS"])
def test_a_machine_with_another_key_refuses_to_start_and_says_which(
    installation: Installation, name: str, tmp_path: Path
) -> None:
    other = subprocess.run(
        ["sh", "-c", here(command("secrets.token_bytes"))], capture_output=True, text=True, check=True
    )
    settings = installation.machines["work-1"].settings.read_text()
    stranger = Machine(tmp_path / "stranger", re.sub(f"{name}=.*", f"{name}={other.stdout.strip()}", settings))

    for part in ("part web", "part worker", "part clock"):
        assert f"{name} is not the one of this installation" in stranger.refusal(command(part))


def test_what_cron_calls_every_minute_reads_the_settings_from_their_file(
    installation: Installation, tmp_path: Path
) -> None:
    """The line that `manage.py crontab add` gives to cron, executed as cron does: by sh, with next to no environment."""
    table = tmp_path / "table"
    programs = tmp_path / "programs"
    programs.mkdir()
    crontab = programs / "crontab"
    crontab.write_text(f'#!/bin/sh\n[ "$1" = -l ] && exec cat {table}\nexec cp "$1" {table}\n')
    crontab.chmod(0o755)
    table.write_text("")
    installation.machines["clock"].run(f'PATH="{programs}:$PATH" {command("crontab add")}')
    when, line = re.match(r"((?:\S+ ){5})(.*?) # ", table.read_text()).groups()  # type: ignore[union-attr]
    gone = f"gone-{secrets.token_hex(4)}"
    with psycopg.connect(installation.database) as database:
        database.execute("INSERT INTO integrations_heartbeat VALUES (%s, now() - interval '2 days')", [gone])

    done = subprocess.run(
        ["/bin/sh", "-c", line], env={"PATH": "/usr/bin:/bin"}, cwd="/", capture_output=True, text=True
    )

    assert (when.split(), done.returncode, done.stderr) == (["*"] * 5, 0, "")
    parts = {part for (part,) in installation.rows("SELECT part FROM integrations_heartbeat")}
    assert "each minute" in parts and gone not in parts


def test_every_line_of_the_log_is_an_object(installation: Installation) -> None:
    """Runs last: by now every part has said what it says."""
    lines = [line for machine in installation.machines.values() for line in machine.log().splitlines()]

    said = [json.loads(line) for line in lines]

    assert all({"event", "level", "timestamp"} <= line.keys() for line in said)
    assert {"the clock runs", "worker-1@"} <= {re.sub("@.*", "@", line["event"]) for line in said}


def _panel_of(process: str, visitor: Visitor) -> str:
    found = re.search(rf'href="(/run/[0-9a-f-]+/)"[^>]*>(?:(?!</a>).)*{process}', visitor.get("/run/").text, re.DOTALL)
    assert found, f"{process} cannot be chosen"
    return found[1]


def _last_sign_in_came_from(installation: Installation) -> str:
    ((address,),) = installation.rows(
        "SELECT host(address) FROM accounts_auditentry WHERE action = 'user.signed_in' ORDER BY id DESC LIMIT 1"
    )
    return str(address)
