"""The headers that people add to a request: which they may be, and how values are filled into them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from integrations.engine.errors import DefinitionError
from integrations.engine.plan import Header
from integrations.engine.variables import filled

NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
OF_THE_CONNECTION = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They say where a request goes, or how its bytes travel on this one way."""
OF_WAYBILL = frozenset({"idempotency-key"})


def complaint_about(headers: Sequence[Header]) -> str:
    """Say what keeps these headers from being sent, or ""."""
    seen: set[str] = set()
    for header in headers:
        name = header.name.casefold()
        if not NAME.fullmatch(header.name):
            return f"“{header.name[:80]}” is no name of a header. Write one such as X-Request-Source."
        if name in OF_THE_CONNECTION or name in OF_WAYBILL:
            return f"the header {header.name} is set for each request by Waybill itself. Remove it."
        if name in seen:
            return f"the header {header.name} is there twice. Remove one."
        if not _is_plain(header.value):
            return f"the value of the header {header.name} holds a line break or another control character. Remove it."
        seen.add(name)
    return ""


def with_headers(own: Mapping[str, str], headers: Sequence[Header], values: Mapping[str, Any]) -> dict[str, str]:
    """Give `own` headers and these, with `[name]`s filled in, in place of those of the same name.

    Raises `DefinitionError` naming the header that cannot be sent; never with a value, which may be secret.
    """
    if said := complaint_about(headers):
        raise DefinitionError(said, code="http.header")
    made = {header.name: filled(header.value, values) for header in headers}
    for name, value in made.items():
        if not _is_plain(value):
            raise DefinitionError(
                f"a value that goes into the header {name} holds a line break or another control character.",
                code="http.header",
            )
    replaced = {name.casefold() for name in made}
    return {name: value for name, value in own.items() if name.casefold() not in replaced} | made


def _is_plain(value: str) -> bool:
    """Say whether a header can carry a text: a control character could begin another header."""
    is_text = value.encode("utf-8", "ignore").decode() == value
    return is_text and not CONTROL.search(value)
