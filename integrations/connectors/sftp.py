"""A folder on an SFTP server, as a door for files (SSH file transfer, by Paramiko).

The server is known by the fingerprint of its key, which a person entered: nothing is typed to one that shows another.
"""

import base64
import fnmatch
import hashlib
import io
import posixpath
import re
import stat
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, cast

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from integrations.connectors.places import HIDDEN, see_that_a_file_is_meant
from integrations.connectors.spec import Connector, FieldKind, FileDoor, FoundFile, Opened, Setting, Tested
from integrations.egress.stream import connected
from integrations.engine.errors import AdministratorError, DefinitionError, SourceError, TransientError, WaybillError
from integrations.engine.file_name import search_complaint
from integrations.engine.secret import Secret

LISTED = 10_000
SECONDS = 30
REQUESTS_AHEAD = 64
"""Of 32 KB each: a file comes as fast as the line is, and not as its round trips."""
PEM = re.compile(r"(-----BEGIN [A-Z0-9 ]+-----)(.*)(-----END [A-Z0-9 ]+-----)", re.DOTALL)


def find(opened: Opened, pattern: str) -> list[FoundFile]:
    """List the files of the folder whose names match, in the order of their names.

    Raises `SourceError` where only folders match, as at a folder of this server.
    """
    if said := search_complaint(pattern):
        raise DefinitionError(said)
    with _folder(opened) as server:
        files, folders = _matching(server, opened, pattern)
    see_that_a_file_is_meant(opened, pattern, files, folders)
    return files


def open_file(opened: Opened, file: FoundFile) -> BinaryIO:
    with ExitStack() as closing:
        server = closing.enter_context(_folder(opened))
        try:
            remote = server.open(file.path, "rb")
            remote.prefetch(file.size_bytes, REQUESTS_AHEAD)
        except OSError as error:
            raise _gone(file, error) from error
        # Closed with the file, and not before it was read.
        reading = _Reading(remote, file, closing.pop_all().close)
    return cast(BinaryIO, io.BufferedReader(reading, 1 << 16))


def test(opened: Opened) -> Tested:
    try:
        with _folder(opened) as server:
            files, _ = _matching(server, opened, "*")
    except WaybillError as error:
        return Tested(ok=False, sentence=error.sentence, checks=(("Read the folder", False, error.sentence),))
    words = "1 file" if len(files) == 1 else f"{len(files):,} files"
    sentence = f"The server is the expected one, and its folder holds {words}."
    return Tested(ok=True, sentence=sentence, checks=(("Read the folder", True, sentence),))


class _Reading(io.RawIOBase):
    """A remote file that ends its connection when it is closed, and says in words what broke it off."""

    def __init__(self, remote: Any, file: FoundFile, close: Callable[[], None]) -> None:
        self._remote, self._file, self._end = remote, file, close

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            part = self._remote.read(len(buffer))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _gone(self._file, error) from error
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._end()


@contextmanager
def _folder(opened: Opened) -> Iterator[paramiko.SFTPClient]:
    """Sign in to the server. What goes wrong there is told in the connection's name."""
    host = str(opened.settings.get("host") or "").strip()
    line = connected(host, _port(opened), opened.allow_nets, seconds=SECONDS, place=f"The SFTP server of {opened.name}")
    with ExitStack() as closing:
        closing.callback(line.close)
        try:
            transport = paramiko.Transport(line)
            closing.callback(transport.close)
            transport.banner_timeout = transport.auth_timeout = SECONDS
            transport.start_client(timeout=SECONDS)
            _see_that_it_is_the_one(opened, transport)
            _sign_in(opened, transport)
            server = paramiko.SFTPClient.from_transport(transport)
            assert server is not None
            channel = server.get_channel()
            assert channel is not None
            channel.settimeout(SECONDS)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _broken(opened, error) from error
        yield server


def _see_that_it_is_the_one(opened: Opened, transport: paramiko.Transport) -> None:
    shown = fingerprint(transport.get_remote_server_key())
    expected = str(opened.settings.get("fingerprint") or "").strip()
    if not expected:
        raise AdministratorError(
            f"The server shows the key {shown}. Ask its administrator whether that is its key, enter it as the "
            "fingerprint of the connection, then test again. Nothing was typed to it.",
            code="sftp.fingerprint_missing",
        )
    if expected.removeprefix("SHA256:").rstrip("=") != shown.removeprefix("SHA256:"):
        raise AdministratorError(
            f"The server of {opened.name} shows the key {shown}, and {expected} is expected. Either it got a new key, "
            "which its administrator can confirm, or it is another server. Nothing was typed to it.",
            code="sftp.fingerprint",
        )


def _sign_in(opened: Opened, transport: paramiko.Transport) -> None:
    user = str(opened.settings.get("user") or "")
    try:
        if key := _revealed(opened, "private_key"):
            transport.auth_publickey(user, _key(opened, key))
        else:
            transport.auth_password(user, _revealed(opened, "password"))
    except paramiko.AuthenticationException as error:
        raise AdministratorError(
            f"The SFTP server of {opened.name} does not let {user or 'nobody'} in. Correct the user, the password or the "
            "key of the connection.",
            code="sftp.refused",
        ) from error


