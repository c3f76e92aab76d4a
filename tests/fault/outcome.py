"""What a run of the kill tests came to, checked against its own log and comparable with another run's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from cdp.channel.v1 import channel_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from core.index.digest import digest
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.text.parse import parse
from core.segments.vocabulary import names_of
from services.demo.client import CALL_S, again
from services.demo.journey import END_US, ZONE
from services.demo.segments import SEGMENTS
from services.runtime.roles import Role
from services.segment_engine.snapshots import read_snapshot
from tests.fault.digests import Held, LogCopy, held, numbers_of
from tests.fault.processes import WORKSPACE, Processes
from tests.fault.shopping import CARTS, GOT_A_LETTER, LEFT, STANDING, WAITING_AT, Ledger, email
from tests.flow.mailbox import Mailbox, Receiver

_SETTLED_WITHIN_S = 120.0
_MOVING = (channel_pb2.MESSAGE_STATE_RESERVED, channel_pb2.MESSAGE_STATE_SENDING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """People by name: what is held of them, and who is in which segment. Equal input gives equal outcomes."""

    profiles: Mapping[str, str]
    facts: str
    members: Mapping[str, frozenset[str]]


async def outcome(processes: Processes, ledger: Ledger, mailbox: Mailbox, receiver: Receiver) -> Outcome:
    """Wait until everything has happened; check that nothing is lost or doubled, and all answers; then tell."""
    messages = await settled_messages(processes)
    log = LogCopy(processes.client(Role.PROFILE_UNIFICATION))
    told = set().union(*map(told_of, messages))

    async def complete() -> bool:
        await log.catch_up()
        return log.upstream >= ledger.position and told <= log.ids().keys()

    await eventually(complete, "everything acknowledged and sent is in the log")
    check_ledger(log, ledger, told)
    check_messages(messages, mailbox, receiver)
    await check_index(processes, log)
    here = await held(log, ledger.events.keys())
    found = await members(processes, log, here)
    # Whose message is uncertain after a kill is left to chance; what the channel told counts, and nothing else.
    accepted = {one.message.contact for one in messages if one.state == channel_pb2.MESSAGE_STATE_ACCEPTED}
    assert found.pop(GOT_A_LETTER) == here.people(accepted), GOT_A_LETTER
    return Outcome(here.profiles, here.facts, found)


def told_of(message: channel_pb2.Message) -> set[str]:
    """The ids of the events that the channel tells of a settled message."""
    id_, webhook = message.message.id, message.channel == "webhook"
    if message.state == channel_pb2.MESSAGE_STATE_ACCEPTED:
        return {f"{id_}:sent", f"{id_}:answered"} if webhook else {f"{id_}:sent"}
    return {f"{id_}:failed"} if webhook else set()


def check_ledger(log: LogCopy, ledger: Ledger, told: set[str]) -> None:
    """Every acknowledged event stands in the log once, and beside them only what the channel told."""
    ids = log.ids()
    assert set(ids.values()) <= {1}, [one for one, count in ids.items() if count > 1][:10]
    assert set(ledger.events.values()) == {1}, "the load itself has an id twice"
    lost = ledger.events.keys() - ids.keys()
    assert not lost, (len(lost), sorted(lost)[:10])
    assert ids.keys() - ledger.events.keys() == told, "other events than those that were sent and told"


def check_messages(messages: list[channel_pb2.Message], mailbox: Mailbox, receiver: Receiver) -> None:
    """Exactly one email and one webhook for every cart that was left, none for the others. A call that a kill cut off
    is visible as uncertain: it arrived once or not at all."""
    wanted = Counter((channel, f"cart-{live}") for live in LEFT for channel in ("email", "webhook"))
    found = Counter((one.message.channel, one.message.values["cart_id"].text) for one in messages)
    assert found == wanted, found - wanted or wanted - found
    arrived = Counter(("email", str(letter["Subject"])) for letter in mailbox.letters)
    arrived += Counter(("webhook", str(body["cart"])) for _, body in receiver.hits)
    assert set(arrived.values()) <= {1}, arrived
    assert {str(letter["To"]) for letter in mailbox.letters} <= {email(live) for live in LEFT}
    states = {(one.message.channel, one.message.values["cart_id"].text): one.state for one in messages}
    uncertain = {one for one, state in states.items() if state == channel_pb2.MESSAGE_STATE_UNCERTAIN}
    accepted = {one for one, state in states.items() if state == channel_pb2.MESSAGE_STATE_ACCEPTED}
    assert accepted | uncertain == states.keys(), messages
    assert accepted <= arrived.keys() <= states.keys(), accepted - arrived.keys()
    if uncertain:
        print(f"uncertain after a kill: {sorted(uncertain)}, of which arrived {sorted(uncertain & arrived.keys())}")


async def settled_messages(processes: Processes) -> list[channel_pb2.Message]:
    """All messages, once every run has ended or waits for its last timer, and every message has its state."""
    client = processes.client(Role.SCENARIO)

    async def at_rest() -> bool:
        runs = (await again(lambda: client.scenario.ListRuns(
            scenario_pb2.ListRunsRequest(page_size=1_000), metadata=client.metadata, timeout=CALL_S
        ))).runs  # fmt: skip
        assert len(runs) <= CARTS, "a cart started two runs"
        resting = [run for run in runs if run.state == "ended" or (run.state, run.block) == ("waiting", WAITING_AT)]
        return len(resting) == CARTS

    await eventually(at_rest, "all runs have done what they can do now")
    channel = processes.client(Role.CHANNEL)
    found: list[channel_pb2.Message] = []

    async def final() -> bool:
        request = channel_pb2.ListMessagesRequest(page_size=1_000)
        found[:] = (await again(lambda: channel.messages.ListMessages(
            request, metadata=channel.metadata, timeout=CALL_S
        ))).messages  # fmt: skip
        return all(one.state not in _MOVING for one in found)

    await eventually(final, "no message is on its way")
    return found


async def check_index(processes: Processes, log: LogCopy) -> None:
    """The engine's snapshot of the end of the log, once it is written, holds exactly the facts of a fresh fold."""
    folder = processes.data_dir / "snapshots" / WORKSPACE

    async def written() -> bool:
        await log.catch_up()
        return (folder / f"{log.position:020d}.snapshot").exists()

    await eventually(written, "the engine has written a snapshot of the end of the log")
    kept = await asyncio.to_thread(read_snapshot, folder / f"{log.position:020d}.snapshot", WORKSPACE)
    assert digest(kept.root()) == digest(log.index()), f"the engine at {log.position} is no fold of the log"


