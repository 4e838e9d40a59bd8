"""What the house is like, as far as import-linter cannot say it. Each rule is one test and names what breaks it."""

import ast
import fnmatch
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from accounts.checks import routes
from integrations.connectors.registry import CONNECTORS
from tests.readme import ROOT, table_rows

PRODUCT = ("config", "accounts", "integrations")
TOP_LEVEL = {
    *("manage.py", "pyproject.toml", "README.md", "Makefile", "CONTRIBUTING.md", "LICENSE", "requirements.lock"),
    *("config", "accounts", "integrations", "templates", "static", "tests", ".ci", ".gitignore", ".gitattributes"),
}
NETWORK = {"aiohttp", "asyncio", "ftplib", "http.client", "httpx", "requests", "smtplib", "socket", "ssl"} | {
    *("telnetlib", "urllib.request", "urllib3", "xmlrpc.client")
}
NETWORK_BESIDE_EGRESS = {
    # Asks whether a port of this machine is free before anything is started.
    "integrations/management/supervision.py": {"socket"},
    # Names the exception of Django's own mail.
    "accounts/invitations.py": {"smtplib"},
    # Sends the mail of tasks through Django, to a server that `egress.rules.check` has judged; names the exceptions.
    "integrations/runs/mail.py": {"smtplib", "ssl"},
}


# ---- the tree -------------------------------------------------------------------------------------------------------


def test_the_top_level_shows_the_product_and_nothing_else() -> None:
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()] + [".git"]
    there = {path.name for path in ROOT.iterdir() if not any(fnmatch.fnmatch(path.name, rule) for rule in ignored)}

    assert there == TOP_LEVEL


def test_no_room_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "services", "common", "misc", "signals"}

    assert not [path for path in product_files() if {path.stem, path.parent.name} & drawers]


def test_the_package_of_rooms_is_empty() -> None:
    assert (ROOT / "integrations" / "__init__.py").read_text() == ""


def test_every_module_says_what_it_is() -> None:
    modules = [path for path in (*product_files(), *python_files("tests")) if "migrations" not in path.parts]

    assert not [path for path in modules if (tree := parsed(path)).body and not ast.get_docstring(tree)]


def test_the_engine_is_imported_without_any_framework() -> None:
    modules = [f"integrations.engine.{path.stem}" for path in (ROOT / "integrations/engine").glob("[a-z]*.py")]
    foreign = "{'django', 'celery', 'sqlalchemy', 'aiohttp', 'openpyxl', 'quickjs', 'sqlite3'} & set(sys.modules)"
    script = f"import sys, {', '.join(modules)}; sys.exit(str({foreign}) if {foreign} else 0)"

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


# ---- what may be done where -----------------------------------------------------------------------------------------


def test_celery_enters_through_jobs_alone() -> None:
    entries = {
        path.name
        for path in product_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if re.match(r"(\w+\.)?(shared_task|task)\b", ast.unparse(decorator))
    }

    assert entries == {"jobs.py"}


def test_a_runs_status_is_written_in_its_model_alone() -> None:
    elsewhere = [
        f"{path}:{node.lineno}"
        for path in product_files()
        if path != ROOT / "integrations/models/run.py" and "migrations" not in path.parts
        for node in ast.walk(parsed(path))
        if writes_a_status(node)
    ]

    assert not elsewhere


@pytest.mark.parametrize(
    ("line", "writes"),
    [
        ("run.status = 'failed'", True),
        ("Run.objects.filter(pk=1).update(status='failed')", True),
        ("Run.objects.create(name='x', status='completed')", True),
        ("run.save(update_fields=['status'])", True),
        ("Run.objects.bulk_update(runs, ['status'])", True),
        ("cursor.execute('UPDATE integrations_run SET status = 1')", True),
        ("Run.objects.filter(status='failed')", False),
        ("render(request, 'runs.html', status=422)", False),
        ("if run.status == 'failed': ...", False),
    ],
)
def test_what_counts_as_writing_a_status(line: str, writes: bool) -> None:
    assert any(map(writes_a_status, ast.walk(ast.parse(line)))) is writes


