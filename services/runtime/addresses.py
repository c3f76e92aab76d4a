"""Which network addresses a URL of a customer may lead to: public ones, whatever form they come in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from core.errors import invalid, unavailable

#: Prefixes whose last 32 bits are an IPv4 address (NAT64), or that hold one further up (6to4).
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
#: Forms that lead somewhere else than they say, or that only a local network gives a meaning.
_REFUSED = (IPv6Network("64:ff9b:1::/48"), IPv6Network("2001::/32"), IPv6Network("fec0::/10"))


def is_public(text: str) -> bool:
    """Whether an address (without a zone) is one of the public internet. IPv4 inside IPv6 (mapped, compatible, NAT64,
    6to4) is judged by the IPv4 address; Teredo and local-use NAT64 are refused. False for what is no address."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if any(address in network for network in _REFUSED):
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and (address in _NAT64 or address in _COMPATIBLE):
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return _is_public(address)


async def pin(host: str, port: int, private_hosts: Collection[str], listed_in: str) -> str:
    """The address to call for `host`: resolved once, and every address of the answer must be public unless the host is
    one of `private_hosts`, which people find under the name `listed_in`. Raises INVALID / PRIVATE_ADDRESS, or
    UNAVAILABLE / HOST_NOT_FOUND."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unavailable("HOST_NOT_FOUND", f"{host} does not resolve: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    if host.lower() not in private_hosts:
        private = [address for address in addresses if not is_public(address)]
        if private:
            raise invalid("PRIVATE_ADDRESS", f"{host} leads to {private[0]}; list it in {listed_in}")
    return addresses[0]


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
