"""Answers to what a process asks for: which fit, and what a run makes of them."""

from datetime import date
from typing import Any

import pytest

from integrations.engine.plan import Prompt, PromptType
from integrations.engine.prompts import PERIODS, answered, complaint_about, resolved, unresolved, words_of

T = PromptType
LIST = ("North", "South")
HANDLE = f"~GBL_KEY~1~{'x' * 40}~"


@pytest.mark.parametrize(
    ("prompt", "given", "value"),
    [
        (Prompt(), " text ", " text "),
        (Prompt(), "", None),
        (Prompt(length=3), "abc", "abc"),
        (Prompt(pattern="INV-9999"), "INV-0042", "INV-0042"),
        (Prompt(pattern=r"\A9*"), "A7 whatever", "A7 whatever"),
        (Prompt(pattern=r"*-?9*\**X"), "a-c-b1*c", "a-c-b1*c"),
        (Prompt(pattern="a**"), "a", "a"),
        (Prompt(type=T.NUMBER), "12", 12),
        (Prompt(type=T.NUMBER, minimum="0", maximum="12.5"), "12.50", 12.5),
        (Prompt(type=T.NUMBER), 0, 0),
        (Prompt(type=T.YES_NO), "yes", True),
        (Prompt(type=T.YES_NO), False, False),
        (Prompt(type=T.DATE, minimum="2026-01-01"), "2026-01-01", "2026-01-01"),
        (Prompt(type=T.DATETIME), "2026-11-24T14:30", "2026-11-24 14:30:00"),
        (
            Prompt(type=T.DATE_RANGE),
            {"from": "2026-01-01", "to": "2026-01-31"},
            {"from": "2026-01-01", "to": "2026-01-31"},
        ),
        (Prompt(type=T.DATE_RANGE), {"from": "", "to": ""}, None),
        (Prompt(type=T.PERIOD), "last_month", {"period": "last_month"}),
        (Prompt(type=T.CHOICE, choices=LIST), "South", "South"),
        (Prompt(type=T.CHOICES, choices=LIST), ["South", "North", "South"], ["South", "North"]),
        (Prompt(type=T.CHOICES, choices=LIST), "North", ["North"]),
    ],
)
def test_an_answer_that_fits_is_brought_into_one_form(prompt: Prompt, given: Any, value: Any) -> None:
    assert answered(prompt, given) == value
    if value is not None:
        assert answered(prompt, value) == value, "what a run kept fits again when it is run again"


