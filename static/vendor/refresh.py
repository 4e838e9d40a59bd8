"""Fetch the front-end parts anew: `python static/vendor/refresh.py`, with npm at hand and nothing else.

Each part is pinned here; npm takes it from whichever registry it is set up for. What is kept of a part is what pages
use, beside its licence. `VERSIONS` tells what lies here.
"""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
STATIC = HERE.parent
PARTS = {
    "@tabler/core": ("1.6.1", {"dist/css/tabler.min.css": "tabler/tabler.min.css"}),
    "@tabler/icons": ("3.51.0", {}),
    "@fontsource-variable/inter": (
        "5.3.0",
        {f"files/inter-{part}-wght-normal.woff2": f"fonts/inter-{part}.woff2" for part in ("latin", "latin-ext")},
    ),
    "@fontsource-variable/jetbrains-mono": (
        "5.3.0",
        {
            f"files/jetbrains-mono-{part}-wght-normal.woff2": f"fonts/jetbrains-mono-{part}.woff2"
            for part in ("latin", "latin-ext")
        },
    ),
    "htmx.org": ("2.0.8", {"dist/htmx.min.js": "htmx/htmx.min.js"}),
}
# The code editor is many small packages that name each other; pages get one module with all of them in it.
EDITOR = {
    "@codemirror/autocomplete": "6.20.4",
    "@codemirror/commands": "6.11.1",
    "@codemirror/lang-javascript": "6.2.5",
    "@codemirror/language": "6.13.1",
    "@codemirror/lint": "6.9.8",
    "@codemirror/state": "6.7.6",
    "@codemirror/streamparser": "6.0.0",
    "@codemirror/view": "6.43.15",
    "@lezer/common": "1.5.5",
    "@lezer/highlight": "1.2.5",
    "@lezer/javascript": "1.5.6",
    "@lezer/lr": "1.4.12",
    "@marijn/find-cluster-break": "1.0.4",
    "crelt": "1.0.7",
    "style-mod": "4.1.5",
    "w3c-keyname": "2.2.8",
}
PARTS |= {name: (version, {}) for name, version in EDITOR.items()}
BUNDLER = "esbuild@0.28.2"
OF_THE_EDITOR = """
export { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
export { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
export { javascript, javascriptLanguage } from "@codemirror/lang-javascript";
export { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
export { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
export { EditorState } from "@codemirror/state";
export { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers, placeholder } from "@codemirror/view";
export { classHighlighter } from "@lezer/highlight";
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (version, files) in PARTS.items():
            package = fetched(name, version, Path(folder))
            for source, target in files.items():
                place = HERE / target
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(without_map((package / source).read_bytes()))
            kept = name.replace("/", "-").lstrip("@")
            (HERE / "licences").mkdir(exist_ok=True)
            (HERE / "licences" / f"{kept}.txt").write_text(licence_of(package))
            if name == "@tabler/icons":
                (HERE / "tabler" / "icons.svg").write_text(sprite(package / "icons" / "outline"))
            if name in EDITOR:
                shutil.copytree(package, Path(folder) / "node_modules" / name)
        bundle_editor(Path(folder))
    lines = [
        f"{name} {version}, licence: licences/{name.replace('/', '-').lstrip('@')}.txt"
        for name, (version, _) in PARTS.items()
    ]
    (HERE / "VERSIONS").write_text("\n".join(lines) + "\n")


def fetched(name: str, version: str, folder: Path) -> Path:
    """Fetch one package with npm and give the folder it unpacked to."""
    done = subprocess.run(
        ["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, capture_output=True, text=True
    )
    target = folder / name.replace("/", "-")
    with tarfile.open(folder / done.stdout.strip().splitlines()[-1]) as archive:
        archive.extractall(target, filter="data")
    return next(target.iterdir())


def bundle_editor(folder: Path) -> None:
    """Make one module of the code editor's packages, which lie in `node_modules` of `folder`; it names their versions."""
    (folder / "editor.js").write_text(OF_THE_EDITOR)
    parts = ", ".join(f"{name} {version}" for name, version in EDITOR.items())
    made = HERE / "codemirror" / "codemirror.js"
    build = f"esbuild editor.js --bundle --format=esm --minify --log-level=warning --outfile={made}".split()
    command = ["npm", "exec", "--yes", f"--package={BUNDLER}", "--", *build, f"--banner:js=/* {parts} */"]
    subprocess.run(command, cwd=folder, check=True)


def licence_of(package: Path) -> str:
    """Give the licence's text; of a package that ships none, what it declares."""
    for path in sorted(package.iterdir()):
        if path.name.upper().startswith("LICEN"):
            return path.read_text()
    declared = json.loads((package / "package.json").read_text())
    return f"{declared['name']} {declared['version']}: {declared['license']}. {declared.get('author', '')}\n"


def without_map(content: bytes) -> bytes:
    """Leave out the reference to a source map that is not kept: a manifest of static files must be whole."""
    return re.sub(rb"\n?/[*/][#@] sourceMappingURL=[^\s*]+( \*/)?", b"", content)


def sprite(icons: Path) -> str:
    """Make one SVG of the icons that templates and tags name."""
    symbols = []
    for name in sorted(used()):
        svg = (icons / f"{name}.svg").read_text()
        inner = re.sub(r"\s+", " ", re.search(r"<svg[^>]*>(.*)</svg>", svg, re.DOTALL)[1]).strip()
        symbols.append(f'<symbol id="i-{name}" viewBox="0 0 24 24">{inner}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def used() -> set[str]:
    project = STATIC.parent
    names = set()
    for template in (project / "templates").rglob("*.html"):
        names |= set(re.findall(r'{% icon "([a-z0-9-]+)"', template.read_text()))
    for module in ("tags", "navigation"):
        names |= set(
            re.findall(r'icon="([a-z0-9-]+)"', (project / "integrations" / "web" / f"{module}.py").read_text())
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
