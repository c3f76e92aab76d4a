"""What a browser is, and which visitors are machines."""

from __future__ import annotations

import time

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from services.ingest.tracker.bots import is_bot
from services.ingest.tracker.devices import Device, device_of

_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1"
IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {_WEBKIT} Mobile/15E148 Safari/604.1"
IPAD = f"Mozilla/5.0 (iPad; CPU OS 16_1 like Mac OS X) {_WEBKIT} Mobile/15E148 Safari/604.1"
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0"
GALAXY = f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {_CHROME} Mobile Safari/537.36"
REDUCED = f"Mozilla/5.0 (Linux; Android 10; K) {_CHROME} Mobile Safari/537.36"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize(
    ("agent", "told", "device"),
    [
        (IPHONE, None, Device("phone", "Apple", "iPhone", "Mobile Safari", "18.1", "iOS", "18.1")),
        (IPAD, None, Device("tablet", "Apple", "iPad", "Mobile Safari", "18.1", "iOS", "16.1")),
        (GALAXY, None, Device("phone", "Samsung", "SM-S918B", "Chrome Mobile", "150.0", "Android", "14")),
        (
            REDUCED,
            {"platform": "Android", "platformVersion": "15.0.0", "model": "Pixel 9"},
            Device("phone", "", "Pixel 9", "Chrome Mobile", "150.0", "Android", "15.0.0"),
        ),
        (WINDOWS, None, Device("desktop", "", "", "Chrome", "150.0", "Windows", "10")),
        (
            WINDOWS,
            {"platform": "Windows", "platformVersion": "15.0.0", "model": ""},
            Device("desktop", "", "", "Chrome", "150.0", "Windows", "11"),
        ),
        (FIREFOX, None, Device("desktop", "", "", "Firefox", "140.0", "Linux", "")),
        ("", None, Device("desktop", "", "", "", "", "", "")),
    ],
)
def test_devices(agent: str, told: object, device: Device) -> None:
    assert device_of({"user-agent": agent}, told) == device


@pytest.mark.parametrize("told", ["x", 7, [], {"model": 7}, {"model": "x" * 101, "platformVersion": "\x00"}])
def test_hints_that_are_none(told: object) -> None:
    assert device_of({"user-agent": WINDOWS}, told) == device_of({"user-agent": WINDOWS}, None)


def test_only_what_is_known_becomes_a_parameter() -> None:
    device = device_of({"user-agent": FIREFOX}, None)
    assert device.always() == {"device": "desktop", "browser": "Firefox", "os": "Linux"}
    assert device.once() == {"browser_version": "140.0"}


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "facebookexternalhit/1.1",
        f"Mozilla/5.0 (X11; Linux x86_64) {_CHROME.replace('Chrome', 'HeadlessChrome')} Safari/537.36",
        "",
        "  ",
    ],
)
def test_machines(agent: str) -> None:
    assert is_bot({"user-agent": agent}, None)


@pytest.mark.parametrize("agent", [IPHONE, IPAD, GALAXY, REDUCED, WINDOWS, FIREFOX])
def test_people(agent: str) -> None:
    assert not is_bot({"user-agent": agent}, None)
    assert not is_bot({"user-agent": agent}, "true")
    assert is_bot({"user-agent": agent}, True)
    assert is_bot({"user-agent": agent, "sec-ch-ua": '"HeadlessChrome";v="150"'}, None)


def test_all_crawlers_of_the_list() -> None:
    agents = [agent for one in CRAWLER_USER_AGENTS_DATA for agent in one["instances"]]
    assert len(agents) > 1_000
    assert [agent for agent in agents if not is_bot({"user-agent": agent}, None)] == []


@pytest.mark.parametrize("part", ["0", "a/1.", "; ", "(KHTML, like Gecko) ", "/", "-_", "Android "])
def test_no_agent_takes_long(part: str) -> None:
    agent = {"user-agent": part * (8_000 // len(part))}
    began_s = time.process_time()
    is_bot(agent, None)
    device_of(agent, None)
    assert time.process_time() - began_s < 0.25
