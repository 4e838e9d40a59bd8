"""What a run writes about itself shows no secret of its connections or variables, in whatever form it is echoed."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from accounts.keys import CannotOpen
from integrations.connectors.spool import Interruptible
from integrations.engine.batch import RowBatch
from integrations.engine.errors import DefinitionError
from integrations.engine.ports import Source
from integrations.engine.secret import DOTS, Secret
from integrations.engine.secure import Vault, masked
from integrations.runs.connections import connection_of

CONNECTIONS = frozenset({"connection", "to_connection"})
"""What a field is called that names one."""
LEAST_LETTERS = 4
"""A shorter secret would take ordinary words apart, and could be guessed from what is left."""


class Redactor:
    """Puts dots in place of the secrets of the connections that a plan (its JSON) names, of every handle of a secure
    value, and of every secure value that came out of `vault`, now or later."""

    def __init__(self, plan: Mapping[str, Any], vault: Vault) -> None:
        self._secrets = _secrets_named_in(plan)
        self._vault = vault
        self._made_for = -1
        self._redact: Callable[[str], str] = str

    def __call__(self, text: str) -> str:
        known = len(self._vault.known)
        if self._made_for != known:
            self._redact = redactor([*self._secrets, *self._vault.known])
            self._made_for = known
        redacted: str = masked(self._redact(text))
        return redacted


class Redacted:
    """A source whose rows are redacted: what it was asked with does not come back as its answer."""

    def __init__(self, source: Source, redact: Callable[[str], str]) -> None:
        self._source, self._redact = source, redact

    @property
    def columns(self) -> tuple[str, ...]:
        return self._source.columns

    def read(self) -> Iterator[RowBatch]:
        for batch in self._source.read():
            batch.rows = [list(map(self._redact, row)) for row in batch.rows]
            yield batch

    def interrupt(self) -> None:
        if isinstance(self._source, Interruptible):
            self._source.interrupt()

    def close(self) -> None:
        self._source.close()


def _secrets_named_in(plan: Mapping[str, Any]) -> list[str]:
    return [text for public_id in set(_connections_in(plan)) for text in _secrets_of(public_id)]


def _connections_in(data: Any) -> Iterator[str]:
    """Yield every connection that is named, wherever: ends, tasks, lookups, lists of prompts."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if name in CONNECTIONS and isinstance(value, str) and value:
                yield value
            else:
                yield from _connections_in(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _connections_in(value)


ENDS = " .…"
CUT_AT = 500
"""Of a longer secret a longer beginning is not looked for."""


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Give a function that puts dots in place of each secret: plain, escaped, or in base64 or hex."""
    forms = {form for text in secrets if len(text) >= LEAST_LETTERS for form in _forms(text)}
    if not forms:
        return str
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    begun = {form[:length].rstrip(ENDS) for form in forms for length in range(_least(form), min(len(form), CUT_AT))}
    lengths = sorted(set(map(len, begun)), reverse=True)

    def redact(text: str) -> str:
        text = pattern.sub(DOTS, text)
        end = text.rstrip(ENDS)
        # What another system says is cut to fit: the text may end in the beginning of a secret.
        cut = next((length for length in lengths if end[-length:] in begun), 0)
        return f"{end[:-cut]}{DOTS}" if cut else text

    return redact


def _least(form: str) -> int:
    """How much of a form tells too much: a quarter, and never as little as stands in ordinary words."""
    return max(2 * LEAST_LETTERS, len(form) // 4)


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
