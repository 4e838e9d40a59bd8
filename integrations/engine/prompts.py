"""What a person is asked for when a process runs: which answers fit a prompt, and what a run makes of them.

An answer comes from any door: a form, a re-run, a parent. What fits is brought into one form, of JSON values; a period
in words gets its dates only when the run starts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from integrations.engine.plan import ChoicesFrom, Prompt, PromptType, ValueType
from integrations.engine.secure import has_handle
from integrations.engine.typed import converter

Span = tuple[date, date]
TEXT_CHARS = 4_000
SIGNS = {"9": "[0-9]", "A": r"[^\W\d_]", "X": r"[^\W_]", "?": "."}
"""Pattern signs: a digit, a letter, either, any character. `*` is anything. A backslash takes a sign as it is."""
STARS = 3


def _month(day: date) -> Span:
    first = day.replace(day=1)
    return first, _before_next(first, 1)


def _before_next(first: date, months: int) -> date:
    count = first.month - 1 + months
    return date(first.year + count // 12, count % 12 + 1, 1) - timedelta(days=1)


def _week(day: date) -> Span:
    monday = day - timedelta(days=day.weekday())
    return monday, monday + timedelta(days=6)


def _quarter(day: date) -> Span:
    first = date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    return first, _before_next(first, 3)


def _year(day: date) -> Span:
    return date(day.year, 1, 1), date(day.year, 12, 31)


def _before(of: Callable[[date], Span]) -> Callable[[date], Span]:
    return lambda day: of(of(day)[0] - timedelta(days=1))


PERIODS: Mapping[str, tuple[str, Callable[[date], Span]]] = {
    "today": ("Today", lambda day: (day, day)),
    "yesterday": ("Yesterday", lambda day: (day - timedelta(days=1), day - timedelta(days=1))),
    "last_7_days": ("The last 7 days", lambda day: (day - timedelta(days=7), day - timedelta(days=1))),
    "last_30_days": ("The last 30 days", lambda day: (day - timedelta(days=30), day - timedelta(days=1))),
    "this_week": ("This week", _week),
    "last_week": ("Last week", _before(_week)),
    "this_month": ("This month", _month),
    "last_month": ("Last month", _before(_month)),
    "this_quarter": ("This quarter", _quarter),
    "last_quarter": ("Last quarter", _before(_quarter)),
    "this_year": ("This year", _year),
    "last_year": ("Last year", _before(_year)),
}
"""The words for a period, and its first and last day as seen from a day. Weeks begin on Monday."""


def answered(prompt: Prompt, given: Any, *, may_be_sealed: bool = False) -> Any:
    """Give what was given as the value that a run carries; None where nothing was. A period has no dates yet.

    A text that `may_be_sealed` was looked at before it was, and stays as it is. Raises `ValueError` with what is wrong,
    in words that follow the name of what was asked for.
    """
    if _is_blank(given):
        if prompt.required:
            raise ValueError("is empty. Fill it in.")
        return None
    if has_handle(given):
        if may_be_sealed and prompt.type is PromptType.TEXT:
            return given
        raise ValueError("holds a sealed value, which cannot be entered here. Enter another one.")
    return ANSWERS[prompt.type](prompt, given)


def resolved(value: Any, today: date) -> Any:
    """Give the value with the dates of a period in words, as seen from `today`; any other as it is."""
    if not is_period(value) or "from" in value:
        return value
    first, last = PERIODS[value["period"]][1](today)
    return value | {"from": first.isoformat(), "to": last.isoformat()}


def unresolved(value: Any) -> Any:
    """Give the value as it was asked for: a period without its dates, so that it is seen from another day."""
    return {"period": value["period"]} if is_period(value) else value


def is_period(value: Any) -> bool:
    """True for a period in words."""
    return isinstance(value, dict) and value.get("period") in PERIODS


def words_of(value: Any) -> str:
    """Give an answer as people read it."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict) and "from" in value:
        dates = f"{value['from']} to {value['to']}"
        return f"{PERIODS[value['period']][0]}: {dates}" if is_period(value) else dates
    return PERIODS[value["period"]][0] if is_period(value) else str(value)


def complaint_about(prompt: Prompt, *, secure: bool) -> str:
    """Say what is wrong with a prompt itself; "" when it can be asked."""
    if secure and prompt.type is not PromptType.TEXT:
        return "its value is secure, so it asks for text alone."
    if prompt.type in (PromptType.CHOICE, PromptType.CHOICES) and (complaint := _complaint_about_list(prompt)):
        return complaint
    if secure and prompt.default:
        return "its value is secure, so it can have no default here."
    if prompt.pattern.replace(r"\*", "").count("*") > STARS:
        return f"its pattern has more than {STARS} *."
    try:
        for words, bound in (("least", prompt.minimum), ("most", prompt.maximum)):
            if bound and _bound(prompt, bound) is None:
                return f"it has a {words} value, and what it asks for has none."
        if prompt.default:
            answered(prompt, prompt.default)
    except ValueError as error:
        return f"its default or limit {error}"
    return ""


def _complaint_about_list(prompt: Prompt) -> str:
    if prompt.choices_from is ChoicesFrom.TABLE:
        return "" if prompt.table else "its list comes from a translation table, and none is chosen. Choose one."
    if prompt.choices_from is ChoicesFrom.QUERY:
        missing = "connection" if not prompt.connection else "query" if not prompt.query.strip() else ""
        return f"its list comes from a query, and the {missing} is missing. Fill it in." if missing else ""
    return "" if prompt.choices else "it asks to choose and offers nothing. List what can be chosen."


