"""What the door checks items against, as one process tells it another: schema, identity rules, rates of money."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cdp.facts.v1 import facts_pb2
from core.events.columns import Identifier
from core.events.schema import Row, Schema
from core.events.schema_codec import Change, decode, encode
from core.money.rates import Rate, Rates
from services.ingest.identity_door import names_somebody, rules_from
from services.ingest.ways import Way
from services.ingest.writer import BatchWriter

_REMEMBERED = 65_536


@dataclass(frozen=True, slots=True)
class DoorRules:
    """`identity` None: not known yet. `rates` None: money is taken as it is told."""

    schema: Schema
    identity: facts_pb2.IdentityRules | None = None
    rates: Rates | None = None

    @property
    def version(self) -> tuple[int, str, int]:
        """Equal for equal rules of one workspace."""
        return (
            self.schema.version,
            "" if self.identity is None else self.identity.etag,
            -1 if self.rates is None else self.rates.version,
        )

    def line(self) -> dict[str, Any]:
        """For a line of JSON."""
        rows: list[Row] = [*self.schema.bases.values(), *self.schema.definitions()]
        told: dict[str, Any] = {
            "schema": base64.b64encode(encode(Change("", "", 0, tuple(rows)))).decode(),
            "version": self.schema.version,
        }
        if self.identity is not None:
            told["identity"] = base64.b64encode(self.identity.SerializeToString()).decode()
        if self.rates is not None:
            told["home"] = self.rates.home
            told["rates_version"] = self.rates.version
            told["rates"] = [[one.currency, one.from_us, one.scaled] for one in self.rates.all()]
        return told

    def learned(self, schema: Schema) -> DoorRules:
        """The same with another schema."""
        return replace(self, schema=schema)


def rules_in(line: Mapping[str, Any]) -> DoorRules:
    """What `DoorRules.line` told."""
    schema = Schema().with_rows(decode(base64.b64decode(line["schema"])).rows, line["version"])
    identity = facts_pb2.IdentityRules.FromString(base64.b64decode(line["identity"])) if "identity" in line else None
    rates = None
    if "home" in line:
        rates = Rates(line["home"]).with_rates([Rate(*one) for one in line["rates"]], line["rates_version"])
    return DoorRules(schema, identity, rates)


async def rules_of_way(way: Way) -> DoorRules:
    """The rules in force, not older than a second. UNAVAILABLE while the log is away."""
    schema = await way.schema.read()
    if way.names is not None:
        way.names.follow()
    rates = None if way.rates is None else await way.rates.read()
    return DoorRules(schema, None if way.names is None else way.names.told, rates)


class Usable:
    """Whether an identifier names somebody by the rules; remembers what it was asked."""

    def __init__(self, identity: facts_pb2.IdentityRules | None) -> None:
        self._rules = None if identity is None else rules_from(identity)
        self._known: dict[Identifier, bool] = {}

    def __call__(self, identifier: Identifier) -> bool:
        known = self._known.get(identifier)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[identifier] = names_somebody(identifier, self._rules)
        return known


def put_up(writer: BatchWriter, rules: DoorRules, usable: Callable[[Identifier], bool]) -> None:
    """Let `writer` check what follows by the rules."""
    writer.use(rules.schema)
    writer.usable = usable
    writer.rates = rules.rates
