"""What a template sees: the run's values, the cart's items, the contact, their interests, and the instant, as Liquid
holds them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.schema import DecimalUnits, Instant, Location, Value, format_units
from services.channel.computed import Computed
from services.runtime.facts import value_from_proto

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def template_values(
    message: channel_pb2.OutgoingMessage,
    profile: profile_pb2.Profile,
    zone: str,
    now_us: int,
    computed: Computed,
) -> dict[str, object]:
    """The variables of a template. The run's values stand at the top; `contact`, `interests`, `items`, `message`, `now`
    and `today` (in the workspace's `zone`) are ours and hide values of the same name. In `contact` a computed attribute
    wins over a plain one, as it does in segments."""
    local = ZoneInfo(zone)
    now = (_EPOCH + timedelta(microseconds=now_us)).astimezone(local)
    contact = {attribute.name: attribute.value for attribute in profile.attributes} | dict(computed.attributes)
    identifiers = {identifier.kind: identifier.value for identifier in reversed(profile.identifiers)}
    values: dict[str, object] = {
        name: liquid_value(value_from_proto(value), local) for name, value in message.values.items()
    }
    values["contact"] = {
        **identifiers,
        **{name: liquid_value(value_from_proto(value), local) for name, value in contact.items()},
        "key": profile.key,
    }
    values["interests"] = {
        model: [{"value": one.value, "score": Decimal(format_units(one.score_units))} for one in scored]
        for model, scored in computed.interests.items()
    }
    values["items"] = [
        {name: liquid_value(value_from_proto(value), local) for name, value in item.fields.items()}
        for item in message.items
    ]
    values["message"] = {"id": message.id, "kind": message.kind, "channel": message.channel}
    values["now"] = now
    values["today"] = now.date()
    return values


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
