"""Dates that are calculated: a source date or the start of the run, moved by days to years, on the day of its month."""

from calendar import monthrange
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from integrations.engine.plan import DateCalculation, DateUnit, DayOfMonth, ValueType

DATED = frozenset({ValueType.TEXT, ValueType.DATE, ValueType.DATETIME})
"""The types that a calculated date can have; text holds the day as 2026-11-24."""


def calculator(how: DateCalculation, kind: ValueType, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give what makes a value of the type `kind` of one that `read` understands; a blank one stays blank.

    Raises `ValueError` with what was expected, as conversions do.
    """

    def calculate(value: Any) -> Any:
        base = read(value)
        if base is None:
            return "" if kind is ValueType.TEXT else None
        return _typed(moved(base, how), kind)

    return calculate


def moved(base: date, how: DateCalculation) -> datetime:
    """Move a date or a moment, then go to the day of its month that was asked for. A day that the month reached does
    not have becomes its last one."""
    moment = base if isinstance(base, datetime) else datetime.combine(base, time())
    try:
        match how.unit:
            case DateUnit.DAYS:
                moment += timedelta(days=how.amount)
            case DateUnit.WEEKS:
                moment += timedelta(weeks=how.amount)
            case DateUnit.MONTHS:
                moment = _months_on(moment, how.amount)
            case DateUnit.YEARS:
                moment = _months_on(moment, 12 * how.amount)
    except (ValueError, OverflowError):
        raise ValueError("a date that stays within the years 1 to 9999") from None
    if how.day is DayOfMonth.FIRST:
        return moment.replace(day=1)
    if how.day is DayOfMonth.LAST:
        return moment.replace(day=monthrange(moment.year, moment.month)[1])
    return moment


def _months_on(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def _typed(moment: datetime, kind: ValueType) -> Any:
    if kind is ValueType.DATETIME:
        return moment
    return moment.date() if kind is ValueType.DATE else moment.date().isoformat()
