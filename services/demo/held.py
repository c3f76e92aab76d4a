"""What the platform holds of the data set, by its own exact answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cdp.segment.v1 import segment_pb2
from services.demo.client import CALL_S, Client, again
from services.demo.journey import END_US, Journey


@dataclass(frozen=True, slots=True)
class Held:
    """Contacts, and how many of them have how many orders, as of the end of the data."""

    contacts: int
    orders_per_household: Mapping[int, int]

    @property
    def orders(self) -> int:
        """All orders."""
        return sum(number * households for number, households in self.orders_per_household.items())

    def is_all_of(self, journey: Journey) -> bool:
        """Whether every household is there with exactly its orders."""
        expected = journey.orders_per_household()
        return self.contacts == len(journey.households) and self.orders_per_household == expected


async def held(client: Client, journey: Journey) -> Held:
    """Counted by one question that has a leaf for each number of orders that a household should have.

    A household with another number is in no leaf, so only a complete load agrees with the journey.
    """
    numbers = list(journey.orders_per_household())
    leaves = " or ".join(f"did order_completed exactly {number} times" for number in numbers)
    answer = await _evaluate(client, leaves)
    found = {n: node.count.total for n, node in zip(numbers, answer.nodes, strict=False) if node.count.total}
    return Held((await _evaluate(client, "everyone")).count.total, found)


async def _evaluate(client: Client, text: str) -> segment_pb2.EvaluateResponse:
    request = segment_pb2.EvaluateRequest(rule=segment_pb2.RuleSource(text=text), as_of_us=END_US, every_node=True)
    return await again(lambda: client.segment.Evaluate(request, metadata=client.metadata, timeout=CALL_S))
