"""How long each action in the editor takes with a large process: 200 lines, 500 mapped columns, 50 tasks.

Usage: python -m tests.bench.editor [--times 7] [--lines 200] [--columns 500] [--tasks 50] [--only WORDS]

Prints the median of each action in milliseconds, and what it cost this process; then the mapping grid in Chromium, from
the click until its keys answer. Absolute times do not travel; nothing here is asserted in a test.
"""

import argparse
import io
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

parser = argparse.ArgumentParser(prog="python -m tests.bench.editor")
parser.add_argument("--times", type=int, default=7)
parser.add_argument("--lines", type=int, default=200)
parser.add_argument("--columns", type=int, default=500)
parser.add_argument("--tasks", type=int, default=50)
parser.add_argument("--only", default="", help="measure only the actions whose name holds this")
OPTIONS = parser.parse_args()
FOLDER = Path(tempfile.mkdtemp(prefix="waybill-editor-"))
os.environ.update(
    WAYBILL_DATA_DIR=str(FOLDER),
    WAYBILL_FOLDERS=str(FOLDER),
    WAYBILL_DATABASE_URL="",
    WAYBILL_BROKER_URL="memory://",
    WAYBILL_LOG_LEVEL="ERROR",
    DJANGO_SETTINGS_MODULE="config.settings",
)

import config  # noqa: E402, F401  isort: skip  (a sound SQLite before Django imports one)

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment, teardown_test_environment  # noqa: E402
from django_scopes import scope  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from accounts.models import Role  # noqa: E402
from integrations.engine.plan import (  # noqa: E402
    Column,
    ColumnType,
    DestinationSpec,
    FieldMap,
    Line,
    Plan,
    SourceSpec,
    Stage,
    Task,
    TaskType,
)
from integrations.models import GlobalVariable, Process  # noqa: E402
from integrations.runs.files import store  # noqa: E402
from tests import factories  # noqa: E402
from tests.browser.chromium import find_chromium  # noqa: E402
from tests.web.defining import make_database, shown_answers, sql_connection  # noqa: E402


def large_process(company: Any) -> Process:
    """A process of the asked size: the first line maps every column, every fifth by a calculation."""
    names = [f"Column {number}" for number in range(OPTIONS.columns)]
    crm = sql_connection(company, make_database(FOLDER))
    rows = [",".join(names), *(",".join(f"{row}-{at}" for at in range(len(names))) for row in range(50))]
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="north")
        fields = tuple(_field(number, name) for number, name in enumerate(names))
        first = Line(name="Line 1", target="customers", keys=("field_1",), fields=fields)
        others = [
            Line(
                name=f"Line {number}",
                target="items",
                keys=("field_1",),
                restriction=f"return this._Column_{number % len(names)} !== 'none';",
                fields=fields[1:3],
            )
            for number in range(2, OPTIONS.lines + 1)
        ]
        tasks = tuple(
            Task(
                name=f"TASK_{number}",
                type=TaskType.RUN_SCRIPT,
                stage=list(Stage)[number % len(Stage)],
                script=f"// {number}\nthis.GBL_REGION = 'south {number}';\nreturn true;",
                condition="return this.GBL_REGION !== '';",
            )
            for number in range(OPTIONS.tasks)
        )
        plan = Plan(
            process="LARGE",
            source=SourceSpec(kind="delimited", columns=tuple(Column(name=name) for name in names)),
            destination=DestinationSpec(kind="sql", connection=str(crm.public_id)),
            key_fields=(names[1],),
            lines=(first, *others),
            tasks=tuple(sorted(tasks, key=lambda task: list(Stage).index(task.stage))),
        )
        process = factories.make_process(company, plan)
        sample = store(company, io.BytesIO("\n".join(rows).encode()), name="sample.csv", by=None)
        Process.objects.filter(pk=process.pk).update(sample=sample)
        process.refresh_from_db()
    return process


def _field(number: int, name: str) -> FieldMap:
    if number % 5:
        return FieldMap(target=f"field_{number}", value=name)
    script = f"var value = this._Column_{number};\nreturn value.trim() + this.GBL_REGION;"
    return FieldMap(target=f"field_{number}", column_type=ColumnType.CALCULATION, value=script)


def measure(name: str, act: Callable[[], Any]) -> None:
    if OPTIONS.only not in name:
        return
    walls, costs = [], []
    for _ in range(OPTIONS.times):
        wall, cost = time.perf_counter(), time.process_time()
        act()
        walls.append(time.perf_counter() - wall)
        costs.append(time.process_time() - cost)
    report(name, statistics.median(walls), statistics.median(costs))


def report(name: str, wall: float, cost: float | None = None) -> None:
    say(f"{name:<36} {wall * 1000:>9.0f} {'' if cost is None else f'{cost * 1000:>9.0f}'}")


