"""Which addresses may be reached: public ones, and private networks that are named. Nothing gets around it."""

import pytest

from integrations.egress.rules import check, is_allowed, resolve
from integrations.engine.errors import AdministratorError, DefinitionError, TransientError


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:0:0:0:0:80ff:fffe",
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not is_allowed(address, [])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address, [])


def test_a_private_network_can_be_opened() -> None:
    assert is_allowed("10.1.2.3", ["10.0.0.0/8"])
    assert not is_allowed("11.1.2.3", ["10.0.0.0/8"]) or is_allowed("11.1.2.3", [])
    assert is_allowed("::ffff:10.1.2.3", ["10.0.0.0/8"])


def test_a_name_is_judged_by_every_address_it_has() -> None:
    found = resolve("mixed.example", 443, [], lambda host, port: ["127.0.0.1", "93.184.216.34"])
    assert found == ["93.184.216.34"]
    with pytest.raises(AdministratorError, match="private network"):
        resolve("inside.example", 443, [], lambda host, port: ["127.0.0.1", "10.0.0.1"])


def test_an_unknown_name_may_be_known_later() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(TransientError, match="not known"):
        resolve("nowhere.example", 443, [], unknown)


@pytest.mark.parametrize("host", ["", "a/b", "user@host", "a b", "a\0b", "a,b"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(DefinitionError):
        resolve(host, 443, [], lambda *_: ["93.184.216.34"])


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(DefinitionError, match="no port"):
        check("example.com", port, [], lambda *_: ["93.184.216.34"])
