"""The YAML form says exactly what the message says, whatever texts, numbers and blocks it is made of."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from cdp.facts.v1 import facts_pb2
from cdp.scenario.v1 import scenario_pb2 as pb
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, WEEK_US
from core.errors import CdpError
from services.scenario.yaml_read import read_scenario
from services.scenario.yaml_shapes import (
    SCENARIO,
    AnyValue,
    Choice,
    Key,
    Many,
    NamedValues,
    One,
    Record,
    Shape,
    Single,
    Texts,
)
from services.scenario.yaml_values import (
    read_duration,
    read_moment,
    read_per_cent,
    read_share,
    write_duration,
    write_moment,
    write_per_cent,
    write_share,
)
from services.scenario.yaml_write import write_scenario

SEED = 20_261_122
BLNS = Path(__file__).parents[2] / "flow" / "naughty" / "blns.base64.json"
NAUGHTY = [base64.b64decode(one).decode("utf-8", "replace") for one in json.loads(BLNS.read_text(encoding="utf-8"))]
WORDS = (
    "a", "no", "true", "12", "1.5", "null", "~", "2026-01-31", "it is: so", "a #b", "- x", "[x]", "{x}", "&a", "*a",
    "!t", "?", ":x", "x:", "%", "@", "`", '"', "'", "\\", " a", "a ", "a  b", "a\nb", "a\n\nb\n", "\na", "a\n b", "a\n",
    "a\n\n", "\ta", "a\tb", "é", "日本", "\u2028", "\x85", "\ufeffa", "\x00", "\x7f", "😀", "x" * 300,
    "word " * 60 + "end",
    'did order_completed (cart_id = :cart_id and total > 5.5) from :trigger_at and gender = "female"', "09:00", "1_000",
    "0x1F", "=", "<<", "yes", "off", "NaN", ".inf", "1e3", "---", "...", "--- a",
)  # fmt: skip


def scenario(**fields: Any) -> pb.Scenario:
    """A scenario as protobuf's keyword dicts make it: right or wrong."""
    return pb.Scenario(**fields)


def same_again(message: pb.Scenario) -> str:
    """The YAML of `message`, which reads back as `message`."""
    text = write_scenario(message)
    assert read_scenario(text).message == message, text
    assert write_scenario(read_scenario(text).message) == text
    return text


class Maker:
    """Random messages of every shape of the table."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def scenario(self) -> pb.Scenario:
        message = pb.Scenario()
        self.record(message, SCENARIO)
        return message

    def record(self, message: Any, record: Record) -> None:
        shape = self.random.choice(record.shapes) if record.shapes else None
        if shape is not None:
            self.fill(message, shape.keys[0], True)
            if shape.sets:
                self.put(message, shape.sets, True)
            for key in shape.keys[1:]:
                self.fill(message, key, self.is_marked(shape, key))
        for key in (*record.before, *record.after):
            self.fill(message, key, key.name in record.needed)

    def is_marked(self, shape: Shape, key: Key) -> bool:
        """Whether the key is what tells the shape from another one."""
        return bool(shape.one_of) and key.name == shape.one_of[0]

    def fill(self, message: Any, key: Key, always: bool) -> None:
        if not always and self.random.random() < 0.4:
            return
        *within, name = key.field.split(".")
        for one in within:
            message = getattr(message, one)
            message.SetInParent()
        match key.form:
            case One(record):
                getattr(message, name).SetInParent()
                self.record(getattr(message, name), record)
            case Many(record):
                for _ in range(self.random.randrange(4)):
                    self.record(getattr(message, name).add(), record)
            case Texts():
                getattr(message, name).extend(self.text() for _ in range(self.random.randrange(1, 4)))
            case AnyValue():
                getattr(message, name).CopyFrom(self.value())
            case NamedValues():
                for _ in range(self.random.randrange(3)):
                    getattr(message, name)[self.text()].CopyFrom(self.value())
            case Choice(words):
                setattr(message, name, self.random.choice(list(words.values())))
            case Single():
                self.single(message, name)

    def single(self, message: Any, name: str) -> None:
        """A value of the field's own type, within what its form can say."""
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.cpp_type == field.CPPTYPE_STRING:
            setattr(message, name, self.text())
        elif field.cpp_type == field.CPPTYPE_BOOL:
            setattr(message, name, True)
        elif name.endswith("_us"):
            setattr(message, name, self.random.choice((1, SECOND_US, 90 * MINUTE_US, WEEK_US, DAY_US + HOUR_US + 7)))
        else:
            setattr(message, name, self.random.randrange(1, 10_000))

    def put(self, message: Any, path: str, value: object) -> None:
        *within, name = path.split(".")
        for one in within:
            message = getattr(message, one)
        setattr(message, name, value)

    def text(self) -> str:
        return self.random.choice(WORDS if self.random.random() < 0.5 else NAUGHTY) or "a"

    def value(self) -> facts_pb2.Value:
        make = facts_pb2.Value
        return self.random.choice(
            (
                make(text=self.text()),
                make(text=""),
                make(integer=self.random.randrange(-(2**63), 2**63)),
                make(decimal_units=self.random.randrange(-(9 * 10**18), 9 * 10**18)),
                make(boolean=self.random.random() < 0.5),
                make(instant_us=self.random.randrange(-(10**15), 10**16)),
                make(date_days=self.random.randrange(-700_000, 2_900_000)),
            )
        )


