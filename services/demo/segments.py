"""Speaking segments over the journey: saved by name, evaluated as of the end of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from rich import box
from rich.table import Table
from rich.text import Text

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import segment_pb2
from services.demo.client import CALL_S, Client, again
from services.demo.journey import END_US
from services.demo.screen import Screen, number


@dataclass(frozen=True, slots=True)
class Spoken:
    """A segment as a person says it."""

    name: str
    text: str


SEGMENTS: tuple[Spoken, ...] = (
    Spoken("Active", "did order_completed in last 30 days"),
    Spoken(
        "Fell asleep", "did order_completed between 90 and 365 days ago\nand did not order_completed in last 90 days"
    ),
    Spoken("Newcomers", "created in last 30 days"),
    Spoken("Big spenders", "sum(order_completed.total) in last 365 days > 5000"),
    Spoken(
        "VIP by average check",
        "avg(order_completed.total) in last 180 days > 60 and did order_completed at least 20 times in last 180 days",
    ),
    Spoken("Loyal to coffee", 'did order_completed (any item (category = "COFFEE")) at least 6 times in last 180 days'),
    Spoken(
        "Cat food no more",
        'did order_completed (any item (category = "CAT FOOD")) at least 5 times between 60 and 365 days ago\n'
        'and did not order_completed (any item (category = "CAT FOOD")) in last 60 days',
    ),
    Spoken(
        "A baby in the house",
        'did order_completed (any item (category in ("BABY FOODS", "DIAPERS & DISPOSABLES")))'
        " at least 3 times in last 90 days",
    ),
    Spoken(
        "Own brand in bulk",
        'did order_completed (any item (brand = "Private" and quantity >= 4)) at least 5 times in last 90 days',
    ),
    Spoken("Christmas week basket", "did order_completed (total >= 100) from 2017-12-18 through 2017-12-24"),
    Spoken("Shops around", "distinct(order_completed.store) in last 90 days >= 4"),
    Spoken(
        "Fuel but no vegetables",
        'did order_completed (any item (department = "FUEL")) last calendar quarter\n'
        'and did not order_completed (any item (department = "PRODUCE")) last calendar quarter',
    ),
    Spoken(
        "Mailed in autumn, no coupon used",
        'received message (channel = "paper mail") from 2017-09-01 until 2017-12-01 and never did coupon_redeemed',
    ),
    Spoken("Coupon hunters", "did coupon_redeemed at least 10 times"),
    Spoken(
        "Families to win back",
        'include age_band in ("25-34", "35-44", "45-54"), kids_count in ("1", "2", "3+")\n'
        'exclude in segment "Active", in segment "Fell asleep"',
    ),
    Spoken(
        "VIPs who do not answer",
        '(in segment "Big spenders" or in segment "VIP by average check")\n'
        "and received message at least 3 times and not did coupon_redeemed",
    ),
)

PARAMETRIC = Spoken(
    "Stopped buying in a department",
    "did order_completed (any item (department = :section)) between 30 and 120 days ago\n"
    "and did not order_completed (any item (department = :section)) in last 30 days",
)


async def save(client: Client, spoken: Spoken) -> None:
    """Save it, unless its newest version says the same already."""
    source = segment_pb2.RuleSource(text=spoken.text)
    convert = segment_pb2.ConvertRuleRequest(rule=source)
    wanted = await again(lambda: client.segment.ConvertRule(convert, metadata=client.metadata, timeout=CALL_S))
    if await _saved_text(client, spoken.name) == wanted.text:
        return
    request = segment_pb2.SaveSegmentRequest(name=spoken.name, rule=source, description="from the demo")
    await again(lambda: client.segment.SaveSegment(request, metadata=client.metadata, timeout=CALL_S))


async def _saved_text(client: Client, name: str) -> str | None:
    request = segment_pb2.GetSegmentRequest(name=name)
    try:
        answer = await client.segment.GetSegment(request, metadata=client.metadata, timeout=CALL_S)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    return answer.segment.text


async def evaluate(client: Client, name: str, section: str | None = None) -> segment_pb2.EvaluateResponse:
    """The exact answer as of the end of the data."""
    parameters = {} if section is None else {"section": facts_pb2.Value(text=section)}
    request = segment_pb2.EvaluateRequest(name=name, as_of_us=END_US, parameters=parameters)
    return await again(lambda: client.segment.Evaluate(request, metadata=client.metadata, timeout=CALL_S))


async def show_segments(client: Client, screen: Screen, contacts: int) -> None:
    """Save all, then print each with its text, its exact count, its time and its share of `contacts`."""
    for spoken in SEGMENTS:
        await save(client, spoken)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("segment", style="bold", max_width=20)
    table.add_column("text", max_width=74)
    table.add_column("contacts", justify="right")
    table.add_column("share", justify="right")
    table.add_column("ms", justify="right")
    for spoken in SEGMENTS:
        answer = await evaluate(client, spoken.name)
        share = answer.count.total / contacts if contacts else 0.0
        milliseconds = f"{answer.elapsed_us / 1000:.1f}"
        cells = (spoken.name, spoken.text, number(answer.count.total), f"{share:.1%}", milliseconds)
        table.add_row(*map(Text, cells))
    screen.console.print(table)


async def show_parametric(client: Client, screen: Screen, departments: Sequence[str]) -> None:
    """One definition, one answer for each department."""
    await save(client, PARAMETRIC)
    answers = [(department, await evaluate(client, PARAMETRIC.name, department)) for department in departments]
    screen.plain(PARAMETRIC.text)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = 3
    for _ in range(columns):
        table.add_column(":section", max_width=20)
        table.add_column("contacts", justify="right")
        table.add_column("ms", justify="right")
    cells = [
        (department, number(answer.count.total), f"{answer.elapsed_us / 1000:.1f}")
        for department, answer in sorted(answers, key=lambda one: (-one[1].count.total, one[0]))
    ]
    rows = -(-len(cells) // columns)
    for row in range(rows):
        table.add_row(*(Text(text) for cell in cells[row::rows] for text in cell))
    screen.console.print(table)
    total_ms = sum(answer.elapsed_us for _, answer in answers) / 1000
    screen.say(f"{len(answers)} departments in {total_ms:.0f} ms")
