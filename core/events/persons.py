"""Traits, consents and list moves of a person, and catalogue products, at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from core.events.canonical import attribute_name, item_name
from core.events.checks import BAD_NAME, WRONG_TYPE, Bad, clean_name
from core.events.coerce import flatten, location, scalar, texts, wrong
from core.events.columns import Identifier
from core.events.facts import CHANNELS
from core.events.report import Report
from core.events.schema import Family
from core.events.schema_check import SchemaCheck
from core.events.validate import (
    AHEAD_US,
    MAX_PROPERTIES,
    TOO_MANY_PROPERTIES,
    Usable,
    check_identifiers,
    check_message_id,
    check_occurred,
)
from core.schema import Kind, Location, Scalar, Value

BAD_CONSENT = "BAD_CONSENT"
CONSENT_AHEAD = "CONSENT_AHEAD"
NO_PRODUCT_ID = "NO_PRODUCT_ID"
NOTHING_TOLD = "NOTHING_TOLD"

#: Traits that name the person: they are taken as identifiers, and unification shows them as attributes again.
_ADDRESSES = ("email", "phone")

#: The attribute that says which bases a contact belongs to.
BASES = "bases"

CONSENT_STATES = ("granted", "denied", "unconfirmed", "suppressed", "bounced")
#: These hold messages back. They are never refused for their date, and count from their reception at the latest.
_REFUSALS = ("denied", "suppressed", "bounced")
_CONSENT_AHEAD = "nobody consents ahead of time: leave the consent out until it was given, or date it when it was"


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent of one channel, or of one `category` of it (empty: the whole channel), as told."""

    channel: str
    state: str
    source: str
    category: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class RawPerson:
    """A person as a caller told it. `attributes` are (object, its path)."""

    message_id: object
    message_id_path: str
    occurred: object
    occurred_path: str
    identifiers: Sequence[tuple[str, str, object]]
    attributes: Sequence[tuple[Mapping[str, object], str]]
    consents: Sequence[tuple[str, Consent]] = ()
    lists: Sequence[tuple[str, str, bool]] = ()
    imported: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """An accepted change of a person. An attribute of None becomes missing. `lists` are (name, member)."""

    id: str
    occurred_at_us: int
    identifiers: tuple[Identifier, ...]
    attributes: Mapping[str, Value | None]
    consents: tuple[Consent, ...]
    lists: tuple[tuple[str, bool], ...]
    imported: bool


@dataclass(frozen=True, slots=True)
class Product:
    """An accepted product of the catalogue; `deleted` takes it out."""

    product_id: str
    fields: Mapping[str, Scalar]
    deleted: bool


def check_person(
    raw: RawPerson, new_id: str, received_at_us: int, usable: Usable, report: Report, names: SchemaCheck | None = None
) -> Person | None:
    """`raw` under canonical names; None when `report` has problems. Names that `names` wants learned stand in it as
    they came."""
    message_id = check_message_id(raw.message_id, raw.message_id_path, new_id, report)
    occurred_at_us = check_occurred(raw.occurred, raw.occurred_path, received_at_us, report)
    attributes = check_attributes(raw.attributes, report, names or SchemaCheck(None, report))
    traits_path = raw.attributes[0][1] if raw.attributes else ""
    named = [kind for kind in _ADDRESSES if isinstance(attributes.get(kind), str)]
    told = [*raw.identifiers, *((f"{traits_path}.{kind}", kind, attributes.pop(kind)) for kind in named)]
    if attributes.pop("external_id", None) is not None:
        report.note(f"{traits_path}.external_id", "left out: an external id is told as an identifier")
    identifiers = check_identifiers(told, usable, report)
    for path, consent in raw.consents:
        if consent.channel not in CHANNELS:
            report.bad(path, Bad(BAD_CONSENT, f"channel is one of {', '.join(CHANNELS)}"))
        if consent.state not in CONSENT_STATES:
            report.bad(path, Bad(BAD_CONSENT, f"state is one of {', '.join(CONSENT_STATES)}"))
        elif consent.state not in _REFUSALS and occurred_at_us > received_at_us + AHEAD_US:
            report.bad(path, Bad(CONSENT_AHEAD, _CONSENT_AHEAD))
        _one_text(consent.source, f"{path}.source", report)
        _one_text(consent.proof, f"{path}.proof", report)
        clean_category = clean_name(consent.category) if consent.category else ""
        if isinstance(clean_category, Bad):
            report.bad(f"{path}.category", clean_category)
    lists = []
    for path, name, member in raw.lists:
        clean = clean_name(name)
        if isinstance(clean, Bad):
            report.bad(path, clean)
        else:
            lists.append((clean, member))
    if report.problems:
        return None
    if occurred_at_us > received_at_us + AHEAD_US:
        report.note(raw.occurred_path, "lies ahead: attributes and lists wait until then; a refusal counts at once")
    consents = tuple(consent for _, consent in raw.consents)
    return Person(message_id, occurred_at_us, identifiers, attributes, consents, tuple(lists), raw.imported)