def test_every_message_reads_back_as_itself() -> None:
    print(f"seed {SEED}")
    make = Maker(Random(SEED))
    for _ in range(400):
        same_again(make.scenario())


@pytest.mark.parametrize("word", [*WORDS, ""], ids=repr)
def test_every_text_reads_back_as_itself_and_is_a_text_to_others(word: str) -> None:
    message = scenario(description=word, trigger={"event": {"type": word}, "values": {word: {"text": word}}})
    if word:
        message.revision.name = word
    message.trigger.causes.extend([word, "b"])
    text = same_again(message)
    others = yaml.safe_load(text)
    assert others.get("description", "") == word
    assert others["start"]["causes"] == [word, "b"]
    assert others["start"]["values"] == {word: word}


def test_naughty_strings() -> None:
    for word in NAUGHTY:
        message = scenario(description=word, exit_when=word, trigger={"api": {"required": [word, word]}})
        message.blocks.add(id=word).send.CopyFrom(pb.Send(channel=word, template=word, content=word))
        same_again(message)


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0s"),
        (1, "1us"),
        (2 * HOUR_US, "2h"),
        (3 * DAY_US, "3d"),
        (WEEK_US, "1w"),
        (DAY_US + 22 * HOUR_US, "1d 22h"),
        (90 * MINUTE_US, "1h 30m"),
        (-3 * DAY_US, "-3d"),
        (2**63 - 1, "106751991d 4h 54s 775ms 807us"),
    ],
)
def test_durations(us: int, text: str) -> None:
    assert write_duration(us) == text
    assert read_duration(text) == us


@pytest.mark.parametrize(
    ("text", "us"),
    [("1h30m", 90 * MINUTE_US), ("2 hours", 2 * HOUR_US), ("1 Day 2 hours", 26 * HOUR_US), ("10 min", 10 * MINUTE_US)],
)
def test_durations_as_people_write_them(text: str, us: int) -> None:
    assert read_duration(text) == us


@pytest.mark.parametrize(
    "text", ["", "-", "2", "h", "2x", "1.5h", "30m 1h", "1h 1h", "2h 3", "1m 2 m", "²h", "9" * 30 + "h"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        read_duration(text)


def test_shares_and_instants() -> None:
    assert [write_share(one) for one in (0, 1, 2_000, 10_000)] == ["0 %", "0.01 %", "20 %", "100 %"]
    assert [read_share(one) for one in ("20 %", "20%", "0.01 %", "250 %")] == [2_000, 2_000, 1, 25_000]
    assert (read_per_cent("12.3456 %"), write_per_cent(123_456)) == (123_456, "12.3456 %")
    assert read_moment(write_moment(1_793_613_600_000_001)) == 1_793_613_600_000_001
    for wrong in ("20", "%", "-1 %", "1.00001 %", "0x1 %"):
        with pytest.raises(ValueError, match=r"share|decimals"):
            read_per_cent(wrong)
    with pytest.raises(ValueError, match="at most two decimals"):
        read_share("0.001 %")
    with pytest.raises(ValueError, match="instant"):
        read_moment("2026-11-02")
    with pytest.raises(ValueError, match="9999"):
        write_moment(2**62)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (scenario(), "trigger"),
        (scenario(trigger={"event": {"type": "a"}}, blocks=[{"id": "x"}]), "blocks[0]"),
        (scenario(trigger={"event": {"type": "a"}, "values": {"v": {}}}), "trigger.values[v]"),
        (scenario(trigger={"event": {}, "values": {"v": {"texts": {"values": ["a"]}}}}), "trigger.values[v]"),
        (scenario(trigger={"schedule": {"cron": "* * * * *", "until_us": 2**62}}), "trigger.schedule.until_us"),
    ],
)  # fmt: skip
def test_what_has_no_word(wrong: pb.Scenario, path: str) -> None:
    wrong.trigger.SetInParent()
    with pytest.raises(CdpError) as caught:
        write_scenario(wrong)
    assert (caught.value.reason, caught.value.violations[0].path) == ("SCENARIO_INVALID", path)
