"""What the engine says of passing time and of touching facts, held against the oracle: nothing changes unannounced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from core.clock import DAY_US, MINUTE_US
from core.events.facts import AttributeWrite, ContactState, Erasure, ListChange, Merge, ProductState
from core.index.root import Root
from core.query.ast import Branch, InList, Rule, Zone
from core.query.bind import bind
from core.query.edges import Edges, edges
from core.query.format import format_rule
from core.query.names import BoundRule
from core.query.touches import Touches, touches
from tests.generators.moments import CONTACT_ZONES
from tests.generators.plain import plain_rule, plain_value
from tests.generators.scene import Scene, make_scene
from tests.generators.world import Happened, Logged
from tests.oracle import Oracle
from tests.oracle.calendar import local_date, start_of, zone_of
from tests.property.agreement import oracle_of, root_of

SCENES = 40
#: Stretches of time for each rule.
TIMES = 3


def leaves(scene: Scene) -> Iterator[Rule]:
    """Every condition of the scene as a rule of its own, and the rules themselves."""
    for question in scene.questions:
        yield question.rule
        for node in question.rule.nodes:
            if not isinstance(node, Branch):
                yield Rule((node,), question.rule.scope)


def test_time_changes_nobody_whom_the_edges_do_not_name() -> None:
    for seed in range(SCENES):
        scene = make_scene(seed, questions=3)
        random, world = scene.random, scene.world
        root, oracle = root_of(random, world.log), oracle_of(world.log, scene.names)
        for rule in leaves(scene):
            bound = bind(rule, scene.names)
            parameters = plain_value(scene.arguments(bound.parameters))
            for _ in range(TIMES):
                after_us, until_us = stretch(scene)
                named = named_by(edges(bound), bound, root, after_us, until_us)
                if named is None:
                    continue
                before, later = (oracle.members(plain_rule(rule), at, parameters) for at in (after_us, until_us))
                assert (before ^ later) <= named, (
                    f"seed {seed}: ({after_us}, {until_us}] changes {sorted((before ^ later) - named)} unannounced: "
                    f"{format_rule(rule)} with {parameters}; {edges(bound)}"
                )


def stretch(scene: Scene) -> tuple[int, int]:
    """Two instants in order, mostly right before and right after something happens."""
    random, moments = scene.random, scene.world.moments
    length_us = random.choice((1, 2, 90 * MINUTE_US, DAY_US, 5 * DAY_US))
    after_us = moments.evaluation() - random.choice((0, 1, length_us, random.randrange(length_us + 1)))
    return after_us, after_us + length_us


def test_facts_change_nobody_whom_they_do_not_touch() -> None:
    for seed in range(SCENES):
        scene = make_scene(seed, questions=3)
        random, log = scene.random, scene.world.log
        known = len(log) - random.randint(1, 12)
        before, later = oracle_of(log[:known], scene.names), oracle_of(log, scene.names)
        as_of_us = scene.world.moments.evaluation()
        for rule in leaves(scene):
            bound = bind(rule, scene.names)
            parameters = plain_value(scene.arguments(bound.parameters))
            touched = touched_by(touches(bound), log[known:], before, as_of_us)
            one, two = (oracle.members(plain_rule(rule), as_of_us, parameters) for oracle in (before, later))
            assert (one ^ two) <= touched, (
                f"seed {seed}, as_of {as_of_us}: {log[known:]} change {sorted((one ^ two) - touched)} unannounced: "
                f"{format_rule(rule)} with {parameters}; {touches(bound)}"
            )


def touched_by(found: Touches, facts: tuple[Logged, ...], before: Oracle, as_of_us: int) -> set[int]:
    """The contacts that a rule is to be asked about after `facts`; `before` is how things stood until then."""
    existed = before.members({"scope": "all", "root": {"is": "everyone"}}, as_of_us)
    touched: set[int] = set()
    for fact in facts:
        match fact:
            case Merge(survivor, loser):
                touched |= {survivor, loser}
            case Erasure(contact):
                touched.add(contact)
            case ContactState(contact, _, known):
                # One that is new does not change its scope: it comes to exist.
                changes_scope = contact in before.contacts and before.contacts[contact].known != known
                touched |= {contact} if changes_scope else set()
            case Happened(contact, event):
                names = found.event_names
                if any(event.type.startswith(n[:-1]) if n.endswith("*") else event.type == n for n in names):
                    touched.add(contact)
            case AttributeWrite(contact, name):
                touched |= {contact} if name in found.attributes else set()
            case ListChange(contact, name):
                touched |= {contact} if name in found.lists else set()
        if found.everything and not isinstance(fact, Merge | ProductState) and fact.contact not in existed:
            touched.add(fact.contact)
    return touched


def named_by(found: Edges, bound: BoundRule, root: Root, after_us: int, until_us: int) -> set[int] | None:
    """The contacts that the edges name in (after, until]; None where a local day begins and all are to be asked."""
    if any(day_begins(zone, bound.zone, after_us, until_us) for zone in found.local_days):
        return None
    if any(after_us < us <= until_us for us in found.instants):
        return None
    parts = [root.existence_edges(after_us, until_us)]
    for name, offsets in found.events.items():
        types = [t for t in root.events if t == name or (name.endswith("*") and t.startswith(name[:-1]))]
        parts += [root.event_edges(t, after_us - us, until_us - us) for t in types for us in offsets]
    for name, offsets in found.instant_values.items():
        parts += [root.instant_value_edges(name, after_us - us, until_us - us) for us in offsets]
    parts += [root.attribute_edges(name, after_us, until_us) for name in found.attribute_writes]
    parts += [root.list_edges(name, after_us, until_us) for name in lists_of(bound)]
    return {int(contact) for contacts, _ in parts for contact in contacts}


def lists_of(bound: BoundRule) -> set[str]:
    """The static lists that a rule and its segments name; their changes are facts with an instant, too."""
    return {
        node.name for rule in (bound, *bound.segments.values()) for node in rule.rule.nodes if isinstance(node, InList)
    }


def day_begins(zone: Zone, workspace: str, after_us: int, until_us: int) -> bool:
    """Whether a local day of the zone (any contact's, for CONTACT) begins in (after, until]."""
    names = {Zone.WORKSPACE: (workspace,), Zone.UTC: ("UTC",), Zone.CONTACT: (workspace, *CONTACT_ZONES)}[zone]
    for name in names:
        rules = zone_of(name)
        if rules is None:
            continue
        day = local_date(after_us, rules)
        starts = (start_of(day + timedelta(days=ahead), rules) for ahead in range(-1, 8))
        if any(after_us < start_us <= until_us for start_us in starts):
            return True
        # A clock that is set back over midnight begins no day, but changes the date.
        if local_date(until_us, rules) != day:
            return True
    return False
