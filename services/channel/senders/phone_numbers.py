"""Where a person is reached by phone."""

from __future__ import annotations

from cdp.profile.v1 import profile_pb2
from core.errors import invalid
from core.identity.rules import PHONE, digits_phone


def phone_of(profile: profile_pb2.Profile) -> str | None:
    """The phone attribute if it identifies the person, else the first phone identifier."""
    known = [identifier.value for identifier in profile.identifiers if identifier.kind == PHONE]
    for attribute in profile.attributes:
        if attribute.name == PHONE and (not known or attribute.value.text in known):
            return attribute.value.text or None
    return known[0] if known else None


def dialled(address: str) -> str:
    """The digits of an international number, country code first. Raises INVALID/BAD_ADDRESS for anything else."""
    number = digits_phone(address)
    if number is None:
        raise invalid("BAD_ADDRESS", f"{address[:30]!r} is no phone number with a country code")
    return number[1:]
