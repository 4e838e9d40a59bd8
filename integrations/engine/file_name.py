"""Names of files as definitions write them: patterns such as `orders_[GBL_REGION]_[DATE].csv`.

`[DATE]` and `[TIME]`, and pictures such as `[YYYYMMDD]` or `[DD.MM.YYYY hh-mm]`, stand for the start of the run; the
other brackets are those of every text (`engine.variables`).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from integrations.engine.variables import IN_BRACKETS, filled, text_of

PICTURE = re.compile(r"\[((?:YYYY|YY|MM|DD|hh|mm|ss)(?:YYYY|YY|MM|DD|hh|mm|ss|[-_. ])*)\]")
SHORT = {"[DATE]": "[YYYY-MM-DD]", "[TIME]": "[hhmmss]"}
TOKENS = (("YYYY", "%Y"), ("YY", "%y"), ("MM", "%m"), ("DD", "%d"), ("hh", "%H"), ("mm", "%M"), ("ss", "%S"))
LEFT_OPEN = re.compile(r"\[[A-Za-z_][\w.]*\]")
KNOWN_AT_START = ("run.number", "run.name", "run.process", "run.company", "run.user")
"""Facts of a run that no longer change."""
LONGEST_BYTES = 200
"""File systems take 255; the rest is for the endings and numbers that are added."""
HELP = (
    "[DATE], [TIME] or a picture such as [YYYYMMDD-hhmm] stand for the start of the run, [run.number] for a fact of it, "
    "[GBL_NAME] for a variable."
)


def named(pattern: str, values: Mapping[str, Any], moment: datetime, form: Callable[[Any], str] = text_of) -> str:
    """Fill a pattern in. What it does not know stays as it is, for `complaint` to find."""
    return filled(_dated(pattern, moment), values, form)


def complaint(name: str) -> str:
    """Say why `name` is no name of a file, in words that go on after it; "" when it is one."""
    if not name.strip():
        return "is empty"
    if mark := next((mark for mark in ("/", "\\") if mark in name), ""):
        return f"holds “{mark}”, which would lead to another folder"
    if not name.isprintable():
        return "holds a character that cannot be seen"
    if name.startswith("."):
        return "begins with a point, which hides a file"
    if name != name.strip():
        return "begins or ends with a blank"
    if len(name.encode("utf-8", "replace")) > LONGEST_BYTES:
        return f"is longer than {LONGEST_BYTES} bytes"
    if found := LEFT_OPEN.search(name):
        return f"holds {found[0]}, which nothing is known for"
    return ""


def pattern_complaint(pattern: str, names: Iterable[str] = KNOWN_AT_START) -> str:
    """Say why a pattern gives no name of a file, whatever its variables and these `names` hold; "" when it may."""
    there = frozenset(names)
    known = {name: "x" for name in IN_BRACKETS.findall(pattern) if name in there or name.startswith("GBL_")}
    return complaint(named(pattern, known, datetime(2026, 1, 1)))


def search_complaint(pattern: str) -> str:
    """Say in a sentence why a pattern cannot be looked for in one folder; "" when it can."""
    if any(mark in pattern for mark in ("/", "\\", "\0")):
        return f"“{pattern}” is no file name pattern: it may not name folders. Write one such as *.csv."
    return ""


def _dated(pattern: str, moment: datetime) -> str:
    for short, picture in SHORT.items():
        pattern = pattern.replace(short, picture)
    return PICTURE.sub(lambda found: _picture(found[1], moment), pattern)


def _picture(picture: str, moment: datetime) -> str:
    for token, code in TOKENS:
        picture = picture.replace(token, moment.strftime(code))
    return picture
