"""What a run writes about itself shows no secret of its connections, in whatever form a destination echoes it."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from accounts.keys import CannotOpen
from integrations.engine.errors import DefinitionError
from integrations.engine.secret import DOTS, Secret
from integrations.runs.connections import connection_of

LEAST_LETTERS = 4
"""A shorter secret would take ordinary words apart, and could be guessed from what is left."""


def redactor_of(plan: Mapping[str, Any]) -> Callable[[str], str]:
    """Give the redactor for the connections that a plan (its JSON) names."""
    ends = (plan.get("source", {}), plan.get("destination", {}), *plan.get("tasks", ()))
    named = {end.get("connection") for end in ends} - {None, ""}
    return redactor([text for public_id in named for text in _secrets_of(public_id)])


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Give a function that puts dots in place of each secret: plain, escaped, or in base64 or hex."""
    forms = {form for text in secrets if len(text) >= LEAST_LETTERS for form in _forms(text)}
    if not forms:
        return str
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    return lambda text: pattern.sub(DOTS, text)


def _secrets_of(public_id: str) -> list[str]:
    try:
        opened = connection_of(public_id).opened_settings()
    except (CannotOpen, DefinitionError):
        return []  # Nobody can send what nobody can open: the run itself says so.
    return [value.reveal() for value in opened.values() if isinstance(value, Secret)]


def _forms(text: str) -> set[str]:
    raw = text.encode()
    escaped = {
        text,
        quote(text, safe=""),
        quote_plus(text),
        html.escape(text),
        json.dumps(text)[1:-1],
        repr(text)[1:-1],
    }
    encoded = {_base64(raw, shift) for shift in range(3)}
    in_addresses = {form.replace("+", "-").replace("/", "_") for form in encoded}
    return escaped | encoded | in_addresses | {raw.hex(), raw.hex().upper()}


def _base64(raw: bytes, shift: int) -> str:
    """Give what every base64 of a text has in common that holds `raw` after 3n + `shift` bytes (`user:password`)."""
    encoded = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")
    whole_to = (shift + len(raw)) * 8 // 6
    return encoded[-(-shift * 8 // 6) : whole_to]
