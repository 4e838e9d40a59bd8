"""One-time tokens of links: 256 bits of chance, of which only the hash is kept."""

import secrets
from hashlib import sha256


def new_token() -> tuple[str, str]:
    """Give a token and the hash to store."""
    token = secrets.token_urlsafe(32)
    return token, hash_of(token)


def hash_of(token: str) -> str:
    return sha256(token.encode()).hexdigest()
