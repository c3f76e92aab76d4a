"""Whether the blocks of a scenario can run, each mistake with the path of its place."""

from __future__ import annotations

from core.clock import DAY_US
from core.coupons.pool import is_pool_name
from core.events.facts import CHANNELS
from core.query.ast import FilterTree
from core.scenario.arrive import PLACEHOLDER
from core.scenario.definition import (
    MESSAGE_KINDS,
    Block,
    CallWebhook,
    ChangeLists,
    Condition,
    Control,
    DateAttribute,
    Definition,
    Exit,
    IssueCoupon,
    LocalTime,
    Send,
    SendGroup,
    SetAttribute,
    Split,
    StartScenario,
    Wait,
    WaitFor,
)
from core.scenario.draw import WHOLE
from core.scenario.graph import restless, unreachable, ways, written_ways
from core.scenario.mistakes import Mistakes
from core.scenario.plan import is_brought
from core.scenario.run import OWN_VALUES
from core.scenario.texts import RunText
from core.scenario.trigger import carried

MAX_BLOCKS = 200
#: The longest wait: ten years.
MAX_WAIT_US = 3_653 * DAY_US
MAX_BRANCHES = 20
MAX_LISTS = 50
MAX_CONTENT_CHARACTERS = 500
LEAST_OPTIONS, MOST_OPTIONS = 2, 8
_MINUTES_A_DAY = 24 * 60
_WEEKDAYS = 7