def test_nobody_but_egress_opens_the_network() -> None:
    found = {}
    for path in product_files():
        name = path.relative_to(ROOT).as_posix()
        used = imported(path) & NETWORK
        if used and not name.startswith("integrations/egress/"):
            found[name] = used

    assert found == NETWORK_BESIDE_EGRESS


def test_the_clock_and_cron_call_jobs_that_exist() -> None:
    from django.conf import settings
    from django.utils.module_loading import import_string

    assert all(callable(import_string(job)) for _, job, *_ in settings.CRONJOBS)


# ---- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        ("no style of its own", r"<style|\sstyle="),
        ("no script of its own", r"<script(?![^>]*\bsrc=)|javascript:|\son[a-z]+="),
        ("nothing that htmx would have to evaluate", r"hx-on|hx-(vals|headers)=[\"']js:"),
        ("no link that leads nowhere", r"href=(\"\"|\"#\"|'#')"),
        ("nothing from elsewhere", r"(src|href)=[\"'](https?:)?//"),
    ],
)
def test_a_page_has(rule: str, pattern: str) -> None:
    found = [path for path in templates() if re.search(pattern, path.read_text())]

    assert not found, rule


def test_python_writes_no_style_and_no_script_into_pages() -> None:
    assert not [path for path in product_files() if re.search(r"<style|\sstyle=\\?\"|<script", path.read_text())]


