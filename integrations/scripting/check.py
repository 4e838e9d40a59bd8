"""What can be said of a script before it runs. Nothing is executed: the body is only parsed."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import quickjs

PREFIX_LINES = 3
"""Lines that `new Function` and the strict directive put before a body."""
NOWHERE = "waybill:nowhere"
# A module is parsed whole before its imports are looked for, and this one is never found: so nothing runs. A body that
# closes the function it stands in does not fit both.
FRAMES = (
    f'import "{NOWHERE}";\n(function () {{\n"use strict";\n%s\n}})',
    f'import "{NOWHERE}";\n(function () {{ {{\n"use strict";\n%s\n}} }})',
)
CURLY = {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "—": "-", "\u00a0": " "}
NOT_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`", re.DOTALL)
LENGTH_CAP = 100_000
MEMBER = re.compile(
    r"""\bthis\s*(?:\.\s*(?P<name>\w+)|\[\s*(?P<quote>["'])(?P<text>(?:(?!(?P=quote))[^\\\n])*)(?P=quote)\s*\])"""
    r"""(?P<written>\s*(?:[-+*/%&|^?]{0,3}=(?![=>])))?"""
)


class Severity(StrEnum):
    """An error keeps a script from being saved as runnable; a warning says what will fail when it runs."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Complaint:
    """What is wrong, at which line (from 1; 0 where no line is to blame)."""

    line: int
    sentence: str
    severity: Severity


def check_script(source: str, *, needs_return: bool) -> list[Complaint]:
    """Parse a function body and give what a designer should know, the worst first."""
    if len(source) > LENGTH_CAP:
        return [Complaint(0, f"The script is longer than {LENGTH_CAP:,} characters.", Severity.ERROR)]
    if said := _fault(source):
        return [_syntax(said, source)]
    if needs_return and not re.search(r"\breturn\b", NOT_CODE.sub(" ", source)):
        sentence = "The script has no return, so it gives no answer and its documents will fail."
        return [Complaint(0, sentence, Severity.WARNING)]
    return []


# Every page of the editor judges every script of the draft, and most of them are as they were.
@lru_cache(maxsize=512)
def _fault(source: str) -> str:
    """Give what the parser says against a function body, in either frame; "" when it parses."""
    return next(filter(None, (_parsed(frame.replace("%s", source)) for frame in FRAMES)), "")


def _parsed(module: str) -> str:
    """Give what the parser says against a module that imports from nowhere; "" when it parses."""
    context = quickjs.Context()
    context.set_memory_limit(64 << 20)
    context.set_max_stack_size(256 << 10)
    context.set_time_limit(2)
    try:
        context.module(module)
    except quickjs.JSException as error:
        return "" if NOWHERE in str(error).split("\n", 1)[0] else str(error)
    raise AssertionError("a module was found nowhere")


def looked_up(source: str) -> list[tuple[int, str]]:
    """Give what a script looks up in `this` by name, each once: the line (from 1) and the name as it is written,
    `this._Name` or `this["Name"]`. What the script puts there itself is left out."""
    code = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), source)
    members = [match for match in MEMBER.finditer(source) if code.startswith("this", match.start())]
    own = {match["name"] or match["text"] for match in members if match["written"]}
    found: dict[str, int] = {}
    for match in members:
        if (match["name"] or match["text"]) not in own:
            written = (
                f"this.{match['name']}" if match["name"] else f"this[{match['quote']}{match['text']}{match['quote']}]"
            )
            found.setdefault(written, source.count("\n", 0, match.start()) + 1)
    return [(line, written) for written, line in found.items()]


def mended(source: str) -> str:
    """Give the script with typographic quotes, dashes and spaces outside of its strings made plain."""
    parts, at = [], 0
    table = str.maketrans(CURLY)
    for match in NOT_CODE.finditer(source):
        parts += [source[at : match.start()].translate(table), match[0]]
        at = match.end()
    return "".join([*parts, source[at:].translate(table)])


def _syntax(said: str, source: str) -> Complaint:
    line = fault_line(said, source)
    message = said.split("\n", 1)[0].removeprefix("SyntaxError: ")
    if mended(source) != source:
        message += ". It holds typographic quotes or dashes, as word processors make them: write plain ones"
    return Complaint(line, f"{message[:1].upper()}{message[1:]}.", Severity.ERROR)


def fault_line(stack: str, source: str) -> int:
    """Give the line of the body that a stack points at; 0 when it points nowhere in it."""
    found = re.search(r"<input>:(\d+)", stack)
    line = int(found[1]) - PREFIX_LINES if found else 0
    return line if 0 < line <= source.count("\n") + 1 else 0
