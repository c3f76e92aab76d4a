"""What a template sees: the run's values, the cart's items, the contact, their interests, lists of products, and the
instant, as Liquid holds them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.schema import DecimalUnits, Instant, Location, Value, format_units
from services.channel.computed import Computed, Product
from services.channel.speech import SPEECH, speech_of
from services.channel.templates import Template
from services.runtime.facts import value_from_proto

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_CONTACT = "contact."


def template_values(
    message: channel_pb2.OutgoingMessage,
    profile: profile_pb2.Profile,
    zone: str,
    now_us: int,
    computed: Computed,
    source: Template | None = None,
    currency: str = "",
) -> dict[str, object]:
    """The variables of a template. The run's values stand at the top; `contact`, `interests`, `blocks`, `items`,
    `message`, `now` and `today` (in the workspace's `zone`) are ours and hide values of the same name. In `contact` a
    computed attribute wins over a plain one, as it does in segments.

    `source` says what stands for missing values, and the locale; its currency is the workspace's `currency` where it
    names none. Without it nothing does, and amounts are written plainly."""
    local = ZoneInfo(zone)
    now = (_EPOCH + timedelta(microseconds=now_us)).astimezone(local)
    contact = {attribute.name: attribute.value for attribute in profile.attributes} | dict(computed.attributes)
    identifiers = {identifier.kind: identifier.value for identifier in reversed(profile.identifiers)}
    values: dict[str, object] = {
        name: liquid_value(value_from_proto(value), local) for name, value in message.values.items()
    }
    about: dict[str, object] = {
        **identifiers,
        **{name: liquid_value(value_from_proto(value), local) for name, value in contact.items()},
        "key": profile.key,
    }
    values["contact"] = about
    values["interests"] = {
        model: [{"value": one.value, "score": Decimal(format_units(one.score_units))} for one in scored]
        for model, scored in computed.interests.items()
    }
    values["blocks"] = {
        name: [_shown(product, local) for product in products] for name, products in computed.blocks.items()
    }
    values["items"] = [_fields(item.fields, local) for item in message.items]
    values["message"] = {"id": message.id, "kind": message.kind, "channel": message.channel}
    values["now"] = now
    values["today"] = now.date()
    if source is not None:
        _fall_back(values, about, source.fallbacks)
        values[SPEECH] = speech_of((source.locale, str(about.get("language") or "")), source.currency or currency)
    return values


def _shown(product: Product, zone: ZoneInfo) -> dict[str, object]:
    """The product's fields; messages of one workspace, which has one zone, share them, and no template changes them."""
    found = product.shown
    if found is None:
        found = product.shown = _fields(product.fields, zone)
    return found


def _fields(fields: Mapping[str, facts_pb2.Value], zone: ZoneInfo) -> dict[str, object]:
    # Nearly all of a product's fields are texts, and a letter may show dozens of products.
    return {
        name: value.text if value.WhichOneof("kind") == "text" else liquid_value(value_from_proto(value), zone)
        for name, value in fields.items()
    }


def _fall_back(values: dict[str, object], contact: dict[str, object], fallbacks: Mapping[str, str]) -> None:
    """Put the texts where nothing, or an empty text, stands."""
    for name, text in fallbacks.items():
        held, key = (contact, name.removeprefix(_OF_CONTACT)) if name.startswith(_OF_CONTACT) else (values, name)
        if held.get(key) in (None, ""):
            held[key] = text


def liquid_value(value: Value | None, zone: ZoneInfo) -> object:
    """`value` as Liquid works with it: decimals as Decimal, instants as datetime in `zone`, lists as lists."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, DecimalUnits):
        return Decimal(format_units(value.units))
    if isinstance(value, Instant):
        return (_EPOCH + timedelta(microseconds=value.us)).astimezone(zone)
    if isinstance(value, date):
        return value
    if isinstance(value, Location):
        return {
            "latitude": Decimal(value.latitude_e7).scaleb(-7),
            "longitude": Decimal(value.longitude_e7).scaleb(-7),
        }
    return [liquid_value(element, zone) if not isinstance(element, Mapping) else _object(element, zone)
            for element in value]  # fmt: skip


def _object(fields: Mapping[str, Value], zone: ZoneInfo) -> dict[str, object]:
    return {name: liquid_value(value, zone) for name, value in fields.items()}
