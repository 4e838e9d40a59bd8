"""Encryption of files to the public keys of those who may read them (OpenPGP, by Sequoia)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pysequoia import Cert, encrypt, encrypt_file

from integrations.engine.errors import DefinitionError

BLOCK = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def recipients(text: str) -> list[Cert]:
    """Read pasted public keys. Raises `DefinitionError` for what nobody should or could encrypt to."""
    if not text.strip():
        return []
    if "PRIVATE KEY BLOCK" in text:
        raise _wrong(
            "This is a private key, which nobody but its owner may have. Paste the public key, and tell the owner."
        )
    if BLOCK not in text:
        raise _wrong(f"This is no public key. Paste the whole block, from {BLOCK} to its end.")
    certs = [_cert(BLOCK + part) for part in text.split(BLOCK)[1:]]
    for cert in certs:
        _check(cert)
    return certs


def told(text: str) -> list[str]:
    """Say of each pasted key whose it is, its fingerprint and when it ends."""
    return [f"{owner(cert)} · {_in_fours(cert.fingerprint)} · {_ends(cert)}" for cert in recipients(text)]


def owner(cert: Cert) -> str:
    return ", ".join(map(str, cert.user_ids)) or "a key without a name"


def seal(clear: Path, encrypted: Path, certs: Sequence[Cert]) -> None:
    """Write `clear` so that each of `certs` can read it, and nobody else."""
    try:
        encrypt_file(input=str(clear), output=str(encrypted), recipients=list(certs), armor=False)
    except RuntimeError as error:
        # The keys were judged before: what is left is the disk.
        raise OSError(0, _first_line(error)) from error


def _cert(block: str) -> Cert:
    try:
        return Cert.from_bytes(block.encode())
    except RuntimeError as error:
        raise _wrong(f"This is no public key: {_first_line(error)}. Paste the whole block anew.") from error


def _check(cert: Cert) -> None:
    """Sequoia encrypts to a key that has ended, too: its owner may no longer have what opens it."""
    if cert.is_revoked:
        raise _wrong(f"The key of {owner(cert)} was revoked. Ask for a new one.")
    if cert.expiration is not None and cert.expiration <= datetime.now(UTC):
        raise _wrong(f"The key of {owner(cert)} ended on {cert.expiration:%Y-%m-%d}. Ask for a newer one.")
    try:
        encrypt(b"", recipients=[cert])
    except RuntimeError as error:
        raise _wrong(
            f"Nothing can be encrypted to {owner(cert)}: {_first_line(error)}. Ask for another key."
        ) from error


def _ends(cert: Cert) -> str:
    return f"valid until {cert.expiration:%Y-%m-%d}" if cert.expiration else "valid without an end"


def _in_fours(fingerprint: str) -> str:
    upper = fingerprint.upper()
    return " ".join(upper[at : at + 4] for at in range(0, len(upper), 4))


def _first_line(error: Exception) -> str:
    # What follows is a trace of the library's own.
    return str(error).strip().split("\n", 1)[0].rstrip(".")


def _wrong(sentence: str) -> DefinitionError:
    return DefinitionError(sentence, code="definition.recipients")
