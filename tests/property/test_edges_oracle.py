"""What the engine says of passing time and of touching facts, held against the oracle: nothing changes unannounced.

Where contacts decide about each other (statistics, RFM, limits) nothing changes unless somebody is named at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from core.clock import DAY_US, MINUTE_US
from core.events.facts import AttributeWrite, ContactState, Erasure, ListChange, Merge, ProductState, Unmerge
from core.index.root import Root
from core.query.ast import Branch, Rule, Zone
from core.query.binding.bind import bind
from core.query.edges import Edges, edges
from core.query.knowledge import Knowledge
from core.query.names import BoundRule
from core.query.touches import Touches, touches
from tests.generators.moments import CONTACT_ZONES
from tests.generators.plain import plain_rule, plain_value
from tests.generators.scene import Scene, make_scene
from tests.generators.world import Happened, Logged
from tests.oracle import Oracle
from tests.oracle.calendar import local_date, start_of, zone_of
from tests.property.agreement import alone, oracle_of, root_of
from tests.property.brief import brief

SCENES = 25
#: Stretches of time for each rule.
TIMES = 3


def leaves(scene: Scene) -> Iterator[Rule]:
    """Every condition of the scene as a rule of its own, and the rules themselves."""
    for question in scene.questions:
        yield question.rule
        for node in question.rule.nodes:
            if not isinstance(node, Branch):
                yield Rule((node,), question.rule.scope, question.rule.base)


def unannounced(changed: set[int], named: set[int], bound: BoundRule) -> list[int]:
    """Who changed and was not named, nor, where contacts decide about each other, was anybody."""
    return sorted(changed - named) if alone(bound) or not named else []


def test_time_changes_nobody_whom_the_edges_do_not_name() -> None:
    for seed in range(SCENES):
        scene = make_scene(seed, questions=3)
        random, world = scene.random, scene.world
        root, oracle = root_of(random, world.log), oracle_of(world.log, scene.names, scene.knowledge)
        for rule in leaves(scene):
            bound = bind(rule, scene.names)
            parameters = plain_value(scene.arguments(bound.parameters))
            for _ in range(TIMES):
                after_us, until_us = stretch(scene)
                named = named_by(edges(bound), bound, root, scene.knowledge, after_us, until_us)
                if named is None:
                    continue
                before, later = (oracle.members(plain_rule(rule), at, parameters) for at in (after_us, until_us))
                missed = unannounced(before ^ later, named, bound)
                assert not missed, (
                    f"seed {seed}: ({after_us}, {until_us}] changes {missed} unannounced: "
                    f"{brief(rule)} with {parameters}; {edges(bound)}"
                )


def stretch(scene: Scene) -> tuple[int, int]:
    """Two instants in order, mostly right before and right after something happens."""
    random, moments = scene.random, scene.world.moments
    length_us = random.choice((1, 2, 90 * MINUTE_US, DAY_US, 5 * DAY_US))
    after_us = moments.evaluation() - random.choice((0, 1, length_us, random.randrange(length_us + 1)))
    return after_us, after_us + length_us


def test_facts_change_nobody_whom_they_do_not_touch() -> None:
    for seed in range(4 * SCENES):
        scene = make_scene(seed, questions=3)
        random, log = scene.random, scene.world.log
        # Contacts come to exist at the beginning of the log; most other facts stand later.
        known = random.randrange(random.choice((60, len(log))))
        facts = log[known : known + random.randint(1, 12)]
        before, later = (oracle_of(part, scene.names, scene.knowledge) for part in (log[:known], log[:known] + facts))
        as_of_us = scene.world.moments.evaluation()
        for rule in leaves(scene):
            bound = bind(rule, scene.names)
            parameters = plain_value(scene.arguments(bound.parameters))
            touched = touched_by(touches(bound), facts, before, later, as_of_us)
            one, two = (oracle.members(plain_rule(rule), as_of_us, parameters) for oracle in (before, later))
            missed = unannounced(one ^ two, touched, bound)
            assert not missed, (
                f"seed {seed}, as_of {as_of_us}: {facts} change {missed} unannounced: "
                f"{brief(rule)} with {parameters}; {touches(bound)}"
            )


def touched_by(found: Touches, facts: tuple[Logged, ...], before: Oracle, later: Oracle, as_of_us: int) -> set[int]:
    """The contacts that a rule is to be asked about after `facts`; `before` is how things stood until then, `later`
    how they stand now."""
    existed = before.members({"scope": "all", "root": {"is": "everyone"}}, as_of_us)
    touched: set[int] = set()
    for fact in facts:
        match fact:
            case Merge(survivor, loser):
                touched |= {survivor, loser}
            case Erasure(contact):
                touched.add(contact)
            case ContactState(contact, _, known, reachable):
                # One that is new does not change its scope: it comes to exist.
                was = before.contacts.get(contact)
                touched |= {contact} if was is not None and (was.known, was.reachable) != (known, reachable) else set()
            case Happened(contact, event):
                names = found.event_names
                if any(event.type.startswith(n[:-1]) if n.endswith("*") else event.type == n for n in names):
                    touched.add(contact)
            case AttributeWrite(contact, name):
                touched |= {contact} if name in found.attributes else set()
            case ListChange(contact, name):
                touched |= {contact} if name in found.lists else set()
            case ProductState(product_id) if found.products:
                touched |= {number for number, one in later.contacts.items() if names_product(one.events, product_id)}
        if found.everything and not isinstance(fact, Merge | Unmerge | ProductState) and fact.contact not in existed:
            touched.add(fact.contact)
    if found.existence:
        earlier = {number: one.earliest for number, one in before.contacts.items()}
        touched |= {
            number for number, one in later.contacts.items() if earlier.get(number, one.earliest) != one.earliest
        }
    return touched


def names_product(events: list[dict[str, Any]], product_id: str) -> bool:
    """Whether one of the events, or a line of it, is about the product."""
    holders = [holder for event in events for holder in (event["params"], *event["items"])]
    return any(holder.get("product_id") == product_id for holder in holders)


def named_by(
    found: Edges, bound: BoundRule, root: Root, knowledge: Knowledge, after_us: int, until_us: int
) -> set[int] | None:
    """The contacts that the edges name in (after, until]; None where a local day begins and all are to be asked."""
    if any(day_begins(zone, bound.zone, after_us, until_us) for zone in found.local_days):
        return None
    parts = [root.existence_edges(after_us - us, until_us - us) for us in {0, *found.existence}]
    for name, offsets in found.events.items():
        types = [t for t in root.events if t == name or (name.endswith("*") and t.startswith(name[:-1]))]
        parts += [root.event_edges(t, after_us - us, until_us - us) for t in types for us in offsets]
    for name, offsets in found.instant_values.items():
        parts += [root.instant_value_edges(name, after_us - us, until_us - us) for us in offsets]
    for name, offsets in found.attribute_writes.items():
        parts += [root.attribute_edges(name, after_us - us, until_us - us) for us in offsets]
    for name, offsets in found.lists.items():
        parts += [root.list_edges(name, after_us - us, until_us - us) for us in offsets]
    named = {int(contact) for contacts, _ in parts for contact in contacts}
    for name, offsets in found.histories.items():
        history = knowledge.histories.get(name)
        if history is not None:
            pairs = zip(history.contacts.tolist(), history.at_us.tolist(), strict=True)
            named |= {contact for contact, at_us in pairs if any(after_us < at_us + us <= until_us for us in offsets)}
    if found.products:
        products, _ = root.product_edges(after_us, until_us)
        named |= set(root.contacts_with_product(products, list(root.events)).tolist())
    return named


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
