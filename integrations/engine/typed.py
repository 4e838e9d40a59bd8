"""Text becomes the declared type of a field, exactly or not at all: what does not fit is refused, never cut or guessed.

Blank text is no value (None) for every type but text, which stays as it is. Values that scripts computed come as
JavaScript has them and are brought to the declared type by the same rules.
"""

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from integrations.engine.errors import DefinitionError
from integrations.engine.plan import ValueType

Convert = Callable[[Any], Any]
"""Gives the typed value. Raises `ValueError` with what was expected ("a date such as 2026-11-24")."""

WORDS = {"true": True, "yes": True, "y": True, "1": True, "false": False, "no": False, "n": False, "0": False}
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
ORDERS = {"YMD": "YYYY-MM-DD", "DMY": "DD.MM.YYYY", "MDY": "MM/DD/YYYY"}
TOKENS = (("YYYY", "%Y"), ("YY", "%y"), ("MM", "%m"), ("DD", "%d"), ("hh", "%H"), ("mm", "%M"), ("ss", "%S"))
DIGITS_CAP = 1_000


def converter(kind: ValueType, form: str = "") -> Convert | None:
    """Give the conversion to `kind`, reading dates and numbers in the declared `form`; None when text stays text."""
    if kind is ValueType.TEXT:
        return None
    if kind is ValueType.INTEGER:
        return partial(_integer, mark=_mark(form))
    if kind is ValueType.DECIMAL:
        return partial(_decimal, mark=_mark(form))
    if kind is ValueType.BOOLEAN:
        return _boolean
    pattern = _pattern(form)
    return partial(_date if kind is ValueType.DATE else _datetime, pattern=pattern, form=form)


def as_text(value: Any) -> Any:
    """Give a computed value as a text field holds it; None stays None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, int | float | Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _mark(form: str) -> str:
    return "," if form.strip() in (",", "comma") else "."


def _decimal(value: Any, *, mark: str = ".") -> Decimal | None:
    if value is None or isinstance(value, Decimal):
        return value
    if isinstance(value, bool):
        raise ValueError(_expected_number(mark))
    if isinstance(value, str):
        text = value.strip()
        if mark == ",":
            # A point is no decimal mark here: it must not slip through as one.
            text = text.replace(".", "?").replace(",", ".")
    else:
        text = str(value)
    if not text:
        return None
    if len(text) > DIGITS_CAP or not NUMBER.fullmatch(text):
        raise ValueError(_expected_number(mark))
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(_expected_number(mark)) from None


def _expected_number(mark: str) -> str:
    return f"a number such as 1234{mark}50"


def _integer(value: Any, *, mark: str = ".") -> int | None:
    if type(value) is int:
        return value
    if type(value) is str and value.isdecimal() and value.isascii() and len(value) < DIGITS_CAP:
        return int(value)
    try:
        number = _decimal(value, mark=mark)
    except ValueError:
        raise ValueError("a whole number such as 42") from None
    if number is None:
        return None
    if abs(number.adjusted()) > DIGITS_CAP or number != number.to_integral_value():
        raise ValueError("a whole number such as 42")
    return int(number)


def _boolean(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        if not value.strip():
            return None
        found = WORDS.get(value.strip().lower())
        if found is not None:
            return found
    raise ValueError("true or false (also yes, no, 1, 0)")


def _pattern(form: str) -> str:
    """Give the strptime pattern of a declared order (DMY) or picture (DD.MM.YYYY hh:mm); "" reads ISO 8601."""
    picture = ORDERS.get(form.strip().upper(), form.strip())
    if not picture or picture == ORDERS["YMD"]:
        return ""
    pattern = picture
    if "%" not in picture:
        for token, code in TOKENS:
            pattern = pattern.replace(token, code)
    if not _tells_a_day(pattern):
        raise DefinitionError(
            f"“{form}” is no date format. Write it as DD.MM.YYYY, MM/DD/YYYY or YYYY-MM-DD hh:mm:ss.",
            code="definition.date",
        )
    return pattern


def _tells_a_day(pattern: str) -> bool:
    """True when a date that is written by `pattern` can be read by it, day and month."""
    day = datetime(2026, 11, 24)
    try:
        read = datetime.strptime(day.strftime(pattern), pattern)
    except (ValueError, re.error):
        # A part that stands there twice is a fault of the expression that strptime makes of it.
        return False
    return (read.month, read.day) == (day.month, day.day)


def _date(value: Any, *, pattern: str, form: str) -> date | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if not isinstance(value, str):
            raise ValueError
        text = value.strip()
        if pattern:
            return datetime.strptime(text, pattern).date()
        if len(text) > 10:
            # A time of midnight says no more than its date; any other time would be lost.
            moment = datetime.fromisoformat(text)
            if moment.time() != moment.min.time():
                raise ValueError
            return moment.date()
        if len(text) != 10:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"a date in the form {form}" if pattern else "a date such as 2026-11-24") from None


def _datetime(value: Any, *, pattern: str, form: str) -> datetime | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if not isinstance(value, str):
            raise ValueError
        text = value.strip()
        return datetime.strptime(text, pattern) if pattern else datetime.fromisoformat(text)
    except ValueError:
        expected = f"a date and time in the form {form}" if pattern else "a date and time such as 2026-11-24 14:30:00"
        raise ValueError(expected) from None
