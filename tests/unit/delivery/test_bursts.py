"""Clicks on every link within seconds."""

from __future__ import annotations

from core.clock import SECOND_US
from core.delivery.bursts import Bursts
from core.events.facts import MarkedEvent


def hit(name: str, at_s: float) -> MarkedEvent:
    return MarkedEvent(name, int(at_s * SECOND_US))


def test_every_link_within_seconds_is_a_scanner_with_its_opens() -> None:
    bursts = Bursts()
    bursts.opened("m", hit("o", 100))
    assert bursts.clicked("m", 0, 3, 0, hit("a", 101)) == ()
    assert bursts.clicked("m", 1, 3, 0, hit("b", 102)) == ()
    assert bursts.clicked("m", 1, 3, 0, hit("b", 102)) == ()
    assert set(bursts.clicked("m", 2, 3, 0, hit("c", 103))) == {
        hit("a", 101),
        hit("b", 102),
        hit("c", 103),
        hit("o", 100),
    }


def test_a_reader_takes_longer() -> None:
    bursts = Bursts()
    assert bursts.clicked("m", 0, 2, 0, hit("a", 1)) == ()
    assert bursts.clicked("m", 1, 2, 0, hit("b", 12)) == ()
    assert bursts.clicked("m", 0, 1, 0, hit("only", 12.5)) == ()


def test_two_links_tell_something_only_soon_after_delivery() -> None:
    bursts = Bursts()
    bursts.clicked("late", 0, 2, 0, hit("a", 100))
    assert bursts.clicked("late", 1, 2, 0, hit("b", 101)) == ()
    bursts.clicked("soon", 0, 2, 0, hit("a", 30))
    assert len(bursts.clicked("soon", 1, 2, 0, hit("b", 31))) == 2


def test_few_messages_are_kept() -> None:
    bursts = Bursts(2)
    bursts.clicked("m1", 0, 2, 0, hit("a", 1))
    for other in ("m2", "m3"):
        bursts.clicked(other, 0, 2, 0, hit("a", 1))
    assert bursts.clicked("m1", 1, 2, 0, hit("b", 2)) == ()