async def members(processes: Processes, log: LogCopy, here: Held) -> dict[str, frozenset[str]]:
    """Who is in each standing segment and in each segment of the demo, by the engine. A fresh evaluation over a fresh
    fold of the log says the same of every node."""
    client = processes.client(Role.SEGMENT_ENGINE)
    root = log.index(here.names)
    rules = {name: parse(text) for name, text in STANDING.items()} | {one.name: parse(one.text) for one in SEGMENTS}
    vocabulary = names_of(root, rules, ZONE)
    found: dict[str, frozenset[str]] = {}
    for name in STANDING:
        request = segment_pb2.MembersRequest(name=name, min_position=log.position)
        blocks = [
            block async for block in client.segment.Members(request, metadata=client.metadata, timeout=CALL_S)
        ]  # fmt: skip
        numbers = frozenset[int]().union(*(numbers_of(block.roaring) for block in blocks))
        fresh = evaluate(bind(rules[name], vocabulary), root, blocks[0].freshness.as_of_us, {})
        assert numbers == set(fresh.members.numbers().tolist()), name
        found[name] = here.people(numbers)
    for spoken in SEGMENTS:
        source = segment_pb2.RuleSource(text=spoken.text)
        save = segment_pb2.SaveSegmentRequest(name=spoken.name, rule=source)
        await client.segment.SaveSegment(save, metadata=client.metadata, timeout=CALL_S)
        ask = segment_pb2.EvaluateRequest(rule=source, as_of_us=END_US, every_node=True, members=True)
        answer = await client.segment.Evaluate(ask, metadata=client.metadata, timeout=CALL_S)
        fresh = evaluate(bind(rules[spoken.name], vocabulary), root, END_US, {})
        numbers = numbers_of(answer.roaring)
        assert numbers == set(fresh.members.numbers().tolist()), spoken.name
        counts = [node.count.total for node in answer.nodes]
        assert counts == [len(node) for node in fresh.nodes], spoken.name
        found[spoken.name] = here.people(numbers)
    return found


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until `holds()`; fail with `what` after the time."""
    deadline_s = asyncio.get_running_loop().time() + _SETTLED_WITHIN_S
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline_s, f"not within {_SETTLED_WITHIN_S} s: {what}"
        await asyncio.sleep(0.1)  # other processes: nothing here to be woken by
