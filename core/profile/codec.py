"""A profile as bytes for the state table: compact JSON with sorted keys, equal profiles give equal bytes.

Format 2: contact `n`, key `k`, first seen `t`, then either what was told (`i`, `a`, `c`, `l`; `fa`, `fl` for attributes
and moves that wait, where there are any), or the parts `p` with their edges `e`, or where it went (`into`); `apart` and
`undone` where there are any."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.events.columns import Identifier
from core.events.raw import raw_scalar, scalar_of
from core.profile.parts import folded
from core.profile.profile import Attribute, Consent, Edge, ListMove, Profile
from core.schema import Kind, Location, Scalar, Value, kind_of

_VERSION = 2


def encode_profile(profile: Profile) -> bytes:
    """The bytes of `profile`. Of a merged person the parts are kept, and what follows from them is not."""
    plain = {"v": _VERSION, "n": profile.contact, "k": profile.key, "t": profile.first_seen_us}
    if profile.merged_into is not None:
        plain["into"] = profile.merged_into
    elif profile.parts:
        plain["p"] = [_own(part) for part in profile.parts]
        plain["e"] = [[edge.ordinal, edge.winner_end, edge.loser_end, edge.order] for edge in profile.edges]
    else:
        plain |= _own(profile)
    if profile.apart:
        plain["apart"] = profile.apart
    if profile.undone:
        plain["undone"] = profile.undone
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode_profile(raw: bytes) -> Profile:
    """The profile behind `raw`. Raises ValueError for bytes of another version."""
    plain = json.loads(raw)
    if plain["v"] != _VERSION:
        raise ValueError(f"a profile of format {plain['v']}, this release reads {_VERSION}")
    profile = replace(
        _profile(plain),
        parts=tuple(_profile(part) for part in plain.get("p", ())),
        edges=tuple(Edge(*edge) for edge in plain.get("e", ())),
        apart=tuple((tuple(mine), tuple(others)) for mine, others in plain.get("apart", ())),
        undone=tuple(plain.get("undone", ())),
        merged_into=plain.get("into"),
    )
    return folded(profile)


def _own(profile: Profile) -> dict[str, Any]:
    """What was told of one part."""
    plain = {
        "n": profile.contact,
        "k": profile.key,
        "t": profile.first_seen_us,
        "i": sorted((one.kind, one.value) for one in profile.identifiers),
        "a": {name: [_encode(one.value), one.at_us, one.order] for name, one in profile.attributes.items()},
        "c": {
            name: [one.state, one.source, one.at_us, one.order, *([one.proof] if one.proof else [])]
            for name, one in profile.consents.items()
        },
        "l": _encode_moves(profile.lists),
    }
    if profile.attributes_ahead:
        plain["fa"] = {
            name: [[_encode(one.value), one.at_us, one.order] for one in waiting]
            for name, waiting in profile.attributes_ahead.items()
        }
    if profile.lists_ahead:
        plain["fl"] = _encode_moves(profile.lists_ahead)
    return plain


def _encode_moves(lists: Mapping[str, tuple[ListMove, ...]]) -> dict[str, Any]:
    return {name: [[one.member, one.at_us, one.order] for one in moves] for name, moves in lists.items()}


def _profile(plain: Mapping[str, Any]) -> Profile:
    return Profile(
        contact=plain["n"],
        key=plain["k"],
        first_seen_us=plain["t"],
        identifiers=frozenset(Identifier(kind, value) for kind, value in plain.get("i", ())),
        attributes={name: _attribute(written) for name, written in plain.get("a", {}).items()},
        consents={name: Consent(*told) for name, told in plain.get("c", {}).items()},
        lists=_moves(plain.get("l", {})),
        attributes_ahead={
            name: tuple(_attribute(written) for written in waiting) for name, waiting in plain.get("fa", {}).items()
        },
        lists_ahead=_moves(plain.get("fl", {})),
    )


def _attribute(written: tuple[Any, int, int]) -> Attribute:
    raw_value, at_us, order = written
    return Attribute(_decode(raw_value), at_us, order)


def _moves(plain: Mapping[str, Any]) -> dict[str, tuple[ListMove, ...]]:
    return {name: tuple(ListMove(*move) for move in moves) for name, moves in plain.items()}


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
