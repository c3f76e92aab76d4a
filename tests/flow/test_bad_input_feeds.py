"""Bad feeds: XML that explodes or reaches out, files that are huge, cut or of another encoding than they say."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cdp.catalog.v1 import catalog_pb2 as pb
from tests.flow.feed_house import feed_house, feed_of, feed_server, item

_BOMB = "".join(
    f"<!ENTITY {after} '{f'&{before};' * 10}'>" for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize("place", ["text", "attribute"])
async def test_an_xml_bomb_is_refused(tmp_path: Path, place: str) -> None:
    """XML_BOMB: a billion laughs, in a text and in an attribute."""
    body = "<item><id>&j;</id></item>" if place == "text" else '<item name="&j;"><id>1</id></item>'
    content = f"<!DOCTYPE rss [<!ENTITY a 'ha'>{_BOMB}]><rss><channel>{body}</channel></rss>".encode()
    async with feed_house(tmp_path) as house:
        await house.save()
        run = await house.imported(content)
        assert run.state == pb.FEED_RUN_STATE_FAILED
        assert run.reason in ("XML_ENTITIES", "BAD_XML")
        assert await house.facts() == []


async def test_an_external_entity_is_not_fetched(tmp_path: Path) -> None:
    """EXTERNAL_ENTITY: files, addresses and document types of others."""
    async with feed_server() as shop, feed_house(tmp_path) as house:
        await house.save()
        secret = tmp_path / "secret"
        secret.write_text("TOP-SECRET")
        for declared in (f'<!ENTITY x SYSTEM "{secret.as_uri()}">', f'<!ENTITY x SYSTEM "{shop.url}">',
                         f'<!ENTITY % p SYSTEM "{shop.url}"> %p;'):  # fmt: skip
            content = f"<!DOCTYPE rss [{declared}]><rss><channel><item><id>1</id><price>1</price><title>&x;</title>"
            run = await house.imported(f"{content}</item></channel></rss>".encode())
            assert run.state == pb.FEED_RUN_STATE_FAILED
        elsewhere = (
            f'<!DOCTYPE rss SYSTEM "{shop.url}"><rss><channel><item><id>1</id><price>1</price></item></channel></rss>'
        )
        assert (await house.imported(elsewhere.encode())).state == pb.FEED_RUN_STATE_DONE
        assert shop.asked == []
        assert all("TOP-SECRET" not in str(product) for product in await house.facts())


async def test_huge_and_mis_encoded_files(tmp_path: Path) -> None:
    """BAD_FEED: beyond the limit as it lies and unpacked, fields of megabytes, bytes of another encoding."""
    async with feed_house(tmp_path, CDP_FEED_MAXIMUM_BYTES=str(12 << 20)) as house:
        await house.save()
        run = await house.imported(gzip.compress(feed_of([item("a")]) + b" " * (13 << 20)))
        assert (run.state, run.reason) == (pb.FEED_RUN_STATE_FAILED, "FEED_TOO_LARGE")
        run = await house.imported(feed_of([item("large", title2="x", brand="x" * (9 << 20)), item("small")]))
        assert (run.state, run.items_accepted, run.items_rejected) == (pb.FEED_RUN_STATE_DONE, 1, 1)
        assert [one.reason for one in await house.rejected()] == ["FIELD_TOO_LARGE"]
        wrong = feed_of([item("b", title="Чай")]).decode().replace('"1.0"?', '"1.0" encoding="utf-8"?')
        run = await house.imported(wrong.encode("windows-1251"))
        assert (run.state, run.reason) == (pb.FEED_RUN_STATE_FAILED, "BAD_XML")
        await house.save(encoding="windows-1251", shrink_limit_percent=100)
        assert (await house.imported(wrong.encode("windows-1251"))).state == pb.FEED_RUN_STATE_DONE
