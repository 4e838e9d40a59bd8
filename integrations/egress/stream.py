"""A plain connection for protocols whose libraries take one: opened to the very address that was judged."""

import socket
from collections.abc import Sequence

from integrations.egress.rules import check
from integrations.engine.errors import TransientError


def connected(host: str, port: int, allow_nets: Sequence[str], *, seconds: float, place: str) -> socket.socket:
    """Connect to `host`, waiting that long for it and for every answer. `place` is what people call it.

    Raises `TransientError` while it does not accept connections, and as `rules.check` does.
    """
    address = check(host, port, allow_nets)
    try:
        return socket.create_connection((address, port), timeout=seconds)
    except OSError as error:
        raise TransientError(
            f"{place} at {host} does not accept connections on port {port} now. Try again later, or correct the "
            "address of the connection.",
            code="egress.unreachable",
        ) from error
