"""Every field of every HTTP endpoint, one at a time, in the ways that break naive programs: never a 500, never a hang,
and the good call beside a bad one is always taken."""

from __future__ import annotations

import gzip
import json
import unicodedata
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote
from zlib import crc32

import httpx2
import pytest
import pytest_asyncio

from cdp.facts.v1.facts_pb2 import Identifier
from cdp.profile.v1 import profile_pb2
from services.runtime.roles import Role
from tests.flow.bad_input import Range, under_fire
from tests.flow.http_shapes import ANY, BATCHES, SHAPES, Way, good_call, places, ways, with_value
from tests.flow.naughty import BLNS, some
from tests.flow.platform import eventually
from tests.flow.test_bad_input_strings import STRINGS

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

#: Of other kinds than the field's; and strings that are never right.
_KINDS: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**64,
    1.5,
    [],
    {},
    [[]],
    [None],
    {"a": None},
    "",
    "\0",
    "\ud800",
    "x" * 3_000,
)
#: What stands in the place of a value, which no JSON library would write.
_RAW: Mapping[str, bytes] = {
    "NaN": b"NaN", "Infinity": b"-Infinity", "1e400": b"1e400", "5,000 digits": b"9" * 5_000,
    "deep lists": b"[" * 200_000, "deep objects": b'{"a":' * 30_000 + b"1" + b"}" * 30_000, "half a pair": b'"\\ud800"',
    "no UTF-8": b'"\xff\xfe"', "cut": b'"', "a key twice": b'{"a": 1, "a": 2}', "nothing": b"",
}  # fmt: skip
_WHOLE = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"0",
    b'""',
    b"\xef\xbb\xbf{}",
    b"{}{}",
    b"data=",
    b"data=%%%",
    b"\x1f\x8b",
    b"[[]]",
)


_HEADERS = (
    "origin", "referer", "user-agent", "content-range", "if-none-match", "sentat", "cookie", "anonymousid",
    "content-encoding", "content-type", "accept-encoding", "x-forwarded-for",
)  # fmt: skip
#: What crawlers and programs send to the tracker is marked as such, and counts for no rule.
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_HEADER_TEXTS = ("", "*", "null", "bytes 5-1/2", "bytes 0-9/" + "9" * 15, "=;=;", "a" * 4_000, "\x80\xff", "é")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Range]:
    async with under_fire(tmp_path_factory.mktemp("data")) as one:
        yield one


async def send(fire: Range, way: Way, content: bytes, path: str = "", **headers: str) -> httpx2.Response:
    """The answer, which is neither a failure of ours nor a request to come again."""
    url = fire.platform.http_url(way.role) + (path or way.path)
    usual = {"authorization": f"Bearer {fire.platform.key}", "content-type": "application/json", "user-agent": _BROWSER}
    answer = await fire.http.request(way.method, url, content=content or None, headers={**usual, **headers})
    assert answer.status_code < 500, (way, content[:300], answer.text)
    assert answer.status_code != 429, (way, content[:300], answer.text)
    if answer.status_code == 400:
        assert answer.json()["reason"], (way, content[:300], answer.text)
    return answer


def values(way: Way, where: tuple[str | int, ...], count: int) -> tuple[Any, ...]:
    """Hostile values for one place of one route; others elsewhere."""
    place = f"{way.path} {where}"
    if where[-1] == "":
        return ("", "k" * 129, *some(place, count))
    first = crc32(place.encode()) % len(_KINDS)
    return (*(_KINDS + _KINDS)[first : first + count], *some(place, count))


async def test_every_field_of_every_call(fire: Range) -> None:
    """Routes that take one call: also those that came after this test."""
    alone = [
        one for one in ways(fire.platform) if one.method == "POST" and "{" not in one.path and one.path not in BATCHES
    ]
    assert len(alone) > 15
    for way in alone:
        document = SHAPES.get(way.path, ANY)
        for where in places(dict(document)):
            for value in values(way, where, 2):
                await send(fire, way, json.dumps(with_value(document, where, value)).encode())
        await fire.good()


async def test_every_field_of_every_batch(fire: Range) -> None:
    """Dozens of bad items in one body, and a good one among them, which has to be taken."""
    for path, (list_name, item, _) in BATCHES.items():
        way = Way(Role.INGEST, "POST", path)
        bad = [
            with_value(item, where, value) for where in places(dict(item)) for value in values(way, where, len(_KINDS))
        ]
        assert len(bad) > 400
        for first in range(0, len(bad), 40):
            items: list[Any] = [*bad[first : first + 40], None, 1, "x", [], {}]
            middle = len(items) // 2
            items.insert(middle, good_call(path, fire.next_good))
            answer = await send(fire, way, json.dumps({"writeKey": fire.platform.key, list_name: items}).encode())
            assert answer.status_code == 200, answer.text
            assert all(one["index"] != middle and one["reason"] for one in answer.json().get("rejected", []))
            fire.took_good()


async def test_every_field_beside_a_batch(fire: Range) -> None:
    """What stands beside the list may be refused as a whole; if it is not, the good item is taken."""
    for path, (list_name, _, beside) in BATCHES.items():
        way = Way(Role.INGEST, "POST", path)
        for where in places(dict(beside)):
            for value in values(way, where, 4):
                body = {**with_value(beside, where, value), list_name: [good_call(path, fire.next_good)]}
                if where[0] != "writeKey":
                    body["writeKey"] = fire.platform.key
                answer = await send(fire, way, json.dumps(body).encode())
                if answer.status_code == 200 and not answer.json().get("rejected"):
                    fire.took_good()