@pytest.mark.parametrize(
    ("prompt", "given", "said"),
    [
        (Prompt(required=True), "", "is empty. Fill it in."),
        (Prompt(type=T.CHOICES, choices=LIST, required=True), [], "is empty. Fill it in."),
        (Prompt(length=3), "abcd", "has 4 characters, and may have 3."),
        (Prompt(pattern="99-AA"), "12-3x", "does not fit the pattern 99-AA."),
        (Prompt(pattern="a.c"), "abc", "does not fit the pattern a.c."),
        (Prompt(pattern="ab*ba"), "aba", "does not fit the pattern ab*ba."),
        (Prompt(pattern="*a*a*ab"), "a" * 4_000, "does not fit the pattern *a*a*ab."),
        (Prompt(), HANDLE, "holds a sealed value, which cannot be entered here. Enter another one."),
        (
            Prompt(type=T.CHOICE, choices=LIST),
            HANDLE,
            "holds a sealed value, which cannot be entered here. Enter another one.",
        ),
        (Prompt(type=T.NUMBER), "twelve", "is not a number such as 1234.50."),
        (Prompt(type=T.NUMBER), True, "is not a number such as 1234.50."),
        (Prompt(type=T.NUMBER, minimum="0"), "-1", "is less than 0, the least that is allowed."),
        (Prompt(type=T.NUMBER, maximum="9"), "10", "is more than 9, the most that is allowed."),
        (Prompt(type=T.NUMBER), "0.12345678901234567890", "has more digits than a number here can keep. Round it."),
        (Prompt(type=T.YES_NO), "perhaps", "is not true or false (also yes, no, 1, 0)."),
        (Prompt(type=T.DATE), "24.11.2026", "is not a date such as 2026-11-24."),
        (Prompt(type=T.DATE, maximum="2026-01-01"), "2026-01-02", "is more than 2026-01-01, the most that is allowed."),
        (
            Prompt(type=T.DATETIME),
            "2026-11-24T14:30+02:00",
            "has a time zone. Leave it out: the company's zone applies.",
        ),
        (Prompt(type=T.DATE_RANGE), {"from": "2026-01-02", "to": ""}, "needs both its first and its last day."),
        (Prompt(type=T.DATE_RANGE), {"from": "2026-01-02", "to": "2026-01-01"}, "ends before it begins."),
        (Prompt(type=T.DATE_RANGE), "2026", "needs both its first and its last day."),
        (Prompt(type=T.PERIOD), "next_decade", "is no period. Choose one such as Last month."),
        (Prompt(type=T.CHOICE, choices=LIST), "East", "cannot be “East”. Choose one of those offered."),
        (Prompt(type=T.CHOICES, choices=LIST), ["North", "East"], "cannot be “East”. Choose one of those offered."),
    ],
)
def test_an_answer_that_does_not_fit_is_said(prompt: Prompt, given: Any, said: str) -> None:
    with pytest.raises(ValueError) as error:
        answered(prompt, given)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("today", "2024-02-29", "2024-02-29"),
        ("yesterday", "2024-02-28", "2024-02-28"),
        ("last_7_days", "2024-02-22", "2024-02-28"),
        ("last_30_days", "2024-01-30", "2024-02-28"),
        ("this_week", "2024-02-26", "2024-03-03"),
        ("last_week", "2024-02-19", "2024-02-25"),
        ("this_month", "2024-02-01", "2024-02-29"),
        ("last_month", "2024-01-01", "2024-01-31"),
        ("this_quarter", "2024-01-01", "2024-03-31"),
        ("last_quarter", "2023-10-01", "2023-12-31"),
        ("this_year", "2024-01-01", "2024-12-31"),
        ("last_year", "2023-01-01", "2023-12-31"),
    ],
)
def test_a_period_in_words_has_the_dates_that_it_has_on_a_day(period: str, first: str, last: str) -> None:
    value = resolved({"period": period}, date(2024, 2, 29))
    assert value == {"period": period, "from": first, "to": last}
    assert answered(Prompt(type=T.PERIOD), value) == value
    assert unresolved(value) == {"period": period}
    assert words_of(value) == f"{PERIODS[period][0]}: {first} to {last}"


def test_every_period_begins_before_it_ends_on_every_day_of_four_years() -> None:
    for ordinal in range(date(2024, 1, 1).toordinal(), date(2028, 1, 1).toordinal()):
        day = date.fromordinal(ordinal)
        for _, span in PERIODS.values():
            first, last = span(day)
            assert first <= last


@pytest.mark.parametrize(
    ("prompt", "secure", "said"),
    [
        (Prompt(), True, ""),
        (Prompt(type=T.CHOICE, choices=LIST, default="North"), False, ""),
        (Prompt(type=T.NUMBER), True, "its value is secure, so it asks for text alone."),
        (Prompt(default="x"), True, "its value is secure, so it can have no default here."),
        (Prompt(type=T.CHOICE), False, "it asks to choose and offers nothing. List what can be chosen."),
        (Prompt(type=T.NUMBER, default="x"), False, "its default or limit is not a number such as 1234.50."),
        (Prompt(type=T.DATE, minimum="x"), False, "its default or limit is not a date such as 2026-11-24."),
        (Prompt(minimum="1"), False, "it has a least value, and what it asks for has none."),
        (Prompt(pattern="*a*b*c*"), False, "its pattern has more than 3 *."),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_said(prompt: Prompt, secure: bool, said: str) -> None:
    assert complaint_about(prompt, secure=secure) == said


@pytest.mark.parametrize(("value", "words"), [(True, "Yes"), (False, "No"), (["a", "b"], "a, b"), (7, "7")])
def test_answers_are_read_as_words(value: Any, words: str) -> None:
    assert words_of(value) == words
