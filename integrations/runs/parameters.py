"""What a run was asked for with: looked at when it is asked for, at every door, and again when it starts."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from integrations.engine.plan import Plan
from integrations.engine.prompts import answered, complaint_about, resolved, unresolved
from integrations.engine.secure import has_handle, is_handle


class Unfit(Exception):
    """An answer that does not fit what is asked for. `name` is the variable's; the text is a sentence."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name
        self.sentence = sentence


def fitting(plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was given, each answer to a prompt in its one form. Raises `Unfit` for the first that does not fit.

    Where nothing was given the default is; a required answer without either is missing. Sealed values are looked at by
    `see_that_none_is_slipped_in`.
    """
    values = dict(given)
    for item in plan.variables:
        if item.prompt is None:
            continue
        try:
            answer = _or_default(values.get(item.name), item.prompt.default)
            value = answered(item.prompt, answer, may_be_sealed=True)
        except ValueError as error:
            raise Unfit(item.name, f"{item.asked_as} {error}") from error
        if value is None:
            values.pop(item.name, None)
        else:
            values[item.name] = value
    return values


def see_that_none_is_slipped_in(given: Mapping[str, Any], secure: Collection[str]) -> None:
    """Raise `Unfit` for a sealed value that was given for anything but the secure variable that it is of: it would be
    opened where its value can be read."""
    for name, value in given.items():
        if has_handle(value) and not (name in secure and is_handle(value, of=name)):
            raise Unfit(name, f"{name} holds a sealed value, which cannot be entered here. Enter another one.")


def defaults(plan: Plan) -> dict[str, Any]:
    """Give the answers where nobody is asked, as far as `plan` has them."""
    asked = [(item, item.prompt) for item in plan.variables if item.prompt and item.prompt.default]
    return {
        item.name: answered(prompt, prompt.default)
        for item, prompt in asked
        if not complaint_about(prompt, secure=item.secure)
    }


def at_start(given: Mapping[str, Any], today: date) -> dict[str, Any]:
    """Give the answers with the dates of every period in words, as seen from `today`."""
    return {name: resolved(value, today) for name, value in given.items()}


def asked_again(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give the answers of a run for another one: its periods are seen from that one's day."""
    return {name: unresolved(value) for name, value in given.items()}


def _or_default(given: Any, default: str) -> Any:
    return default if given in (None, "") else given
