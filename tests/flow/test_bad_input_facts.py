"""Bad facts at both doors of ingest: each is refused with its reason, alone and in a batch, and spoils nothing else;
what names one person in many ways names one person."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from cdp.facts.v1 import facts_pb2
from cdp.facts.v1.facts_pb2 import Identifier, Product, Value
from cdp.ingest.v1 import ingest_pb2 as pb
from cdp.profile.v1 import profile_pb2
from core.clock import DAY_US, MAX_INSTANT_US, MIN_INSTANT_US
from services.runtime.roles import Role
from tests.flow.bad_input import START_US, Bad, Case, Range, good_event, under_fire
from tests.flow.platform import eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


def who(value: str, kind: str = "external_id") -> Identifier:
    return Identifier(kind=kind, value=value)


def text(value: str) -> Value:
    return Value(text=value)


def event(value: Value | None = None, name: str = "p", **fields: Any) -> pb.Event:
    made = pb.Event(**{"type": "note", "identifiers": [who("bad")], **fields})
    if value is not None:
        made.params[name].CopyFrom(value)
    return made


def person(attributes: dict[str, Value] | None = None, **fields: Any) -> pb.Person:
    return pb.Person(**{"identifiers": [who("bad")], "attributes": attributes or {}, **fields})


def order(**fields: Any) -> pb.Order:
    return pb.Order(**{"order_id": "bad", "status": "completed", "identifiers": [who("bad")], **fields})


def padded(size_bytes: int) -> pb.Event:
    """An event of exactly that many bytes on the wire."""
    made = event(text("x" * (size_bytes - 100)))
    made.params["p"].text += "x" * (size_bytes - made.ByteSize())
    assert made.ByteSize() == size_bytes
    return made


CHEAP = facts_pb2.Object(fields={"price": text("cheap")})
LINE = facts_pb2.Object(fields={"quantity": Value(integer=1)})

#: Items of a gRPC batch, each also sent by the call of its own.
ITEMS = (
    Case(Bad.NUL, "in a param", event(text("a\0b")), "BAD_TEXT"),
    Case(Bad.NUL, "in the name of a param", event(text("a"), "a\0b"), "BAD_NAME"),
    Case(Bad.NUL, "in the type", event(type="a\0b"), "BAD_NAME"),
    Case(Bad.NUL, "in an id", event(identifiers=[who("a\0b")]), "BAD_TEXT"),
    Case(Bad.NUL, "in the id of an order", order(order_id="a\0b"), "BAD_TEXT"),
    Case(Bad.NUL, "in a list's name", person(lists=[facts_pb2.ListMove(list="a\0b", member=True)]), "BAD_NAME"),
    Case(Bad.NUL, "in a product's id", Product(product_id="a\0b"), "BAD_TEXT"),
    Case(Bad.BYTE_ORDER_MARK, "in a param", event(text("\ufeffa")), "BAD_TEXT"),
    Case(Bad.BYTE_ORDER_MARK, "in an attribute", person({"a": text("\ufeffa")}), "BAD_TEXT"),
    Case(Bad.RIGHT_TO_LEFT, "in a param", event(text("a\u202eb")), "BAD_TEXT"),
    Case(Bad.RIGHT_TO_LEFT, "in an attribute's name", person({"a\u202eb": text("a")}), "BAD_NAME"),
    Case(Bad.NAN, "as a decimal", event(Value(decimal="NaN")), "BAD_NUMBER"),
    Case(Bad.INFINITY, "as a decimal", event(Value(decimal="-Infinity")), "BAD_NUMBER"),
    Case(Bad.HUGE_EXPONENT, "as a decimal", event(Value(decimal="1e400")), "BAD_NUMBER"),
    Case(Bad.HUGE_EXPONENT, "beyond what Decimal holds", event(Value(decimal="1e" + "9" * 30)), "BAD_NUMBER"),
    Case(Bad.BEYOND_64_BITS, "as a decimal", event(Value(decimal=str(2**64))), "BAD_NUMBER"),
    Case(Bad.BEYOND_64_BITS, "units beyond 9e14", event(Value(decimal_units=2**63 - 1)), "BAD_NUMBER"),
    Case(Bad.LONG_INTEGER, "as a decimal", event(Value(decimal="9" * 5_000)), "BAD_NUMBER"),
    Case(Bad.NO_ID, "event", event(identifiers=[]), "NO_IDENTIFIER"),
    Case(Bad.NO_ID, "person", person(identifiers=[]), "NO_IDENTIFIER"),
    Case(Bad.NO_ID, "order", order(identifiers=[]), "NO_IDENTIFIER"),
    Case(Bad.NO_ID, "order without its own", order(order_id=""), "BAD_ORDER"),
    Case(Bad.NO_ID, "link of nothing", pb.Link(), "NO_IDENTIFIER"),
    Case(Bad.NO_ID, "product", Product(), "NO_PRODUCT_ID"),
    Case(Bad.NO_ID, "no type", event(type=""), "NO_TYPE"),
    Case(Bad.WRONG_TYPE, "a price that is a text", order(items=[CHEAP]), "BAD_NUMBER"),
    Case(Bad.WRONG_TYPE, "an age that is a truth", person({"age": Value(boolean=True)}), "WRONG_TYPE"),
    Case(Bad.WRONG_TYPE, "a day as a birth date", person({"birth_date": text("yesterday")}), "BAD_TIME"),
    Case(
        Bad.WRONG_TYPE,
        "a consent that is no state",
        person(consents=[facts_pb2.ConsentChange(channel="email", state="maybe")]),
        "BAD_CONSENT",
    ),
    Case(
        Bad.WRONG_TYPE,
        "a place off the earth",
        person({"home": Value(location=facts_pb2.Location(latitude_e7=2**31 - 1))}),
        "BAD_NUMBER",
    ),
    Case(Bad.NULLS, "a param without a value", event(Value())),
    Case(Bad.NULLS, "an attribute without a value", person({"city": Value()})),
    Case(Bad.MANY_PROPERTIES, "10,001", event(params={f"p{n}": Value() for n in range(10_001)}),
         "ITEM_TOO_LARGE"),
    Case(Bad.MANY_PROPERTIES, "1,001", event(params={f"p{n}": Value() for n in range(1_001)}),
         "TOO_MANY_PROPERTIES"),
    Case(Bad.LONG_KEY, "a param", event(text("a"), "k" * 10_240), "BAD_NAME"),
    Case(Bad.LONG_KEY, "an attribute", person({"k" * 10_240: text("a")}), "BAD_NAME"),
    Case(Bad.AT_LIMITS, "an event of 32 KiB", padded(32 << 10)),
    Case(Bad.AT_LIMITS, "an event of 32 KiB and a byte", padded((32 << 10) + 1), "ITEM_TOO_LARGE"),
    Case(Bad.AT_LIMITS, "a message id of 256", event(message_id="m" * 256)),
    Case(Bad.AT_LIMITS, "a message id of 257", event(message_id="m" * 257), "BAD_MESSAGE_ID"),
    Case(Bad.AT_LIMITS, "a name of 128", event(text("a"), "n" * 128)),
    Case(Bad.AT_LIMITS, "a name of 129", event(text("a"), "n" * 129), "BAD_NAME"),
    Case(Bad.AT_LIMITS, "1,000 lines", order(order_id="1000", items=[LINE] * 1_000)),
    Case(Bad.AT_LIMITS, "1,001 lines", order(items=[LINE] * 1_001),
         "TOO_MANY_ITEMS"),
    Case(Bad.AT_LIMITS, "the largest amount", event(Value(decimal="900000000000000"), "amount")),
    Case(Bad.AT_LIMITS, "one more", event(Value(decimal="900000000000000.0001"), "amount"), "BAD_NUMBER"),
    Case(Bad.AT_LIMITS, "five decimals", event(Value(decimal="0.00001")), "BAD_NUMBER"),
    Case(Bad.YEAR_0_AND_10000, "the first instant", event(occurred_at_us=MIN_INSTANT_US)),
    Case(Bad.YEAR_0_AND_10000, "before it", event(occurred_at_us=MIN_INSTANT_US - 1), "BAD_TIME"),
    Case(Bad.YEAR_0_AND_10000, "the last instant", event(occurred_at_us=MAX_INSTANT_US - 1)),
    Case(Bad.YEAR_0_AND_10000, "after it", event(occurred_at_us=MAX_INSTANT_US), "BAD_TIME"),
    Case(Bad.YEAR_0_AND_10000, "an attribute at the first", person({"when": Value(instant_us=MIN_INSTANT_US)})),
    Case(Bad.YEAR_0_AND_10000, "an attribute at the last", person({"when": Value(instant_us=MAX_INSTANT_US - 1)})),
    Case(Bad.YEAR_0_AND_10000, "born in year 1", person({"birth_date": Value(date_days=-719_162)})),
    Case(Bad.NUMBER_AS_TIME, "an instant of 2^63-1", event(occurred_at_us=2**63 - 1), "BAD_TIME"),
    Case(Bad.NUMBER_AS_TIME, "an instant of -2^63", event(Value(instant_us=-(2**63))), "BAD_TIME"),
    Case(Bad.NUMBER_AS_TIME, "day 2^31-1", event(Value(date_days=2**31 - 1)), "BAD_TIME"),
    Case(Bad.FUTURE, "in a year", event(occurred_at_us=START_US + 365 * DAY_US)),
    *(
        Case(Bad.BLOCKED_IDS, repr(value), event(identifiers=[who(value, kind)]), "NO_IDENTIFIER")
        for value in ("", " ", "null", "NULL", "undefined", "0", "anonymous", "[object Object]", "NaN")
        for kind in ("external_id", "anonymous_id")
    ),
    Case(Bad.BLOCKED_IDS, "a kind that is none", event(identifiers=[who("a", "passport")]), "NO_IDENTIFIER"),
    Case(Bad.EMAIL_FORMS, "two at signs", event(identifiers=[who("a@b@example.com", "email")]), "NO_IDENTIFIER"),
    Case(Bad.EMAIL_FORMS, "a space within", event(identifiers=[who("a b@example.com", "email")]), "NO_IDENTIFIER"),
    Case(Bad.PHONE_FORMS, "too short", event(identifiers=[who("+38 0", "phone")]), "NO_IDENTIFIER"),
    Case(Bad.PHONE_FORMS, "letters", event(identifiers=[who("call me", "phone")]), "NO_IDENTIFIER"),
    Case(Bad.ALIAS_LOOP, "to itself", pb.Link(first=who("loop"), second=who("loop"))),
    Case(Bad.ALIAS_LOOP, "there", pb.Link(first=who("loop"), second=who("cookie", "anonymous_id"))),
    Case(Bad.ALIAS_LOOP, "and back", pb.Link(first=who("cookie", "anonymous_id"), second=who("loop"))),
    Case(Bad.ALIAS_LOOP, "of two people", pb.Link(first=who("loop"), second=who("loop-2"))),
)  # fmt: skip

GOOD_CALL = b'{"type":"track","event":"Note","userId":"good-http"}'


def track(more: bytes) -> bytes:
    return b'{"type":"track","event":"Note","userId":"bad",%s}' % more


#: Calls of a JSON batch, each also sent alone: (class, what, document, reason; empty: accepted).
CALLS = (
    (Bad.LONE_SURROGATE, "in a value", track(rb'"properties":{"p":"\ud800"}'), "BAD_TEXT"),
    (Bad.LONE_SURROGATE, "in a key", track(rb'"properties":{"\udc00":1}'), "BAD_NAME"),
    (Bad.LONE_SURROGATE, "in an id", rb'{"type":"track","event":"Note","userId":"\ud83d"}', "BAD_TEXT"),
    (Bad.INVALID_UTF8, "in a value", track(b'"properties":{"p":"\xc3\x28"}'), "BAD_TEXT"),
    (Bad.INVALID_UTF8, "overlong", track(b'"properties":{"p":"\xc0\xaf"}'), "BAD_TEXT"),
    (Bad.NUL, "by an escape", track(rb'"properties":{"p":"\u0000"}'), "BAD_TEXT"),
    (Bad.BYTE_ORDER_MARK, "in the event", rb'{"type":"track","event":"\ufeffNote","userId":"bad"}', "BAD_NAME"),
    (Bad.RIGHT_TO_LEFT, "in a value", track(rb'"properties":{"p":"\u202e"}'), "BAD_TEXT"),
    (Bad.NAN, "as a value", track(b'"properties":{"p":NaN}'), "BAD_NUMBER"),
    (Bad.INFINITY, "as a value", track(b'"properties":{"p":-Infinity}'), "BAD_NUMBER"),
    (Bad.HUGE_EXPONENT, "as a value", track(b'"properties":{"p":1e400}'), "BAD_NUMBER"),
    (Bad.BEYOND_64_BITS, "as a value", track(b'"properties":{"p":18446744073709551616}'), "BAD_NUMBER"),
    (Bad.DUPLICATE_KEYS, "of a property", track(b'"properties":{"p":1,"p":2}'), "DUPLICATE_KEY"),
    (Bad.DUPLICATE_KEYS, "of the id", track(b'"userId":"other"'), "DUPLICATE_KEY"),
    (Bad.DEEP, "50 levels", track(b'"properties":' + b'{"a":' * 50 + b"1" + b"}" * 50), "TOO_DEEP"),
    (Bad.LONG_INTEGER, "as a value", track(b'"properties":{"p":%s}' % (b"7" * 5_000)), "BAD_NUMBER"),
    (Bad.NO_ID, "nobody", b'{"type":"track","event":"Note"}', "NO_IDENTIFIER"),
    (Bad.WRONG_TYPE, "properties that are a list", track(b'"properties":[]'), "WRONG_TYPE"),
    (Bad.WRONG_TYPE, "an id that is an object", b'{"type":"track","event":"Note","userId":{}}', "WRONG_TYPE"),
    (Bad.NULLS, "everywhere", b'{"type":"track","event":null,"userId":null,"properties":null}', "NO_TYPE"),
    (Bad.NULLS, "as values", track(b'"properties":{"p":null},"context":null,"timestamp":null'), ""),
    (Bad.MANY_PROPERTIES, "1,001", track(b'"properties":{%s}' % b",".join(b'"p%d":1' % n for n in range(1_001))),
     "TOO_MANY_PROPERTIES"),
    (Bad.LONG_KEY, "10 KB", track(b'"properties":{"%s":1}' % (b"k" * 10_240)), "BAD_NAME"),
    (Bad.NO_ZONE, "no zone", track(b'"timestamp":"2026-11-01T10:00:00"'), "BAD_TIME"),
    (Bad.YEAR_0_AND_10000, "year 0", track(b'"timestamp":"0000-01-01T00:00:00Z"'), "BAD_TIME"),
    (Bad.YEAR_0_AND_10000, "year 10000", track(b'"timestamp":"10000-01-01T00:00:00Z"'), "BAD_TIME"),
    (Bad.YEAR_0_AND_10000, "before year 1 by its zone", track(b'"timestamp":"0001-01-01T00:00:00+14:00"'), "BAD_TIME"),
    (Bad.LEAP_SECOND, "2016", track(b'"timestamp":"2016-12-31T23:59:60Z"'), "BAD_TIME"),
    (Bad.FUTURE, "in 100 years", track(b'"timestamp":"2126-01-01T00:00:00Z"'), ""),
    (Bad.NO_SUCH_LOCAL_TIME, "31 April", track(b'"timestamp":"2026-04-31T00:00:00Z"'), "BAD_TIME"),
    (Bad.NO_SUCH_LOCAL_TIME, "24:00", track(b'"timestamp":"2026-04-30T24:00:00Z"'), "BAD_TIME"),
    (Bad.NO_SUCH_LOCAL_TIME, "an offset of 99 h", track(b'"timestamp":"2026-04-30T00:00:00+99:00"'), "BAD_TIME"),
    (Bad.NO_SUCH_LOCAL_TIME, "skipped in New York", track(b'"timestamp":"2026-03-08T02:30:00-05:00"'), ""),
    (Bad.NUMBER_AS_TIME, "milliseconds", track(b'"timestamp":1700000000000'), "BAD_TIME"),
    (Bad.BLOCKED_IDS, "undefined", b'{"type":"track","event":"Note","userId":"undefined","anonymousId":"null"}',
     "NO_IDENTIFIER"),
    (Bad.BLOCKED_IDS, "0", b'{"type":"track","event":"Note","userId":0}', "NO_IDENTIFIER"),
    (Bad.ALIAS_LOOP, "without the other", b'{"type":"alias","userId":"loop"}', "NO_IDENTIFIER"),
    (Bad.ALIAS_LOOP, "to itself", b'{"type":"alias","userId":"loop","previousId":"loop"}', ""),
)  # fmt: skip

GOOD_BODY = b'{"batch":[' + GOOD_CALL + b"]}"
MAX_BODY_BYTES = 500 << 10
#: Whole bodies of /v1/batch: (class, what, body, reason; empty: accepted).
BODIES = (
    (Bad.TRAILING_BYTES, "a letter", GOOD_BODY + b"x", "BAD_JSON"),
    (Bad.TRAILING_BYTES, "a second document", GOOD_BODY * 2, "BAD_JSON"),
    (Bad.BYTE_ORDER_MARK, "before the document", b"\xef\xbb\xbf" + GOOD_BODY, "BAD_JSON"),
    (Bad.NUL, "around the document", b"\0" + GOOD_BODY, "BAD_JSON"),
    (Bad.DEEP, "200,000 lists", b'{"batch":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "TOO_DEEP"),
    (Bad.DEEP, "objects that never end", b'{"a":' * 100_000, "TOO_DEEP"),
    (Bad.EMPTY_BATCH, "no calls", b'{"batch":[]}', "EMPTY_BATCH"),
    (Bad.WRONG_TYPE, "a list", b"[" + GOOD_CALL + b"]", "BAD_SHAPE"),
    (Bad.WRONG_TYPE, "a batch that is an object", b'{"batch":{}}', "BAD_SHAPE"),
    (Bad.NULLS, "a batch that is null", b'{"batch":null}', "BAD_SHAPE"),
    (Bad.AT_LIMITS, "500 KiB", GOOD_BODY + b" " * (MAX_BODY_BYTES - len(GOOD_BODY)), ""),
    (Bad.AT_LIMITS, "500 KiB and a byte", GOOD_BODY + b" " * (MAX_BODY_BYTES - len(GOOD_BODY) + 1), "BODY_TOO_LARGE"),
    (Bad.GZIP_BOMB, "100 MiB of blanks", gzip.compress(b" " * (100 << 20)), "BODY_TOO_LARGE"),
    (Bad.GZIP_BOMB, "a bomb in a bomb", gzip.compress(gzip.compress(b" " * (100 << 20))), "BAD_JSON"),
    (Bad.GZIP_BOMB, "cut", gzip.compress(GOOD_BODY)[:-5], "BAD_GZIP"),
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Range]:
    async with under_fire(tmp_path_factory.mktemp("data")) as one:
        yield one


def as_item(item: Any) -> pb.BatchItem:
    field = {pb.Event: "event", pb.Person: "person", pb.Link: "link", pb.Order: "order", Product: "product"}
    return pb.BatchItem(**{field[type(item)]: item})


def as_call(item: Any) -> Any:
    match item:
        case pb.Event():
            return pb.TrackRequest(event=item)
        case pb.Person():
            return pb.IdentifyRequest(person=item)
        case pb.Link():
            return pb.AliasRequest(link=item)
        case pb.Order():
            return pb.RecordOrderRequest(order=item)
        case _:
            return pb.UpsertProductsRequest(products=[item])


async def test_each_item_alone(fire: Range) -> None:
    for case in ITEMS:
        answer = await fire.call(as_call(case.request))
        reason = answer.response.results[0].reason if isinstance(case.request, Product) else answer.reason
        assert reason == case.reason, (case.bad, case.what, answer)
        await fire.good()


async def test_all_items_in_one_batch(fire: Range) -> None:
    items = [
        item for case in ITEMS for item in (as_item(case.request), pb.BatchItem(event=good_event(fire.took_good())))
    ]
    answer = await fire.ok(pb.IngestBatchRequest(items=items))
    assert [one.reason for one in answer.results[::2]] == [case.reason for case in ITEMS]
    assert not any(one.reason for one in answer.results[1::2])
    assert all(one.violations and one.violations[0].description for one in answer.results[::2] if one.reason)


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_of_no_or_too_many_items(fire: Range, count: int) -> None:
    reason = "BATCH_TOO_LARGE" if count else "EMPTY_BATCH"
    assert (await fire.call(pb.IngestBatchRequest(items=[pb.BatchItem()] * count))).reason == reason
    products = pb.UpsertProductsRequest(products=[Product()] * count)
    assert (await fire.call(products)).reason == reason


async def post(fire: Range, path: str, body: bytes) -> tuple[int, Any]:
    url = f"{fire.platform.http_url(Role.INGEST)}{path}"
    answer = await fire.http.post(url, content=body, auth=(fire.platform.key, ""))
    return answer.status_code, answer.json()


async def test_each_call_alone(fire: Range) -> None:
    for bad, what, document, reason in CALLS:
        kind = "alias" if b'"alias"' in document else "track"
        status, told = await post(fire, f"/v1/{kind}", document)
        assert (status, told.get("reason", "")) == (400 if reason else 200, reason), (bad, what, told)
        await fire.good()


async def test_all_calls_in_batches(fire: Range) -> None:
    for first in range(0, len(CALLS), 10):
        part = CALLS[first : first + 10]
        calls = []
        for _, _, document, _ in part:
            good = good_event(fire.took_good())
            calls += [document, json.dumps({"type": "track", "event": "Good Deed", "userId": good.identifiers[0].value,
                                            "messageId": good.message_id}).encode()]  # fmt: skip
        status, told = await post(fire, "/v1/batch", b'{"batch":[' + b",".join(calls) + b"]}")
        assert status == 200
        rejected = {one["index"]: one["reason"] for one in told.get("rejected", [])}
        assert rejected == {2 * n: case[3] for n, case in enumerate(part) if case[3]}


async def test_bodies(fire: Range) -> None:
    for bad, what, body, reason in BODIES:
        status, told = await post(fire, "/v1/batch", body)
        assert (status, told.get("reason", "")) == (400 if reason else 200, reason), (bad, what, told)
        await fire.good()


#: Ways to write one identifier: all of a row are one person.
SAME = (
    (Bad.NFC_TWINS, "email", ("ren\u00e9@example.com", "rene\u0301@example.com", "RENE\u0301@EXAMPLE.COM")),
    (Bad.EMAIL_FORMS, "email", ("twin@example.com", " Twin@Example.COM ", "TWIN@example.com.")),
    (Bad.EMAIL_FORMS, "email", ("a@b\u00fccher.example", "a@xn--bcher-kva.example", "a@B\u00dcCHER.example")),
    (Bad.PHONE_FORMS, "phone", ("+380441234567", "+38 (044) 123-45-67", "00380441234567", " +38 044 123 45 67")),
)


@pytest.mark.parametrize(("bad", "kind", "forms"), SAME)
async def test_ways_to_write_one_identifier_are_one_person(
    fire: Range, bad: Bad, kind: str, forms: tuple[str, ...]
) -> None:
    for number, form in enumerate(forms):
        await fire.ok(
            pb.TrackRequest(event=event(message_id=f"{kind}-{forms[0]}-{number}", identifiers=[who(form, kind)]))
        )
    request = profile_pb2.ResolveRequest(identifiers=[who(form, kind) for form in forms])

    async def one() -> bool:
        found = (await fire.ok(request)).results
        return all(result.found for result in found) and len({result.contact for result in found}) == 1

    await eventually(one, f"{bad}: one person")

    async def all_events() -> bool:
        answer = await fire.ok(profile_pb2.GetRequest(identifier=who(forms[0], kind)))
        return len(answer.timeline) == len(forms)

    await eventually(all_events, f"{bad}: all events")


async def test_one_cookie_on_many_people_joins_nobody(fire: Range) -> None:
    """Bad.ONE_ID_ON_MANY: a shared device moves from person to person; people never become one."""
    many = 150
    for number in range(many):
        identifiers = [who(f"kiosk-{number}"), who("kiosk", "anonymous_id")]
        await fire.ok(pb.TrackRequest(event=event(message_id=f"kiosk-{number}", identifiers=identifiers)))
    request = profile_pb2.ResolveRequest(identifiers=[who(f"kiosk-{number}") for number in range(many)])

    async def apart() -> bool:
        found = (await fire.ok(request)).results
        return all(result.found for result in found) and len({result.contact for result in found}) == many

    await eventually(apart, "everybody is a person of their own")


async def test_a_second_kind_of_value_is_refused_at_the_door_and_nothing_with_it(fire: Range) -> None:
    """Bad.WRONG_TYPE of a learned name: the kind of a custom attribute is that of its first value. A later value of
    another kind is refused with its path; a whole number is a text where a text is wanted."""
    await fire.ok(pb.IdentifyRequest(person=person({"shoe": text("large")}, identifiers=[who("kinds")])))
    mixed = person({"shoe": Value(boolean=True)}, identifiers=[who("kinds")])
    after = person({"city": text("Lviv")}, identifiers=[who("kinds")])
    answer = await fire.ok(pb.IngestBatchRequest(items=[as_item(mixed), as_item(after)]))
    assert [result.reason for result in answer.results] == ["WRONG_TYPE", ""]
    assert [one.path for one in answer.results[0].violations] == ["person.attributes.shoe"]
    await fire.ok(pb.IdentifyRequest(person=person({"shoe": Value(integer=44)}, identifiers=[who("kinds")])))

    async def told() -> bool:
        answer = await fire.call(profile_pb2.GetRequest(identifier=who("kinds")))
        if not answer.ok:
            return False
        attributes = {one.name: one.value.text for one in answer.response.profile.attributes}
        return attributes.get("city") == "Lviv" and attributes["shoe"] == "44"

    await eventually(told, "what came with it is there")