def _is_blank(given: Any) -> bool:
    if isinstance(given, dict):
        return not any(given.values())
    return given is None or given in ("", [])


def _bound(prompt: Prompt, bound: str) -> Any:
    """Give a limit as answers are compared with it; None where answers have no order."""
    kinds = {PromptType.NUMBER: ValueType.DECIMAL, PromptType.DATETIME: ValueType.DATETIME}
    kinds |= dict.fromkeys((PromptType.DATE, PromptType.DATE_RANGE), ValueType.DATE)
    kind = kinds.get(prompt.type)
    return None if kind is None else _converted(kind, bound)


def _converted(kind: ValueType, given: Any) -> Any:
    convert = converter(kind)
    assert convert is not None
    try:
        value = convert(given)
    except ValueError as error:
        raise ValueError(f"is not {error}.") from None
    return value


def _within(prompt: Prompt, value: Any) -> None:
    if prompt.minimum and value < _bound(prompt, prompt.minimum):
        raise ValueError(f"is less than {prompt.minimum}, the least that is allowed.")
    if prompt.maximum and value > _bound(prompt, prompt.maximum):
        raise ValueError(f"is more than {prompt.maximum}, the most that is allowed.")


def _text(prompt: Prompt, given: Any) -> str:
    text = str(given)
    most = prompt.length or TEXT_CHARS
    if len(text) > most:
        raise ValueError(f"has {len(text):,} characters, and may have {most:,}.")
    if prompt.pattern and not _fits(prompt.pattern, text):
        raise ValueError(f"does not fit the pattern {prompt.pattern}.")
    return text


def _fits(pattern: str, text: str) -> bool:
    """Look for what stands between the stars part by part, each at the first place where it fits. An expression with
    stars would try every place of one with every place of the others, and hold everybody up for minutes."""
    signs = re.findall(r"\\.|.", pattern, re.DOTALL)
    parts = [list(signs) for is_star, signs in groupby(["", *signs, ""], "*".__eq__) if not is_star]
    first, *others = map(_expression, parts)
    if not others:
        return first.fullmatch(text) is not None
    *between, last = others
    found = first.match(text)
    for part in between:
        found = found and part.search(text, found.end())
    if found is None:
        return False
    # Each sign is one character; what is too short for all of them is too short for the last part, too.
    return last.fullmatch(text, max(found.end(), len(text) - sum(map(bool, parts[-1])))) is not None


def _expression(signs: Sequence[str]) -> re.Pattern[str]:
    return re.compile("".join(SIGNS.get(sign, re.escape(sign[-1:])) for sign in signs), re.DOTALL)


def _number(prompt: Prompt, given: Any) -> int | float:
    if isinstance(given, bool):
        raise ValueError("is not a number such as 1234.50.")
    value: Decimal = _converted(ValueType.DECIMAL, given)
    _within(prompt, value)
    whole = value == value.to_integral_value() and abs(value.adjusted()) < 16
    if not whole and Decimal(repr(float(value))) != value:
        raise ValueError("has more digits than a number here can keep. Round it.")
    return int(value) if whole else float(value)


def _yes_no(prompt: Prompt, given: Any) -> bool:
    answer: bool = _converted(ValueType.BOOLEAN, given)
    return answer


def _date(prompt: Prompt, given: Any) -> str:
    day: date = _converted(ValueType.DATE, given)
    _within(prompt, day)
    return day.isoformat()


def _datetime(prompt: Prompt, given: Any) -> str:
    moment: datetime = _converted(ValueType.DATETIME, given)
    if moment.tzinfo is not None:
        raise ValueError("has a time zone. Leave it out: the company's zone applies.")
    _within(prompt, moment)
    return moment.isoformat(sep=" ", timespec="seconds")


def _range(prompt: Prompt, given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not given.get("from") or not given.get("to"):
        raise ValueError("needs both its first and its last day.")
    first, last = (_converted(ValueType.DATE, given[end]) for end in ("from", "to"))
    if first > last:
        raise ValueError("ends before it begins.")
    for day in (first, last):
        _within(prompt, day)
    return {"from": first.isoformat(), "to": last.isoformat()}


def _period(prompt: Prompt, given: Any) -> dict[str, str]:
    asked = given if isinstance(given, dict) else {"period": given}
    if not is_period(asked):
        raise ValueError(f"is no period. Choose one such as {PERIODS['last_month'][0]}.")
    if "from" not in asked:
        return {"period": asked["period"]}
    return {"period": asked["period"], **_range(Prompt(), asked)}


def _choice(prompt: Prompt, given: Any) -> str:
    # A list from elsewhere is written in by whoever can ask for it (`runs.choices`).
    if prompt.lists_from_elsewhere:
        return _text(Prompt(), given)
    if given not in prompt.choices:
        raise ValueError(f"cannot be “{str(given)[:80]}”. Choose one of those offered.")
    return str(given)


def _choices(prompt: Prompt, given: Any) -> list[str]:
    items = given if isinstance(given, list | tuple) else [given]
    return [_choice(prompt, item) for item in dict.fromkeys(map(str, items))]


ANSWERS: Mapping[PromptType, Callable[[Prompt, Any], Any]] = {
    PromptType.TEXT: _text,
    PromptType.NUMBER: _number,
    PromptType.YES_NO: _yes_no,
    PromptType.DATE: _date,
    PromptType.DATETIME: _datetime,
    PromptType.DATE_RANGE: _range,
    PromptType.PERIOD: _period,
    PromptType.CHOICE: _choice,
    PromptType.CHOICES: _choices,
}