async def test_documents_that_are_no_json(fire: Range) -> None:
    """Bad.NAN, DEEP, LONG_INTEGER, DUPLICATE_KEYS and the like in the place of each value; bodies that are none."""
    for way in ways(fire.platform):
        if way.method != "POST" or "{" in way.path:
            continue
        for whole in _WHOLE:
            await send(fire, way, whole)
        document = {"writeKey": fire.platform.key, **SHAPES.get(way.path, ANY)}
        if way.path in BATCHES:
            list_name, item, beside = BATCHES[way.path]
            document = {"writeKey": fire.platform.key, **beside, list_name: [item]}
        replaced = [where for where in places(document) if where[-1] != "" and len(where) < 4]
        for number, where in enumerate(replaced):
            text = json.dumps(with_value(document, where, "@@raw@@")).encode()
            for raw in [*_RAW.values()][number % 6 :: 6]:
                await send(fire, way, text.replace(b'"@@raw@@"', raw))
        await fire.good()


async def test_bodies_that_are_packed(fire: Range) -> None:
    """Bad.GZIP_BOMB: by every route that takes a body, in every packing; what is sound is taken."""
    small = b" " * 20 + b"{}"
    bomb = b" " * (64 << 20)
    bare = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = {
        "gzip": gzip.compress(bomb, 1), "deflate": zlib.compress(bomb, 1),
        "br": b"\x1b\x00", "zstd": b"(\xb5/\xfd", "gzip, gzip": gzip.compress(gzip.compress(small)), "x": b"{}",
    }  # fmt: skip
    for way in ways(fire.platform):
        if way.method != "POST" or way.role is not Role.INGEST:
            continue
        for encoding, body in packed.items():
            answer = await send(fire, way, body, **{"content-encoding": encoding})
            assert answer.status_code == 400
            assert answer.json()["reason"] in ("BODY_TOO_LARGE", "UNKNOWN_ENCODING", "BAD_JSON"), (
                encoding,
                answer.text,
            )
        for encoding, body in {"gzip": b"none", "deflate": b"none"}.items():
            answer = await send(fire, way, body, **{"content-encoding": encoding})
            assert answer.json()["reason"] in ("BAD_GZIP", "BAD_DEFLATE")
    document = json.dumps({"event": "packed", "userId": "ann"}).encode()
    way = Way(Role.INGEST, "POST", "/v1/track")
    both = {"zlib": zlib.compress(document), "bare": bare.compress(document) + bare.flush()}
    for name, body in both.items():
        assert (await send(fire, way, body, **{"content-encoding": "deflate"})).status_code == 200, name
    assert (await send(fire, way, gzip.compress(document), **{"content-encoding": "gzip"})).status_code == 200
    assert (await send(fire, way, gzip.compress(document), **{"content-encoding": "identity"})).status_code == 200


async def test_every_name_in_a_path_a_query_and_a_header(fire: Range) -> None:
    parted = [way for way in ways(fire.platform) if "{" in way.path]
    assert {way.path for way in parted} >= {"/v1/feeds/{name}", "/v1/files/{name}", "/u/{token}"}
    for way in ways(fire.platform):
        before, _, rest = way.path.partition("{")
        after = rest.partition("}")[2]
        for text in (*STRINGS[::3], *some(way.path, 8)):
            written = quote(text[:2_000], safe="", errors="surrogatepass")
            path = f"{before}{written}{after}" if rest else f"{way.path}?import={written}&writeKey={written}"
            await send(fire, way, b"{}" if way.method != "GET" else b"", path)
        for number, name in enumerate(_HEADERS):
            text = _HEADER_TEXTS[(number + len(way.path)) % len(_HEADER_TEXTS)]
            url = fire.platform.http_url(way.role) + way.path.replace("{", "").replace("}", "")
            authorised = (b"authorization", b"Bearer " + fire.platform.key.encode())
            answer = await fire.http.request(
                way.method, url, content=None if way.method == "GET" else b"{}",
                headers=[authorised, (name.encode(), text.encode("latin-1"))],
            )  # fmt: skip
            assert answer.status_code < 500, (way, name, text, answer.text)
    await fire.good()


async def test_what_is_taken_comes_back_as_it_was(fire: Range) -> None:
    """Every string of the list as a trait and as a property: told as it was, in NFC, or left out with a word."""
    way, taken = Way(Role.INGEST, "POST", "/v1/batch"), dict[int, str]()
    for first in range(0, len(BLNS), 50):
        texts = BLNS[first : first + 50]
        calls = [
            {"type": "identify", "userId": f"list-{first + n}", "traits": {"nickname": text}}
            for n, text in enumerate(texts)
        ]
        events = [
            {"type": "track", "event": "listed", "userId": f"list-{first + n}", "properties": {"words": text}}
            for n, text in enumerate(texts)
        ]
        told = (await send(fire, way, json.dumps({"batch": [*calls, *events]}).encode())).json()
        not_told = {one["index"] % len(texts) for key in ("rejected", "left_out") for one in told.get(key, [])}
        taken |= {first + n: text for n, text in enumerate(texts) if n not in not_told}
    assert len(taken) > len(BLNS) * 0.9, "few of them are wrong: most are only strange"
    for number, text in taken.items():
        request = profile_pb2.GetRequest(identifier=Identifier(kind="external_id", value=f"list-{number}"))

        async def there(request: profile_pb2.GetRequest = request) -> bool:
            answer = await fire.call(request)
            return answer.ok and len(answer.response.timeline) == 1

        await eventually(there, f"person {number} of the list is told")
        profile = await fire.ok(request)
        expected = unicodedata.normalize("NFC", text)
        assert {one.name: one.value.text for one in profile.profile.attributes}["nickname"] == expected
        assert profile.timeline[0].params["words"].text == expected