def _key(opened: Opened, text: str) -> paramiko.PKey:
    """Read a private key in OpenSSH's or PEM's form (by cryptography: Paramiko cannot read every key without a comment)."""
    passphrase = _revealed(opened, "passphrase").encode() or None
    load = load_ssh_private_key if "OPENSSH" in text else load_pem_private_key
    try:
        key = load(_in_lines(text).encode(), passphrase)
    except TypeError as error:
        what = "locked. Enter its passphrase" if passphrase is None else "not locked. Remove the passphrase"
        raise AdministratorError(f"The private key of {opened.name} is {what}.", code="sftp.passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(opened) from error
    if isinstance(key, RSAPrivateKey):
        return paramiko.RSAKey(key=key)
    if isinstance(key, EllipticCurvePrivateKey):
        return paramiko.ECDSAKey(vals=(key, key.public_key()))
    if isinstance(key, Ed25519PrivateKey):
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        return paramiko.Ed25519Key(file_obj=io.StringIO(plain))
    raise _no_key(opened)


def _no_key(opened: Opened) -> AdministratorError:
    return AdministratorError(
        f"The private key of {opened.name} cannot be read: it is no Ed25519, ECDSA or RSA key in OpenSSH's or PEM's form, "
        "or its passphrase is another one. Enter the whole key, with its first and last line.",
        code="sftp.key",
    )


def _in_lines(text: str) -> str:
    """Give a key its line breaks back: a field of one line takes them away when a text is pasted."""
    parts = PEM.fullmatch(text.strip())
    if parts is None or ":" in parts[2]:
        return text.strip() + "\n"
    return "\n".join([parts[1], *textwrap.wrap("".join(parts[2].split()), 64), parts[3], ""])


def _matching(server: paramiko.SFTPClient, opened: Opened, pattern: str) -> tuple[list[FoundFile], list[str]]:
    """Give the matching files, and the names of the folders that match as well."""
    folder = str(opened.settings.get("path") or "").strip() or "."
    files: list[FoundFile] = []
    folders: list[str] = []
    try:
        # Listed to its end before anything else is asked: the listing has requests under way of its own.
        listed = [entry for entry in server.listdir_iter(folder) if _is_meant(entry.filename, pattern)]
        for entry in listed[:LISTED]:
            path = posixpath.join(folder, entry.filename)
            found = server.stat(path) if stat.S_ISLNK(entry.st_mode or 0) else entry
            if stat.S_ISDIR(found.st_mode or 0):
                folders.append(entry.filename)
            elif stat.S_ISREG(found.st_mode or 0):
                size, changed = int(found.st_size or 0), float(found.st_mtime or 0)
                files.append(FoundFile(path=path, name=entry.filename, size_bytes=size, changed_at=changed))
    except (TimeoutError, EOFError, paramiko.SSHException) as error:
        raise _broken(opened, error) from error
    except OSError as error:
        raise DefinitionError(
            f"The folder “{folder}” at {opened.name} cannot be read: {_words(error)}. Correct the folder of the "
            "connection, or ask the server's administrator for access.",
            code="sftp.folder",
        ) from error
    return sorted(files, key=lambda file: file.name), sorted(folders)


def _is_meant(name: str, pattern: str) -> bool:
    # What is still being put there under a hidden name is nobody's file yet.
    return fnmatch.fnmatchcase(name, pattern) and not name.startswith(HIDDEN)


def fingerprint(key: paramiko.PKey) -> str:
    """Give the fingerprint as OpenSSH writes it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _port(opened: Opened) -> int:
    text = str(opened.settings.get("port") or 22)
    if not text.isdecimal():
        raise DefinitionError(f"“{text}” is no port. Correct the port of {opened.name}.", code="egress.port")
    return int(text)


def _revealed(opened: Opened, name: str) -> str:
    value = opened.settings.get(name)
    return value.reveal() if isinstance(value, Secret) else str(value or "")


def _broken(opened: Opened, error: BaseException) -> TransientError:
    return TransientError(
        f"The SFTP server of {opened.name} broke the conversation off: {_words(error)}. Try again later; if it stays so, "
        "ask its administrator.",
        code="sftp.broken",
    )


def _gone(file: FoundFile, error: BaseException) -> SourceError:
    return SourceError(
        f"“{file.name}” could not be read to its end: {_words(error)}. Run again when it is back.", code="source.gone"
    )


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not answer for {SECONDS} seconds"
    said = error.strerror if isinstance(error, OSError) else str(error)
    return ((said or "").strip().split("\n", 1)[0] or "it closed the connection").rstrip(".")


CONNECTOR = Connector(
    key="sftp",
    title="SFTP server",
    summary="A folder on an SFTP server, from which sources fetch their files.",
    settings=(
        Setting(name="host", label="Host", required=True, leads=True),
        Setting(name="port", label="Port", kind=FieldKind.NUMBER, default=22, leads=True),
        Setting(
            name="fingerprint",
            label="Fingerprint of the server's key",
            leads=True,
            help="As ssh-keygen -lf shows it: SHA256:… Leave it blank and press Test to see what the server shows.",
        ),
        Setting(name="user", label="User", required=True),
        Setting(name="password", label="Password", kind=FieldKind.SECRET, help="Where no private key is given."),
        Setting(
            name="private_key",
            label="Private key",
            kind=FieldKind.SECRET,
            help="Ed25519, ECDSA or RSA, the whole text with its first and last line.",
        ),
        Setting(name="passphrase", label="Passphrase of the private key", kind=FieldKind.SECRET),
        Setting(
            name="path", label="Folder", help="From the user's first folder, or from the root. Blank: the first folder."
        ),
    ),
    test=test,
    file_door=FileDoor(title="SFTP server", find=find, open=open_file),
)