def check_attributes(
    given: Sequence[tuple[Mapping[str, object], str]], report: Report, names: SchemaCheck
) -> dict[str, Value | None]:
    """Attributes under their canonical names; null is kept as None. Of one name the earlier wins, the one written
    canonically before others."""
    found: dict[str, Value | None] = {}
    count = 0
    for fields, prefix in given:
        before = frozenset(found)
        for path, name, value in _leaves(fields, prefix, names):
            count += 1
            if count > MAX_PROPERTIES:
                report.bad(prefix, Bad(TOO_MANY_PROPERTIES, f"a person has at most {MAX_PROPERTIES} traits at once"))
                return found
            clean = clean_name(name)
            canonical = clean if isinstance(clean, Bad) else attribute_name(clean)
            if isinstance(canonical, Bad) or not canonical:
                report.bad(path, canonical or Bad(BAD_NAME, "a name needs a letter or a digit"))
                continue
            key = names.key(Family.ATTRIBUTE, "", canonical, path)
            if key is None or key in before or (key in found and key != name):
                continue
            kept = names.fitted(Family.ATTRIBUTE, "", key, path, partial(_attribute, value, key, path, report, names))
            if isinstance(kept, Bad):
                report.bad(path, kept)
            elif kept is not None or value is None:
                found[key] = kept
                if key == BASES:
                    names.bases(kept, path)
    return found


def _leaves(fields: Mapping[str, object], prefix: str, names: SchemaCheck) -> list[tuple[str, str, object]]:
    """Like `flatten`, but an object that is one value (a location) stays whole."""
    whole = [name for name in fields if names.kind(Family.ATTRIBUTE, "", attribute_name(name)) is Kind.LOCATION]
    rest = {name: value for name, value in fields.items() if name not in whole}
    return [*((f"{prefix}.{name}", name, fields[name]) for name in whole), *flatten(rest, prefix)]


def _attribute(
    value: object, name: str, path: str, report: Report, names: SchemaCheck, wanted: Kind | None
) -> Value | Bad | None:
    if isinstance(value, Location):
        in_range = abs(value.latitude_e7) <= 900_000_000 and abs(value.longitude_e7) <= 1_800_000_000
        if not in_range:
            return Bad("BAD_NUMBER", "is no place on earth")
        return value if wanted in (None, Kind.LOCATION) else wrong(wanted)
    if isinstance(value, Mapping):
        return location(value) if wanted is Kind.LOCATION else wrong(wanted)
    if isinstance(value, list | tuple):
        if any(isinstance(one, Mapping) for one in value):
            return _objects(value, name, wanted, path, report, names)
        if wanted is Kind.OBJECT_LIST and not value:
            return ()
        return texts(value) if wanted in (None, Kind.TEXT_LIST) else wrong(wanted)
    if wanted is Kind.TEXT_LIST and isinstance(value, str):
        return texts((value,))
    return scalar(value, wanted)


def _objects(
    values: Sequence[object], name: str, wanted: Kind | None, path: str, report: Report, names: SchemaCheck
) -> tuple[Mapping[str, Scalar], ...] | Bad:
    if wanted not in (None, Kind.OBJECT_LIST):
        return wrong(wanted)
    found = []
    for i, value in enumerate(values):
        if not isinstance(value, Mapping):
            return Bad(WRONG_TYPE, "is a list of objects and of other things")
        one: dict[str, Scalar] = {}
        for here, part, leaf in flatten(value, f"{path}[{i}]"):
            clean = clean_name(part)
            if isinstance(clean, Bad):
                report.bad(here, clean)
                continue
            key = names.key(Family.ELEMENT, name, attribute_name(clean) or clean, here)
            if key is None:
                continue
            kept: Scalar | Bad | None = names.fitted(Family.ELEMENT, name, key, here, partial(scalar, leaf))
            if isinstance(kept, Bad):
                report.bad(here, kept)
            elif kept is not None:
                one[key] = kept
        found.append(one)
    return tuple(found)


def check_product(
    product_id: object,
    fields: Mapping[str, object],
    deleted: bool,
    path: str,
    report: Report,
    names: SchemaCheck | None = None,
) -> Product | None:
    """A product under canonical names; None when `report` has problems. `names` as in `check_person`."""
    names = names or SchemaCheck(None, report)
    key = scalar(product_id, Kind.TEXT)
    if isinstance(key, Bad):
        report.bad(f"{path}product_id", key)
    elif not key or len(str(key)) > 256:
        report.bad(f"{path}product_id", Bad(NO_PRODUCT_ID, "a product has an id of 1 to 256 characters"))
    found: dict[str, Scalar] = {}
    for here, name, leaf in flatten(fields, f"{path}fields"):
        clean = clean_name(name)
        canonical = clean if isinstance(clean, Bad) else item_name(clean)
        if isinstance(canonical, Bad):
            report.bad(here, canonical)
            continue
        field = names.key(Family.PRODUCT, "", canonical, here)
        if field is None:
            continue
        kept: Scalar | Bad | None = names.fitted(Family.PRODUCT, "", field, here, partial(scalar, leaf))
        if isinstance(kept, Bad):
            report.bad(here, kept)
        elif kept is not None and (field not in found or field == name):
            found[field] = kept
    if not found and not deleted and not report.problems:
        report.bad(f"{path}fields", Bad(NOTHING_TOLD, "a product needs a field; to take it out, set `deleted`"))
    return None if report.problems else Product(str(key), found, deleted)


def _one_text(value: str, path: str, report: Report) -> None:
    text = scalar(value, Kind.TEXT)
    if isinstance(text, Bad):
        report.bad(path, text)
