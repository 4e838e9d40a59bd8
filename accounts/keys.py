"""Secrets at rest: each company has a data key, wrapped by the installation's field keys (envelope encryption).

A sealed value is AES-256-GCM, bound to its place: moved to another row, column or company it does not open.
"""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12
KEY_BYTES = 32


class CannotOpen(Exception):
    """The value was sealed with another key or for another place. Restore FIELD_KEYS, or enter the secret again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def new_data_key() -> bytes:
    """Make a company's data key, wrapped by the first of FIELD_KEYS."""
    return _seal(settings.FIELD_KEYS[0], os.urandom(KEY_BYTES), b"company-data-key")


def seal(wrapped_key: bytes, place: str, text: str) -> str:
    """Seal `text` with a company's data key for `place` (model, column and public id)."""
    sealed = _seal(_unwrap(wrapped_key), text.encode(), place.encode())
    return base64.b64encode(sealed).decode()


def open_sealed(wrapped_key: bytes, place: str, sealed: str) -> str:
    """Give the text back. Raises `CannotOpen` for another key or another place."""
    try:
        data = base64.b64decode(sealed)
    except ValueError as error:
        raise CannotOpen from error
    return _open(_unwrap(wrapped_key), data, place.encode()).decode()


def rewrap(wrapped_key: bytes) -> bytes:
    """Wrap a data key anew by the first of FIELD_KEYS, so that an older field key can be retired."""
    return _seal(settings.FIELD_KEYS[0], _unwrap(wrapped_key), b"company-data-key")


def is_wrapped_by_the_newest(wrapped_key: bytes) -> bool:
    """True when a data key needs no older field key than the first of FIELD_KEYS."""
    try:
        _open(settings.FIELD_KEYS[0], bytes(wrapped_key), b"company-data-key")
    except CannotOpen:
        return False
    return True


def _unwrap(wrapped_key: bytes) -> bytes:
    for field_key in settings.FIELD_KEYS:
        try:
            return _open(field_key, bytes(wrapped_key), b"company-data-key")
        except CannotOpen:
            continue
    raise CannotOpen


def _seal(key: bytes, data: bytes, place: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, place)


def _open(key: bytes, sealed: bytes, place: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except (InvalidTag, ValueError) as error:
        raise CannotOpen from error