def server_side(client: Client, process: Process) -> None:
    at = f"/processes/{process.public_id}/"

    def get(path: str) -> Callable[[], None]:
        def act() -> None:
            assert client.get(at + path).status_code == 200, path

        return act

    def post(path: str, answers: dict[str, Any], status: int = 302) -> Callable[[], None]:
        def act() -> None:
            process.refresh_from_db()
            response = client.post(at + path, answers | {"revision": process.revision})
            assert response.status_code == status, (path, response.status_code)

        return act

    for tab in ("", "source/", "target/", "options/", "tasks/", "variables/", "versions/", "preview/"):
        measure(f"open {tab or 'details/'}", get(tab))
    for part in ("grouping", "mapping", "restriction"):
        measure(f"open {part}", get(f"integration/1/{part}/"))
    measure("open a task", get("tasks/7/"))
    measure("the next lines of the preview", get("preview/?page=2"))
    setup_test_environment()
    target = shown_answers(client, process, "target")
    mapping = shown_answers(client, process, "mapping", line=1)
    teardown_test_environment()
    measure("live samples", post("integration/1/mapping/sample/", mapping, 200))
    turns = iter(range(1000))
    measure(
        "save a mapping",
        lambda: post("integration/1/mapping/save/", mapping | {"fields-1-column": f"Column {2 + next(turns)}"})(),
    )
    measure(
        "save the target",
        lambda: post("target/save/", target | {"lines-1-update_blanks": ("on", "false")[next(turns) % 2]})(),
    )
    measure(
        "save a restriction",
        lambda: post("integration/2/restriction/save/", {"script": f"return {next(turns)} > 0;"})(),
    )
    measure("check a script", post("scripts/check/", {"script": "return this._Column_1;"}, 200))
    for action in ("down-1", "copy-3", "delete-4", "switch-5"):
        measure(f"tasks: {action}", post("tasks/arrange/", {"do": action}))
    measure("save the process", post("save/", {"next": f"{at}tasks/"}))


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *words: Any) -> None:
        """Nothing: only figures are printed."""


def in_chromium(client: Client, process: Process) -> None:
    """The grid from the click until an arrow key has moved, and what an arrow, a fill and a paste take."""
    server = make_server("127.0.0.1", 0, get_wsgi_application(), Threads, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    address = f"{url}/processes/{process.public_id}/integration/1/mapping/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium())
        page = browser.new_page()
        name = settings.SESSION_COOKIE_NAME
        page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": url}])
        page.goto(address)
        opened = []
        for _ in range(OPTIONS.times):
            page.goto(address)
            opened.append(page.evaluate(OPENED))
        for key in ("answer", "usable"):
            report(f"Chromium: the grid, {key}", statistics.median(item[key] for item in opened) / 1000)
        for name, script in ACTIONS.items():
            report(f"Chromium: {name}", page.evaluate(TIMED % script) / 1000)
        browser.close()
    server.shutdown()


OPENED = """() => {
  const [from] = performance.getEntriesByType("navigation");
  return { answer: from.responseEnd, usable: from.domContentLoadedEventEnd };
}"""
TIMED = """async () => {
  const press = (key, more) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  document.querySelector(".kind select").focus();
  await drawn();
  const began = performance.now();
  %s
  await drawn();
  return performance.now() - began;
}"""
ACTIONS = {
    "one arrow": 'press("ArrowDown");',
    "ten rows selected": 'for (let n = 0; n < 10; n++) press("ArrowDown", { shiftKey: true });',
    "another type": 'const type = document.activeElement; type.value = "constant"; type.dispatchEvent(new Event("change", { bubbles: true }));',
    "filled down over ten": 'for (let n = 0; n < 10; n++) press("ArrowDown", { shiftKey: true }); press("d", { ctrlKey: true });',
    "undone": 'press("z", { ctrlKey: true });',
    "found by name": 'const find = document.querySelector("[data-sift]"); find.value = "field_4"; find.dispatchEvent(new Event("input", { bubbles: true }));',
}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    call_command("migrate", verbosity=0)
    call_command("createcachetable")
    call_command("collectstatic", interactive=False, verbosity=0)
    company = factories.make_company("Harwood Outdoor")
    ada = factories.make_user("ada@harwood.test", company=company, role=Role.ADMINISTRATOR)
    process = large_process(company)
    client = Client(headers={"host": "localhost"})
    client.force_login(ada)
    say(f"{OPTIONS.lines} lines, {OPTIONS.columns} mapped columns, {OPTIONS.tasks} tasks")
    say(f"{'milliseconds':<36} {'median':>9} {'cpu':>9}")
    with scope(company=company):
        server_side(client, process)
    if not OPTIONS.only:
        in_chromium(client, process)


if __name__ == "__main__":
    main()
