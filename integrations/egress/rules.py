"""Which addresses may be reached: public ones, and the private networks that the installation names.

A name is resolved once and what comes out is judged, unwrapped and pinned; what is connected to later is the address
that was judged, never the name again. Drivers that open their own connections (SQL) ask `check` first.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence

from integrations.engine.errors import AdministratorError, DefinitionError, TransientError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host. Raises `OSError` when there are none."""

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
COMPATIBLE = ipaddress.IPv6Network("::/96")
# Not public, whatever this Python's tables say: they differ between patch releases.
NEVER_PUBLIC = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


def unwrapped(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 one carries (mapped, compatible, NAT64, 6to4, Teredo), else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if inner := address.ipv4_mapped or address.sixtofour:
        return inner
    if address.teredo:
        return address.teredo[1]
    if address in NAT64 or (address in COMPATIBLE and int(address) > 0xFFFF):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_allowed(text: str, allow_nets: Sequence[str]) -> bool:
    """Say whether a numeric address may be connected to. A scope (`%eth0`) does not change the answer."""
    address = unwrapped(ipaddress.ip_address(text.split("%", 1)[0]))
    if any(address in ipaddress.ip_network(net, strict=False) for net in allow_nets):
        return True
    return address.is_global and not any(address in net for net in NEVER_PUBLIC)


def system_resolver(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def resolve(host: str, port: int, allow_nets: Sequence[str], resolver: Resolver = system_resolver) -> list[str]:
    """Give the addresses of `host` that may be reached, in the resolver's order; never an empty list.

    Raises `TransientError` when the name is not known now, `AdministratorError` when every address is forbidden.
    """
    if not host or any(mark in host for mark in "/\\@,\0 \r\n"):
        raise DefinitionError("Enter one host name or address, without anything around it.", code="egress.host")
    try:
        addresses = resolver(host, port)
    except (OSError, UnicodeError) as error:
        raise TransientError(
            f"The name “{host}” is not known to the network's name service. Check its spelling, or try again later.",
            code="egress.name",
        ) from error
    allowed = [address for address in addresses if is_allowed(address, allow_nets)]
    if not allowed:
        raise forbidden(host)
    return allowed


def check(host: str, port: int, allow_nets: Sequence[str], resolver: Resolver = system_resolver) -> str:
    """Give the one address to connect to for `host`. Raises as `resolve` does."""
    if not 0 < port < 65536:
        raise DefinitionError(f"{port} is no port. A port lies between 1 and 65535.", code="egress.port")
    return resolve(host, port, allow_nets, resolver)[0]


def forbidden(host: str) -> AdministratorError:
    return AdministratorError(
        f"“{host}” lies in a private network that this installation does not open to connections. "
        "Choose a public address, or ask the Owner to add its network to WAYBILL_ALLOW_NETS.",
        code="egress.forbidden",
    )
