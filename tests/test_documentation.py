"""What README.md and CONTRIBUTING.md say is so: settings, paths, targets, and every command they name."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.management import supervision
from tests.readme import ROOT, Block, blocks, table_rows

DOCUMENTS = ("README.md", "CONTRIBUTING.md")
LINES_OF_A_README = 250
SET_BY_OURSELVES = {"PART", "BROKER_SOCKET"}
"""What `start` tells its parts: nobody else sets it."""
PRODUCTION = "tests/production/test_several_machines.py"
EXECUTED_BY = {
    "make start": ("tests/start/running.py", '"manage.py", "start"'),
    "WAYBILL_OWNER_EMAIL": ("tests/start/running.py", '"OWNER_EMAIL": OWNER'),
    "make test": (".ci/run", "make test"),
    "make check": ("Makefile", "test: check suite"),
    "make bench": ("tests/test_documentation.py", '"tests.bench"'),
    "make .venv/.runtime": ("Makefile", "start: $(VENV)/.runtime"),
    "make lock": ("tests/test_architecture.py", "test_the_locks_hold_what_is_declared"),
    "python3 -c": (PRODUCTION, 'command("secrets.token_bytes")'),
    "set -a;": ("tests/production/machines.py", 'command("/etc/waybill.env")'),
    ".venv/bin/python manage.py migrate": (PRODUCTION, 'command("migrate")'),
    ".venv/bin/python manage.py owner": (PRODUCTION, 'command("manage.py owner")'),
    ".venv/bin/python manage.py collectstatic": (PRODUCTION, 'command("collectstatic")'),
    ".venv/bin/python manage.py part web": (PRODUCTION, 'command("part web")'),
    ".venv/bin/python manage.py part worker": (PRODUCTION, 'command("part worker")'),
    ".venv/bin/python manage.py part clock": (PRODUCTION, 'command("part clock")'),
    ".venv/bin/python manage.py crontab add": (PRODUCTION, 'command("crontab add")'),
    ".venv/bin/python -m pytest -q tests/runs": ("Makefile", "-m pytest -q"),
    "WAYBILL_TEST_DATABASE=postgres": ("Makefile", "WAYBILL_TEST_DATABASE=postgres"),
    "WAYBILL_FAULTS_SEED": ("tests/faults/test_kills.py", '"WAYBILL_FAULTS_SEED"'),
    ".venv/bin/python -m tests.faults.long_run": ("tests/faults/long_run.py", '"--rows"'),
    ".venv/bin/ruff format": ("Makefile", "ruff format"),
    ".venv/bin/python static/vendor/refresh.py": ("tests/test_architecture.py", "def refresh()"),
    ".venv/bin/python -m tests.browser.pictures": ("tests/browser/pictures.py", "__main__"),
}
"""By what a command line of the documents is executed, or what it starts is: the file, and what stands in it."""


def test_the_readme_is_read_to_its_end() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LINES_OF_A_README


def test_the_readme_lists_every_setting_with_its_default() -> None:
    written = {row[0].strip("`").removeprefix("WAYBILL_"): row[1].strip("`") for row in table_rows("Settings")}

    assert written == dict(settings_read())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_a_document_names_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    paths = set(re.findall(r"`((?:config|accounts|integrations|templates|static|tests)/[\w./-]*)`", text))
    paths |= set(re.findall(r"\]\((?!https?:)([^)#]+)\)", text))

    assert paths and not [path for path in paths if not (ROOT / path).exists()]


def test_the_tree_shows_the_rooms_that_exist() -> None:
    (tree,) = (block.text for block in blocks() if block.heading == "Where things live")
    shown = set(re.findall(r"^  (\w+)/ ", tree, flags=re.MULTILINE))
    there = {path.parent.name for path in (ROOT / "integrations").glob("*/__init__.py")}

    assert shown == there - {"migrations"}
    assert all((ROOT / top).is_dir() for top in re.findall(r"^(\w+)/", tree, flags=re.MULTILINE))


def test_the_table_of_statuses_holds_every_status() -> None:
    from integrations.models import RunStatus

    named = {word for row in table_rows("How a run flows") for word in re.findall(r"`(\w+)`", row[0])}

    assert named == set(RunStatus.values)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_target_of_make_that_is_named_exists(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv")
    targets = set(re.findall(r"^([\w./]+):", makefile, flags=re.MULTILINE))

    named = set(re.findall(r"(?:^|`| )make ([\w./]+)", "\n".join(code(name)), flags=re.MULTILINE))

    assert named and named <= targets


@pytest.mark.parametrize(("name", "block"), [(name, block) for name in DOCUMENTS for block in blocks(name)])
def test_every_command_is_executed(name: str, block: Block) -> None:
    if block.language != "sh":
        return
    for line in block.text.splitlines():
        (found,) = (EXECUTED_BY[start] for start in EXECUTED_BY if re.match(rf"{re.escape(start)}(?!\w)", line))
        file, needle = found

        assert needle in (ROOT / file).read_text(), line


def test_the_bench_prints_a_ratio(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.bench",
        "--works",
        "W2",
        "--rows",
        "1000",
        "--turns",
        "1",
        "--out",
        str(tmp_path / "figures"),
    ]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr
    assert re.search(r"ratio +\d+\.\d+ ×", done.stdout)
    assert "-m tests.bench --rows $(or $(ROWS)," in (ROOT / "Makefile").read_text()


def settings_read() -> Iterator[tuple[str, str]]:
    """Give every WAYBILL_ name that the product reads, with its default as the README writes it."""
    tree = ast.parse((ROOT / "config" / "settings.py").read_text())
    alternatives = {
        call: normal(ast.unparse(choice.values[-1]))
        for choice in ast.walk(tree)
        if isinstance(choice, ast.BoolOp) and isinstance(choice.op, ast.Or)
        for call in ast.walk(choice.values[0])
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        first = node.args[0]
        if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
            continue
        if node.func.id == "kept_secret":
            yield first.value.upper(), "made and kept in DATA_DIR"
        elif node.func.id.startswith("env"):
            given = normal(ast.unparse(node.args[1])) if len(node.args) > 1 else ""
            yield first.value, alternatives.get(node, given)
    for name in supervision.NOT_FOR_PARTS:
        yield name, ""
    for path in (
        *(ROOT / "config").glob("*.py"),
        *(ROOT / "integrations").rglob("*.py"),
        *(ROOT / "accounts").rglob("*.py"),
    ):
        for name in re.findall(r"environ(?:\.get\(|\[)\"WAYBILL_(\w+)\"", path.read_text()):
            if name not in SET_BY_OURSELVES:
                yield name, ""


def normal(expression: str) -> str:
    """Write a default as a person would: `str(DATA_DIR / 'files')` is DATA_DIR/files."""
    text = re.sub(r"\bf(?=['\"])", "", expression)
    text = re.sub(r"\b\w+\(|['\"{}\[\]()]", "", text).replace(" / ", "/")
    return text.removeprefix("BASE_DIR/").removesuffix(".0")


def code(name: str) -> list[str]:
    """Give what a document writes as code: its blocks, and what stands between backticks in a line."""
    text = (ROOT / name).read_text()
    return [block.text for block in blocks(name)] + re.findall(r"`([^`\n]+)`", text)
