"""An SFTP server as a door for files, against a real one on loopback."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from integrations.connectors import sftp
from integrations.connectors.registry import connector
from integrations.connectors.spec import Opened
from integrations.engine.errors import AdministratorError, DefinitionError, SourceError, TransientError, WaybillError
from integrations.engine.secret import Secret
from tests.servers import free_port
from tests.sftp_server import SftpServer

KEY_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "there" / "in"
    folder.mkdir(parents=True)
    return folder.parent


@pytest.fixture
def server(root: Path) -> Iterator[SftpServer]:
    with SftpServer(root) as running:
        yield running


def at(server: SftpServer, **settings: Any) -> Opened:
    """The connection as it is opened for a run."""
    given = {
        "host": "127.0.0.1",
        "port": server.port,
        "fingerprint": server.fingerprint,
        "user": server.user,
        "password": Secret(server.password),
        "path": "in",
    }
    return Opened(public_id="c", name="Bank", settings=given | settings, allow_nets=["127.0.0.0/8"])


def told(opened: Opened) -> str:
    with pytest.raises(WaybillError) as refused:
        sftp.find(opened, "*")
    return refused.value.sentence


def test_what_matches_is_found_in_the_order_of_names(server: SftpServer, root: Path) -> None:
    for name in ("b.csv", "a.csv", "a.txt", ".waybill-c.csv", "A.CSV"):
        (root / "in" / name).write_text(name)
    (root / "in" / "folder.csv").mkdir()
    (root / "in" / "link.csv").symlink_to(root / "in" / "a.txt")

    found = sftp.find(at(server), "*.csv")
    assert [(file.name, file.size_bytes) for file in found] == [("a.csv", 5), ("b.csv", 5), ("link.csv", 5)]
    assert sftp.find(at(server), "*.csv") == found, "a file that stands still is the same in two looks"


def test_a_file_comes_byte_by_byte(server: SftpServer, root: Path) -> None:
    content = os.urandom(3_000_001)
    (root / "in" / "big.csv").write_bytes(content)
    (found,) = sftp.find(at(server), "big.csv")

    with sftp.open_file(at(server), found) as file:
        assert file.read() == content


def test_a_file_that_is_gone_meanwhile_is_told(server: SftpServer, root: Path) -> None:
    (root / "in" / "a.csv").write_text("a")
    (found,) = sftp.find(at(server), "a.csv")
    (root / "in" / "a.csv").unlink()

    with pytest.raises(SourceError, match=r"“a\.csv” could not be read to its end: No such file"):
        sftp.open_file(at(server), found)


def test_a_folder_where_a_file_is_meant_is_told(server: SftpServer, root: Path) -> None:
    (root / "in" / "orders.csv").mkdir()
    with pytest.raises(SourceError, match=r"“orders\.csv” at Bank is a folder"):
        sftp.find(at(server), "orders.csv")


@pytest.mark.parametrize("kind", KEY_KINDS)
@pytest.mark.parametrize("passphrase", ["", "open sesame"])
@pytest.mark.parametrize("form", ["openssh", "openssh pasted into one line", "pkcs8-pem"])
def test_a_private_key_lets_in(root: Path, kind: str, passphrase: str, form: str) -> None:
    key = asyncssh.generate_private_key(kind)
    text = key.export_private_key(form.split()[0], passphrase=passphrase or None).decode()
    if "one line" in form:
        text = text.replace("\n", "")
    with SftpServer(root, authorized=[key]) as server:
        opened = at(server, password="", private_key=Secret(text), passphrase=Secret(passphrase))
        assert sftp.find(opened, "*") == []
        assert server.passwords == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"password": Secret("wrong")}, "does not let harwood in"),
        ({"private_key": Secret("no key at all")}, "cannot be read: it is no Ed25519, ECDSA or RSA key"),
        ({"path": "elsewhere"}, "The folder “elsewhere” at Bank cannot be read: No such file"),
        ({"port": "many"}, "“many” is no port. Correct the port of Bank."),
        ({"host": "a b/c"}, "Enter one host name or address"),
    ],
    ids=["password", "key", "folder", "port", "host"],
)
def test_a_wrong_setting_is_named(server: SftpServer, settings: dict[str, Any], sentence: str) -> None:
    assert sentence in told(at(server, **settings))


def test_a_locked_key_without_its_passphrase_is_told(root: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    text = key.export_private_key("openssh", passphrase="open sesame").decode()
    with SftpServer(root, authorized=[key]) as server:
        assert "Enter its passphrase" in told(at(server, private_key=Secret(text)))


@pytest.mark.parametrize("expected", ["", "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
def test_nothing_is_typed_to_a_server_that_nobody_vouches_for(server: SftpServer, expected: str) -> None:
    with pytest.raises(AdministratorError) as refused:
        sftp.find(at(server, fingerprint=expected), "*")

    assert server.fingerprint in refused.value.sentence and "Nothing was typed to it." in refused.value.sentence
    assert server.passwords == []


def test_a_server_that_is_away_is_tried_later(server: SftpServer) -> None:
    with pytest.raises(TransientError, match=r"The SFTP server of Bank at 127\.0\.0\.1 does not accept connections"):
        sftp.find(at(server, port=free_port()), "*")


def test_a_private_network_stays_closed(server: SftpServer) -> None:
    opened = at(server)
    closed = Opened(public_id="c", name="Bank", settings=opened.settings, allow_nets=[])
    assert "WAYBILL_ALLOW_NETS" in told(closed)


def test_a_pattern_that_leads_elsewhere_is_refused(server: SftpServer) -> None:
    with pytest.raises(DefinitionError):
        sftp.find(at(server), "../*.csv")


def test_the_test_of_a_connection_says_what_is_there(server: SftpServer, root: Path) -> None:
    (root / "in" / "a.csv").write_text("a")
    assert connector("sftp").test(at(server)).sentence == (
        "The server is the expected one, and its folder holds 1 file."
    )
    shown = connector("sftp").test(at(server, fingerprint=""))
    assert not shown.ok and server.fingerprint in shown.sentence
