"""What a template names of the segment engine's is found without rendering it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from core.errors import CdpError, unavailable
from services.channel.gathering import Gathering
from services.channel.needs import BLOCKS, Needs
from services.channel.render import compile_email, compile_json
from services.channel.templates import Template

ALL = ("brand", "category", "tag")
CASES = (
    ("Hello", Needs()),
    ("{{ contact.first_name }}{{ contact['spent'] }}{{ contact.key }}", Needs(frozenset({"first_name", "spent"}))),
    ("{{ name }}{{ items[0].spent }}{{ message.id }}", Needs()),
    ("{{ x | default: contact.a }}{% if contact.b == 1 %}{% elsif contact.c %}{% endif %}", Needs(frozenset("abc"))),
    ("{% case contact.a %}{% when contact.b %}{% endcase %}{% echo contact.c %}", Needs(frozenset("abc"))),
    ("{% comment %}{{ contact.a }}{{ interests.tag }}{% endcomment %}", Needs()),
    ("{{ contact[name] }}", Needs(every=True)),
    ("{{ contact | json }}{{ contact.a }}", Needs(frozenset("a"), every=True)),
    ("{% assign c = contact %}{{ c.a }}", Needs(every=True)),
    ("{{ [root].a }}", Needs(frozenset("a"))),
    ("{% if x %}{% assign contact = x %}{% endif %}{{ contact.a }}", Needs(frozenset("a"))),
    ("{% for i in interests.tag limit: 3 %}{{ i.value }}{% endfor %}{{ interests.category[0].value }}",
        Needs(interests=("category", "tag"))),
    ("{{ interests['brand'].first.score }}", Needs(interests=("brand",))),
    ("{{ interests[contact.a][0].value }}", Needs(frozenset("a"), interests=ALL)),
    ("{{ interests | json }}", Needs(interests=ALL)),
    ("{{ interests.colour }}", Needs()),
    ("{% for p in blocks.viewed limit: 3 %}{{ p.name }}{% endfor %}{{ blocks['cart'].size }}",
        Needs(blocks=("cart", "viewed"))),
    ("{{ blocks[contact.a] }}", Needs(frozenset("a"), blocks=BLOCKS)),
    ("{{ blocks.bestsellers }}{{ products.viewed }}", Needs()),
)  # fmt: skip


@pytest.mark.parametrize(("source", "needs"), CASES)
def test_what_a_template_names(source: str, needs: Needs) -> None:
    assert compile_email(Template("email", "Hi", "", source, "")).needs == needs
    assert compile_json(Template("webhook", "", "", source, "")).needs == needs


def test_all_parts_of_a_mail_count() -> None:
    mail = Template("email", "{{ contact.a }}", "<p>{{ contact.b }}{{ interests.tag }}</p>", "{{ contact.c }}", "")
    assert compile_email(mail).needs == Needs(frozenset("abc"), interests=("tag",))


class Asked:
    """Answers contact * 10 once it may, and keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], int]] = []
        self.may = asyncio.Event()

    async def __call__(self, contacts: Sequence[int], position: int) -> list[int]:
        self.calls.append((list(contacts), position))
        await self.may.wait()
        if 13 in contacts:
            raise unavailable("UNLUCKY", "13")
        return [contact * 10 for contact in contacts]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_while_a_call_is_under_way_shares_the_next() -> None:
    asked = Asked()
    gathering: Gathering[int, int] = Gathering(asked)
    tasks = [asyncio.create_task(gathering.of(1, 5))]
    await settled()
    tasks += [asyncio.create_task(gathering.of(contact, contact)) for contact in (9, 2, 9, 4)]
    await settled()
    asked.may.set()
    assert await asyncio.gather(*tasks) == [10, 90, 20, 90, 40]
    assert asked.calls == [([1], 5), ([2, 4, 9], 9)]
    assert await gathering.of(3, 0) == 30
    assert asked.calls[2:] == [([3], 0)]


async def test_an_error_is_everyones_and_the_next_call_is_a_new_one() -> None:
    asked = Asked()
    gathering: Gathering[int, int] = Gathering(asked)
    first = asyncio.create_task(gathering.of(2, 0))
    await settled()
    two = [asyncio.create_task(gathering.of(contact, 0)) for contact in (13, 1)]
    await settled()
    asked.may.set()
    assert await first == 20
    both = await asyncio.gather(*two, return_exceptions=True)
    assert [error.reason for error in both if isinstance(error, CdpError)] == ["UNLUCKY", "UNLUCKY"]
    assert await gathering.of(1, 0) == 10


async def test_a_leader_that_is_cancelled_leaves_nobody_waiting() -> None:
    asked = Asked()
    gathering: Gathering[int, int] = Gathering(asked)
    first = asyncio.create_task(gathering.of(1, 0))
    await settled()
    leader, follower = asyncio.create_task(gathering.of(2, 0)), asyncio.create_task(gathering.of(3, 0))
    await settled()
    leader.cancel()
    with pytest.raises(CdpError) as caught:
        await follower
    assert caught.value.reason == "ASKING_STOPPED"
    asked.may.set()
    assert (await first, await gathering.of(3, 0)) == (10, 30)
    assert [contacts for contacts, _ in asked.calls] == [[1], [3]]
