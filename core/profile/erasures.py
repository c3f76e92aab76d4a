"""People who were forgotten: what has to be found in storage, what is remembered, and how identifiers are blinded."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256

from core.events.columns import Identifier

#: Makes of an identifier what may be kept of it: 16 bytes, from which nobody without the key comes back to it.
Blind = Callable[[Identifier], bytes]

_BLIND_BYTES = 16


@dataclass(frozen=True, slots=True)
class ErasedPerson:
    """A person whom an order forgot, with what is needed to find the bytes that are still stored.

    `contacts` are the person's number first, then all parts'; `keys` the public ids that they had; `identifiers` those
    that named nobody else, keys included. `expired`: an anonymous visitor who did not come back, rather than somebody
    who asked.
    """

    order_id: str
    contacts: tuple[int, ...]
    keys: tuple[str, ...]
    identifiers: tuple[Identifier, ...]
    reason: str
    asked_by: str
    at_us: int
    upstream_position: int
    expired: bool


def keyed_blind(key: bytes, workspace: str) -> Blind:
    """The blinding of one workspace under a secret key."""
    secret = hmac.new(key, b"cdp forgotten\0" + workspace.encode(), sha256).digest()

    def blind(one: Identifier) -> bytes:
        said = one.kind.encode() + b"\0" + one.value.encode()
        return hmac.new(secret, said, sha256).digest()[:_BLIND_BYTES]

    return blind


def plain_blind(one: Identifier) -> bytes:
    """A blinding without a key, for folds whose state nobody keeps."""
    return sha256(one.kind.encode() + b"\0" + one.value.encode()).digest()[:_BLIND_BYTES]


def encode_erased(person: ErasedPerson) -> bytes:
    """JSON with sorted keys."""
    return json.dumps({"v": 1, **asdict(person)}, sort_keys=True, separators=(",", ":")).encode()


def decode_erased(raw: bytes) -> ErasedPerson:
    """The inverse. Raises ValueError for bytes of another version."""
    plain = json.loads(raw)
    version = plain.pop("v")
    if version != 1:
        raise ValueError(f"an erasure of format {version}, this release reads 1")
    identifiers = tuple(Identifier(**one) for one in plain.pop("identifiers"))
    contacts, keys = tuple(plain.pop("contacts")), tuple(plain.pop("keys"))
    return ErasedPerson(**plain, contacts=contacts, keys=keys, identifiers=identifiers)