class BlockCheck:
    """Reads the texts of the blocks while it checks them: `conditions` and `filters` by block id."""

    def __init__(self, definition: Definition, found: Mistakes) -> None:
        self.conditions: dict[str, RunText] = {}
        self.filters: dict[str, FilterTree] = {}
        self._definition = definition
        self._found = found
        self._carried = carried(definition.trigger)

    def check(self) -> None:
        """Note every mistake."""
        blocks, found = self._definition.blocks, self._found
        if not blocks or len(blocks) > MAX_BLOCKS:
            found.wrong("blocks", f"a scenario has 1 to {MAX_BLOCKS} blocks")
            return
        before = len(found.violations)
        ids = [block.id for block in blocks]
        for index, block in enumerate(blocks):
            path = f"blocks[{index}]"
            found.name(block.id, f"{path}.id", "the id of a block")
            if ids.index(block.id) != index:
                found.wrong(f"{path}.id", f'"{block.id}" is the id of an earlier block, too')
            for way in dict.fromkeys(written_ways(block)):
                if way and way not in ids:
                    found.wrong(path, f'there is no block "{way}" to go to')
            self._action(block, path)
        if len(found.violations) == before:
            self._ways()

    def _ways(self) -> None:
        blocks = self._definition.blocks
        leading = ways(blocks)
        index = {block.id: number for number, block in enumerate(blocks)}
        for one in unreachable(blocks, leading):
            self._found.wrong(f"blocks[{index[one]}]", f'no way leads to "{one}"')
        for one in restless(blocks, leading):
            self._found.wrong(f"blocks[{index[one]}]", f'"{one}" lies on, or leads into, a loop without a wait')

    def _action(self, block: Block, path: str) -> None:
        found = self._found
        match block.action:
            case Wait() as wait:
                self._wait(wait, f"{path}.wait")
            case WaitFor() as wait_for:
                self._wait_for(block.id, wait_for, f"{path}.wait_for")
            case Condition(text):
                self._text(block.id, text, f"{path}.condition.text")
            case Split() as split:
                self._split(split, f"{path}.split")
            case Control(share):
                if not 0 < share < WHOLE:
                    found.wrong(f"{path}.control.share", f"a control group is 1 to {WHOLE - 1} of {WHOLE}")
            case Send() as send:
                self._send(send, f"{path}.send")
            case SendGroup() as group:
                self._group(group, f"{path}.send_group")
            case SetAttribute() as change:
                self._set_attribute(change, f"{path}.set_attribute")
            case ChangeLists(joined, left):
                self._lists(joined, left, f"{path}.change_lists")
            case IssueCoupon(pool, store_as):
                if not is_pool_name(pool):
                    wrong = "the name of a pool has 1 to 63 small letters, digits and dashes"
                    found.wrong(f"{path}.issue_coupon.pool", wrong)
                self._store_as(store_as, f"{path}.issue_coupon.store_as")
            case CallWebhook() as call:
                found.name(call.template, f"{path}.call_webhook.template", "the name of a template")
                self._time(call.timeout_us, f"{path}.call_webhook.timeout_us", "the time for an answer")
                self._store_as(call.store_as, f"{path}.call_webhook.store_as")
            case StartScenario(scenario, values):
                found.name(scenario, f"{path}.start_scenario.scenario", "the name of a scenario")
                for index, name in enumerate(values):
                    self._known(name, f"{path}.start_scenario.values[{index}]")
            case Exit():
                return

    def _text(self, block: str, text: str, path: str) -> None:
        read = self._found.text(text, path)
        if read is not None:
            self.conditions[block] = read

    def _wait(self, wait: Wait, path: str) -> None:
        found = self._found
        match wait.until:
            case None:
                self._time(wait.duration_us, f"{path}.duration_us", "a wait")
                return
            case LocalTime(minute, weekdays):
                if not 0 <= minute < _MINUTES_A_DAY:
                    found.wrong(f"{path}.until_local.time", "a time of day lies between 00:00 and 23:59")
                for index, day in enumerate(weekdays):
                    if not 0 <= day < _WEEKDAYS or day in weekdays[:index]:
                        found.wrong(f"{path}.until_local.weekdays[{index}]", "name each day of the week once")
            case DateAttribute(attribute, offset_us, minute):
                found.name(attribute, f"{path}.until_date.attribute", "the name of an attribute")
                if abs(offset_us) > MAX_WAIT_US:
                    found.wrong(f"{path}.until_date.offset_us", "is at most ten years")
                if not 0 <= minute < _MINUTES_A_DAY:
                    found.wrong(f"{path}.until_date.local_time", "a time of day lies between 00:00 and 23:59")
        if wait.duration_us:
            found.wrong(f"{path}.duration_us", "a wait has a duration or an instant that it waits for, not both")

    def _wait_for(self, block: str, wait: WaitFor, path: str) -> None:
        found = self._found
        self._time(wait.timeout_us, f"{path}.timeout_us", "the time that it waits at most")
        if wait.event is None and not wait.condition.strip():
            found.wrong(path, "say what it waits for: an event or a condition")
        if wait.condition.strip():
            self._text(block, wait.condition, f"{path}.condition")
        if wait.event is not None:
            found.event_name(wait.event.type, f"{path}.event.type", "a wait names one event, no prefix")
            self.filters[block] = found.filter(wait.event.filter, f"{path}.event.filter", "a wait")
        if wait.store_as:
            self._store_as(wait.store_as, f"{path}.store_as")

    def _split(self, split: Split, path: str) -> None:
        found = self._found
        if not LEAST_OPTIONS <= len(split.branches) <= MAX_BRANCHES:
            found.wrong(f"{path}.branches", f"a split has {LEAST_OPTIONS} to {MAX_BRANCHES} branches")
        for index, branch in enumerate(split.branches):
            if not 0 < branch.share <= WHOLE:
                found.wrong(f"{path}.branches[{index}].share", f"a share is 1 to {WHOLE} of {WHOLE}")
            if branch.name:
                found.name(branch.name, f"{path}.branches[{index}].name", "the name of a branch")
                if any(branch.name == other.name for other in split.branches[:index]):
                    found.wrong(f"{path}.branches[{index}].name", f'"{branch.name}" comes twice')
        total = sum(branch.share for branch in split.branches)
        if total != WHOLE:
            found.wrong(f"{path}.branches", f"the shares are together {WHOLE}, not {total}")
        if split.salt:
            found.name(split.salt, f"{path}.salt", "the salt of a draw")

    def _send(self, send: Send, path: str) -> None:
        found = self._found
        if send.channel not in CHANNELS:
            found.wrong(f"{path}.channel", f'"{send.channel}" is no channel: choose of {", ".join(CHANNELS)}')
        found.name(send.template, f"{path}.template", "the name of a template")
        if send.kind not in MESSAGE_KINDS:
            found.wrong(f"{path}.kind", f'"{send.kind}" is no kind: choose of {", ".join(MESSAGE_KINDS)}')
        self._time(send.expires_after_us, f"{path}.expires_after_us", "the time after which it is not sent")
        if len(send.content) > MAX_CONTENT_CHARACTERS or not (send.content.isprintable() or not send.content):
            found.wrong(f"{path}.content", f"a content has at most {MAX_CONTENT_CHARACTERS} printable characters")
        for placed in PLACEHOLDER.finditer(send.content):
            self._known(placed[1], f"{path}.content")

    def _group(self, group: SendGroup, path: str) -> None:
        if not LEAST_OPTIONS <= len(group.options) <= MOST_OPTIONS:
            self._found.wrong(f"{path}.options", f"a group has {LEAST_OPTIONS} to {MOST_OPTIONS} options")
        for index, option in enumerate(group.options):
            self._send(option, f"{path}.options[{index}]")
        if not 0 <= group.patience_us <= MAX_WAIT_US:
            self._found.wrong(f"{path}.patience_us", "is at most ten years, or 0")

    def _set_attribute(self, change: SetAttribute, path: str) -> None:
        self._found.name(change.name, f"{path}.name", "the name of an attribute")
        if change.from_value and change.value is not None:
            self._found.wrong(f"{path}.from_value", "the value is given, or taken from the run, not both")
        elif change.from_value:
            self._known(change.from_value, f"{path}.from_value")

    def _lists(self, joined: tuple[str, ...], left: tuple[str, ...], path: str) -> None:
        found = self._found
        if not 0 < len(joined) + len(left) <= MAX_LISTS:
            found.wrong(path, f"name 1 to {MAX_LISTS} lists")
        found.names(joined, f"{path}.add", "the name of a list")
        found.names(left, f"{path}.remove", "the name of a list")
        for index, name in enumerate(left):
            if name in joined:
                found.wrong(f"{path}.remove[{index}]", f'the contact is put on "{name}" by the same block')

    def _store_as(self, name: str, path: str) -> None:
        self._found.value_name(name, path)
        if name in self._definition.values:
            self._found.wrong(path, f'"{name}" is one of the scenario\'s own values: choose another name')

    def _known(self, name: str, path: str) -> None:
        """A value that is named where a missing one is no mistake of the contact: somebody has to bring it."""
        definition = self._definition
        if self._carried is None or name in self._carried or name in OWN_VALUES or name in definition.values:
            return
        if not is_brought(definition, name):
            self._found.wrong(path, f'nobody brings the value ":{name}"')

    def _time(self, time_us: int, path: str, what: str) -> None:
        if not 0 < time_us <= MAX_WAIT_US:
            self._found.wrong(path, f"{what} is longer than nothing and at most ten years")
