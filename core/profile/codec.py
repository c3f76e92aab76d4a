"""A profile as bytes for the state table: compact JSON with sorted keys, equal profiles give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.events.columns import Identifier
from core.events.raw import raw_scalar, scalar_of
from core.profile.profile import Attribute, Consent, ListMove, Profile
from core.schema import Kind, Location, Scalar, Value, kind_of

_VERSION = 1


def encode_profile(profile: Profile) -> bytes:
    """The bytes of `profile`."""
    plain = {
        "v": _VERSION,
        "n": profile.contact,
        "k": profile.key,
        "t": profile.first_seen_us,
        "i": sorted((one.kind, one.value) for one in profile.identifiers),
        "a": {name: [_encode(one.value), one.at_us, one.order] for name, one in profile.attributes.items()},
        "c": {name: [one.state, one.source, one.at_us, one.order] for name, one in profile.consents.items()},
        "l": {name: [[p.member, p.at_us, p.order] for p in parts] for name, parts in profile.lists.items()},
        "m": profile.merged,
        "into": profile.merged_into,
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode_profile(raw: bytes) -> Profile:
    """The profile behind `raw`. Raises ValueError for bytes of another version."""
    plain = json.loads(raw)
    if plain["v"] != _VERSION:
        raise ValueError(f"a profile of format {plain['v']}, this release reads {_VERSION}")
    return Profile(
        contact=plain["n"],
        key=plain["k"],
        first_seen_us=plain["t"],
        identifiers=frozenset(Identifier(kind, value) for kind, value in plain["i"]),
        attributes={
            name: Attribute(_decode(raw_value), at, order) for name, (raw_value, at, order) in plain["a"].items()
        },
        consents={name: Consent(*parts) for name, parts in plain["c"].items()},
        lists={name: tuple(ListMove(*move) for move in moves) for name, moves in plain["l"].items()},
        merged=tuple((contact, key) for contact, key in plain["m"]),
        merged_into=plain["into"],
    )


def _encode(value: Value | None) -> Any:
    if value is None or isinstance(value, str):
        return value
    kind = kind_of(value)
    if isinstance(value, Location):
        return [int(kind), value.latitude_e7, value.longitude_e7]
    if isinstance(value, tuple):
        return [int(kind), [one if isinstance(one, str) else _encode_object(one) for one in value]]
    return [int(kind), value if isinstance(value, bool) else raw_scalar(value)]


def _encode_object(fields: Mapping[str, Scalar]) -> dict[str, Any]:
    return {name: _encode(value) for name, value in fields.items()}


def _decode(plain: Any) -> Value | None:
    if plain is None or isinstance(plain, str):
        return plain
    kind = Kind(plain[0])
    match kind:
        case Kind.LOCATION:
            return Location(plain[1], plain[2])
        case Kind.TEXT_LIST:
            return tuple(plain[1])
        case Kind.OBJECT_LIST:
            return tuple({name: _scalar(value) for name, value in one.items()} for one in plain[1])
        case _:
            return _scalar(plain)


def _scalar(plain: Any) -> Scalar:
    return plain if isinstance(plain, str) else scalar_of(Kind(plain[0]), plain[1])
