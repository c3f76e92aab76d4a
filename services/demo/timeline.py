"""One contact as the platform knows it: traits, consents and the newest part of the timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from rich import box
from rich.table import Table
from rich.text import Text

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.schema import format_units
from services.demo.client import CALL_S, Client, again
from services.demo.journey import ZONE, Journey
from services.demo.requests import external_id
from services.demo.screen import INVENTED, Screen

_EVENTS = 15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def storied(journey: Journey) -> int:
    """The household with the most coupons redeemed, of those whose traits are known: there is something to see."""
    coupons = Counter(one.household for one in journey.redemptions)
    described = [one.number for one in journey.households if one.traits] or [journey.households[0].number]
    return max(described, key=lambda household: (coupons[household], -household))


async def show_contact(client: Client, screen: Screen, household: int) -> None:
    """The profile and its newest events."""
    request = profile_pb2.GetRequest(
        identifier=facts_pb2.Identifier(kind="external_id", value=external_id(household)), timeline_size=_EVENTS
    )
    answer = await again(lambda: client.profile.Get(request, metadata=client.metadata, timeout=CALL_S))
    profile = answer.profile
    identifiers = ", ".join(f"{one.kind} {one.value}" for one in profile.identifiers)
    screen.plain(f"contact {profile.contact}, key {profile.key}: {identifiers}")
    traits = [f"{one.name} {_shown(one.value)}" for one in profile.attributes if one.name != "email"]
    screen.plain(f"  {', '.join(traits)}")
    for consent in profile.consents:
        screen.say(f"  consent to {consent.channel}: {consent.state} ({INVENTED})")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("when (New York)", "event", "what"):
        table.add_column(name)
    for event in answer.timeline:
        table.add_row(*map(Text, (_when(event.occurred_at_us), event.type, _what(event))))
    screen.console.print(table)


def _when(at_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M")


def _what(event: profile_pb2.TimelineEvent) -> str:
    lines = [line.fields for line in event.items]
    if not lines:
        return ", ".join(
            f"{name} {_shown(event.params[name])}" for name in sorted(event.params) if name != "message_id"
        )
    departments = Counter(_text(line, "department") or "?" for line in lines)
    most = ", ".join(f"{count} {name.lower()}" for name, count in departments.most_common(3))
    total, store = _shown(event.params["total"]), _shown(event.params["store"])
    return f"{total} in store {store}: {len(lines)} lines ({most}{', ...' if len(departments) > 3 else ''})"


def _text(fields: Mapping[str, facts_pb2.Value], name: str) -> str:
    return fields[name].text if name in fields else ""


def _shown(value: facts_pb2.Value) -> str:
    match value.WhichOneof("kind"):
        case "decimal_units":
            return format_units(value.decimal_units)
        case "instant_us":
            return _when(value.instant_us)
        case "boolean":
            return "yes" if value.boolean else "no"
        case "text" | "integer" | "decimal" as kind:
            return str(getattr(value, kind))
        case other:
            return f"({other or 'missing'})"
