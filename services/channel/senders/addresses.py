"""Which network addresses a webhook may call: public ones, whatever form they come in."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

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


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