def test_every_template_is_used_and_every_one_named_exists() -> None:
    there = {path.relative_to(ROOT / "templates").as_posix() for path in templates()}
    named = set(in_texts(templates(), r"{% (?:include|extends) ['\"]([\w/]+\.html)['\"]"))
    named |= set(in_texts(product_files(), r"\"([\w/{}]+\.html)\""))
    patterns = {re.sub(r"{\w+}", "*", name) for name in named}
    # What allauth and Django render by their own names.
    framework = {name for name in there if name.startswith("account/") or re.match(r"(\d{3}|403_csrf)\.html", name)}

    unused = [name for name in there - framework if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    missing = [pattern for pattern in patterns if not fnmatch.filter(there, pattern)]

    assert (unused, missing) == ([], [])


@pytest.mark.parametrize("folder", ["processes", "connections", "runs", "accounts"])
def test_a_page_has_one_name_as_address_view_and_template(folder: str) -> None:
    """`/runs/<number>/summary/` is `summary` in a module of web, drawn by runs/summary.html. The page of one thing is
    addressed by the thing itself: `/connections/<id>/`."""
    views = {(view.__name__, path) for path, _, view in routes() if view.__module__.startswith(("integ", "accounts"))}
    for template in (ROOT / "templates" / folder).glob("[a-z]*.html"):
        paths = [path for name, path in views if name == template.stem]
        ends = [re.sub(r"(<[^>]+>/?)+$", "", path).strip("/").split("/")[-1] for path in paths]

        assert template.stem.replace("_", "-") in ends or any(path.endswith(">/") for path in paths), template


def test_every_style_and_script_of_ours_is_loaded() -> None:
    named = set(in_texts(templates(), r"{% static ['\"]((?:css|js)/[\w.-]+)['\"]"))
    there = {
        f"{path.parent.name}/{path.name}" for folder in ("css", "js") for path in (ROOT / "static" / folder).iterdir()
    }

    assert named == there


# ---- other people's parts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requirements.lock", "tests/requirements.lock"])
def test_a_lock_pins_every_part_by_hash_and_names_no_registry(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    parts = [entry for entry in entries if not entry.startswith("#")]

    assert parts
    assert all(re.match(r"[\w.\[\],-]+==\S+", entry) and "--hash=sha256:" in entry for entry in parts)
    assert not re.search(r"https?:|index-url|find-links| @ |--hash=(?!sha256:)", text)


def test_the_locks_hold_what_is_declared_and_agree_with_each_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, tests = locked("requirements.lock"), locked("tests/requirements.lock")

    assert {bare_name(line) for line in project["dependencies"]} <= runtime.keys()
    assert {bare_name(line) for line in project["optional-dependencies"]["dev"]} <= tests.keys()
    assert runtime.items() <= tests.items()


def test_vendored_files_have_a_version_and_a_licence() -> None:
    vendor, parts = ROOT / "static" / "vendor", refresh().PARTS
    versions = dict(
        re.match(r"(\S+) (\S+), licence: (\S+)$", line).groups()[::2]  # type: ignore[union-attr]
        for line in (vendor / "VERSIONS").read_text().splitlines()
    )
    kept = {target for _, files in parts.values() for target in files.values()}
    there = {
        path.relative_to(vendor).as_posix() for path in vendor.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }

    assert dict(pinned()) == {name: version for name, (version, _) in parts.items()}
    assert there == kept | set(versions.values()) | {
        "VERSIONS",
        "refresh.py",
        "tabler/icons.svg",
        "codemirror/codemirror.js",
    }
    assert all((vendor / licence).stat().st_size for licence in versions.values())


def test_vendored_files_are_of_the_version_that_is_named() -> None:
    versions = dict(pinned())

    assert f"v{versions['@tabler/core']}" in (ROOT / "static/vendor/tabler/tabler.min.css").read_text()[:200]
    assert f'version:"{versions["htmx.org"]}"' in (ROOT / "static/vendor/htmx/htmx.min.js").read_text()
    editor = (ROOT / "static/vendor/codemirror/codemirror.js").read_text().split("*/", 1)[0]
    assert [f"{name} {versions[name]}" for name in refresh().EDITOR] == editor.removeprefix("/* ").strip().split(", ")


def test_the_sprite_holds_the_icons_that_pages_use() -> None:
    drawn = set(re.findall(r'id="i-([\w-]+)"', (ROOT / "static/vendor/tabler/icons.svg").read_text()))

    assert refresh().used() == drawn


# ---- connectors -----------------------------------------------------------------------------------------------------


def test_every_connector_has_a_row_in_the_readme() -> None:
    assert {row[0].strip("`") for row in table_rows("Connectors")} == CONNECTORS.keys()


def test_every_connector_and_every_kind_of_source_and_destination_is_tested() -> None:
    tests = list((ROOT / "tests" / "connectors").glob("test_*.py"))
    named = set(in_texts(tests, r"\"(\w+)\"")) | {name for path in tests for name in imported(path)}
    kinds = {kind.key for connector in CONNECTORS.values() for kind in (*connector.sources, *connector.destinations)}
    modules = {connector.test.__module__ for connector in CONNECTORS.values() if connector.test}

    assert not kinds - named, "no test in tests/connectors opens it"
    assert not modules - named, "no test in tests/connectors tests its connection"


# ---- reading the code -----------------------------------------------------------------------------------------------


@cache
def product_files() -> tuple[Path, ...]:
    return tuple(path for package in PRODUCT for path in python_files(package))


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def templates() -> tuple[Path, ...]:
    return tuple(sorted((ROOT / "templates").rglob("*.html")))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imported(path: Path) -> set[str]:
    """Name what a file imports: `a.b` for `import a.b`, `a.b` and `a.b.c` for `from a.b import c`."""
    return set(_imported(parsed(path)))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def writes_a_status(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(target, ast.Attribute) and target.attr == "status" for target in targets)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bool(re.match(r"\s*update\s+\"?integrations_run\b", node.value, re.IGNORECASE))
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    writes = {"update", "create", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "save", "asave"}
    given = [*node.args, *(word.value for word in node.keywords)]
    listed = {leaf.value for part in given for leaf in ast.walk(part) if isinstance(leaf, ast.Constant)}
    names = {word.arg for word in node.keywords}
    return node.func.attr in writes and ("status" in names or (node.func.attr != "update" and "status" in listed))


def in_texts(paths: Iterable[Path], pattern: str) -> list[str]:
    """Give everything that a pattern finds in files."""
    return [found for path in paths for found in re.findall(pattern, path.read_text())]


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)(?:\[[^\]]+\])?==(\S+)", (ROOT / name).read_text(), flags=re.MULTILINE))


def bare_name(requirement: str) -> str:
    (name,) = re.findall(r"^[\w.-]+", requirement)
    return str(name).lower()


def pinned() -> list[tuple[str, str]]:
    return re.findall(r"^(\S+) (\S+),", (ROOT / "static/vendor/VERSIONS").read_text(), flags=re.MULTILINE)


@cache
def refresh() -> ModuleType:
    """The script that fetches vendored files, as a module."""
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "static" / "vendor" / "refresh.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
