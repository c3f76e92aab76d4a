"""Messages sent by day and by night, and those that machines opened."""

from __future__ import annotations

from datetime import UTC, datetime

from core.clock import HOUR_US, MINUTE_US
from core.events.columns import MACHINE
from core.query.ast import Compare, Daypart, InLast, MessageCount, MessageVerb
from core.query.execute import leaf
from core.query.execute_context import Context
from tests.unit.index.small_world import SmallWorld, bound, members, operands

#: A winter day in Kyiv, two hours ahead of UTC.
DAY = int(datetime(2026, 1, 15, tzinfo=UTC).timestamp()) * 1_000_000
NOW = DAY + 48 * HOUR_US


def counted(
    verb: MessageVerb, sent: Daypart | None, *, machines: bool = False, window: InLast | None = None
) -> MessageCount:
    return MessageCount(verb, (), window, Compare.GE, operands(1), sent, machines)


def test_the_zone_stored_at_sending_decides() -> None:
    world = SmallWorld().contacts(*range(7))
    kyiv = {"time_zone": "Europe/Kyiv"}
    for contact, (at_us, params) in enumerate(
        (
            (6 * HOUR_US, kyiv),  # 08:00 there
            (6 * HOUR_US - 1, kyiv),
            (18 * HOUR_US - 1, kyiv),  # just before 20:00
            (18 * HOUR_US, kyiv),
            (19 * HOUR_US, {}),  # the workspace's zone
            (19 * HOUR_US, {"time_zone": "Mars/Olympus"}),
        )
    ):
        world.event(contact, "message_sent", DAY + at_us, {"message_id": f"m{contact}", **params})
        world.event(contact, "message_opened", NOW - HOUR_US, {"message_id": f"m{contact}"})
    world.event(6, "message_opened", NOW - HOUR_US, {"message_id": "m6"})
    # A message of somebody else says nothing of one's own, and what contacts say later of their zone changes nothing.
    world.event(0, "message_opened", NOW, {"message_id": "m4"}).attribute(1, "time_zone", "Asia/Tokyo")
    root = world.root()
    for verb in (MessageVerb.SENT, MessageVerb.OPENED):
        assert members(root, counted(verb, Daypart.DAY), NOW) == {0, 2, 4, 5}
        assert members(root, counted(verb, Daypart.NIGHT), NOW) == {1, 3}
    assert members(root, counted(MessageVerb.OPENED, Daypart.DAY, window=InLast(2 * HOUR_US)), NOW) == {0, 2, 4, 5}
    assert members(root, counted(MessageVerb.OPENED, Daypart.DAY, window=InLast(30 * MINUTE_US)), NOW) == set()
    in_tokyo = bound(counted(MessageVerb.SENT, Daypart.DAY), zone="Asia/Tokyo")
    assert members(root, in_tokyo, NOW) == {0, 2}
    assert members(root, counted(MessageVerb.OPENED, None), NOW) == set(range(7))


def test_messages_are_counted_once_and_by_their_first_sending() -> None:
    world = SmallWorld().contacts(0, 1)
    world.event(0, "message_sent", DAY + 12 * HOUR_US, {"message_id": "a"})
    world.event(0, "message_sent", DAY + 3 * HOUR_US, {"message_id": "a"}).event(0, "message_sent", DAY + 13 * HOUR_US)
    for _ in range(2):
        world.event(0, "message_clicked", NOW, {"message_id": "a"})
    world.event(1, "message_clicked", NOW)
    root = world.root(1, root_each=True)

    def exactly(verb: MessageVerb, sent: Daypart, number: int) -> MessageCount:
        return MessageCount(verb, (), None, Compare.EQ, operands(number), sent)

    assert members(root, exactly(MessageVerb.SENT, Daypart.NIGHT, 1), NOW) == {0}
    assert members(root, exactly(MessageVerb.SENT, Daypart.DAY, 1), NOW) == {0}
    assert members(root, exactly(MessageVerb.RECEIVED, Daypart.DAY, 1), NOW) == {0}
    assert members(root, exactly(MessageVerb.OPENED, Daypart.NIGHT, 1), NOW) == {0}
    assert members(root, exactly(MessageVerb.CLICKED, Daypart.DAY, 0), NOW) == {0, 1}
    assert members(root, exactly(MessageVerb.CLICKED, Daypart.NIGHT, 0), NOW) == {1}


def test_of_two_sendings_at_one_instant_the_smaller_id_counts() -> None:
    world = SmallWorld().contacts(0)
    for event_id, zone in (("y", "Europe/Kyiv"), ("x", "Asia/Tokyo"), ("z", "UTC")):
        world.event(0, "message_sent", DAY + 12 * HOUR_US, {"message_id": "m", "time_zone": zone}, event_id=event_id)
    for number in range(20):
        world.event(0, "message_sent", DAY - number, {"message_id": f"before {number}"})
    for root in (world.root(), world.root(1, root_each=True)):
        day = MessageCount(MessageVerb.SENT, (), InLast(40 * HOUR_US), Compare.GE, operands(1), Daypart.DAY)
        assert members(root, day, NOW) == set()
        night = MessageCount(MessageVerb.SENT, (), InLast(40 * HOUR_US), Compare.EQ, operands(1), Daypart.NIGHT)
        assert members(root, night, NOW) == {0}


def test_summer_time_moves_the_day() -> None:
    summer = int(datetime(2026, 7, 15, tzinfo=UTC).timestamp()) * 1_000_000
    world = SmallWorld().contacts(0, 1)
    for contact, at_us in enumerate((DAY + 5 * HOUR_US, summer + 5 * HOUR_US)):
        world.event(contact, "message_sent", at_us, {"message_id": f"m{contact}", "time_zone": "Europe/Kyiv"})
    assert members(world.root(), counted(MessageVerb.SENT, Daypart.DAY), summer + 6 * HOUR_US) == {1}


def test_machines_count_only_if_asked_for() -> None:
    world = SmallWorld().contacts(0, 1, 2)
    world.event(0, "message_opened", DAY, {"message_id": "a"}).event(1, "message_opened", DAY, {}, flags=MACHINE)
    world.event(2, "message_clicked", DAY, {"message_id": "c"}, flags=MACHINE)
    root = world.root()
    assert members(root, counted(MessageVerb.OPENED, None), NOW) == {0}
    assert members(root, counted(MessageVerb.OPENED, None, machines=True), NOW) == {0, 1, 2}
    assert members(root, counted(MessageVerb.CLICKED, None, machines=True), NOW) == {2}
    nobody = Context(SmallWorld().root(), NOW, "UTC")
    assert len(leaf(counted(MessageVerb.OPENED, Daypart.DAY), nobody).found) == 0
