"""Text becomes the declared type exactly, or is refused with what was expected."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from integrations.engine.errors import DefinitionError
from integrations.engine.plan import ValueType
from integrations.engine.typed import as_text, converter


def convert(kind: ValueType, value: Any, form: str = "") -> Any:
    found = converter(kind, form)
    assert found is not None
    return found(value)


@pytest.mark.parametrize(
    ("kind", "text", "form", "value"),
    [
        (ValueType.INTEGER, "007", "", 7),
        (ValueType.INTEGER, "12.00", "", 12),
        (ValueType.INTEGER, " ", "", None),
        (ValueType.DECIMAL, "10.50", "", Decimal("10.50")),
        (ValueType.DECIMAL, "10,50", ",", Decimal("10.50")),
        (ValueType.DECIMAL, 0.1, "", Decimal("0.1")),
        (ValueType.BOOLEAN, "Yes", "", True),
        (ValueType.DATE, "2026-02-28", "", date(2026, 2, 28)),
        (ValueType.DATE, "28.02.2026", "DMY", date(2026, 2, 28)),
        (ValueType.DATE, "2/28/2026", "MM/DD/YYYY", date(2026, 2, 28)),
        (ValueType.DATE, "2026-02-28T00:00:00", "", date(2026, 2, 28)),
        (ValueType.DATETIME, "2026-02-28 14:30", "", datetime(2026, 2, 28, 14, 30)),
    ],
)
def test_what_fits_is_converted(kind: ValueType, text: Any, form: str, value: Any) -> None:
    assert convert(kind, text, form) == value


@pytest.mark.parametrize(
    ("kind", "text", "form"),
    [
        (ValueType.INTEGER, "12.5", ""),
        (ValueType.INTEGER, "1,000", ""),
        (ValueType.INTEGER, "٣", ""),
        (ValueType.DECIMAL, "1.000,50", ","),
        (ValueType.DECIMAL, "NaN", ""),
        (ValueType.DECIMAL, "1e9999999", ""),
        (ValueType.DECIMAL, True, ""),
        (ValueType.BOOLEAN, "perhaps", ""),
        (ValueType.DATE, "2026-02-30", ""),
        (ValueType.DATE, "20260228", ""),
        (ValueType.DATE, "2026-02-28T10:00:00", ""),
        (ValueType.DATE, "02/28/2026", "DMY"),
    ],
)
def test_what_does_not_fit_is_refused(kind: ValueType, text: Any, form: str) -> None:
    with pytest.raises(ValueError, match=r"^(a |true)"):
        convert(kind, text, form)


def test_text_stays_text() -> None:
    assert converter(ValueType.TEXT) is None


def test_a_format_without_day_and_month_is_no_date_format() -> None:
    with pytest.raises(DefinitionError, match="no date format"):
        converter(ValueType.DATE, "sometime")


@pytest.mark.parametrize(
    ("value", "text"), [(5.0, "5"), (0.25, "0.25"), (True, "true"), ("007", "007"), (None, None), ([1], "[1]")]
)
def test_a_computed_value_becomes_the_text_a_person_expects(value: Any, text: str | None) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("form", ["DD.MM.DD", "%d.%m.%d", "%Q", "YYYY", "hh:mm", "DD.YYYY"])
def test_a_format_that_no_date_can_be_read_by_is_refused_with_a_sentence(form: str) -> None:
    with pytest.raises(DefinitionError, match="is no date format"):
        converter(ValueType.DATE, form)
