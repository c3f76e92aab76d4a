"""The inbox and pop-ups through the real services: who may read, what is told, what an answer brings."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import httpx2
import pytest
import pytest_asyncio

from cdp.channel.v1 import channel_pb2, channel_pb2_grpc, inbox_pb2, inbox_pb2_grpc, popup_pb2, popup_pb2_grpc
from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.segment.v1 import segment_pb2, segment_pb2_grpc
from core.clock import DAY_US, SECOND_US, ManualClock
from core.delivery.inbox_tokens import InboxReader, sign_reader
from core.eventlog.protocol import Partition
from services.demo.client import again
from services.runtime.roles import Role
from tests.flow.platform import Platform, eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"


def who(kind: str, value: str) -> facts_pb2.Identifier:
    return facts_pb2.Identifier(kind=kind, value=value)


class House:
    """A running platform and its clients."""

    def __init__(self, platform: Platform, channel: grpc.aio.Channel, http: httpx2.AsyncClient) -> None:
        self.platform = platform
        self.http = http
        self.metadata = platform.metadata
        self.ingest = ingest_pb2_grpc.IngestServiceStub(channel)
        self.profiles = profile_pb2_grpc.ProfileServiceStub(channel)
        self.channels = channel_pb2_grpc.ChannelServiceStub(channel)
        self.inboxes = inbox_pb2_grpc.InboxServiceStub(channel)
        self.popups = popup_pb2_grpc.PopupServiceStub(channel)
        self.segments = segment_pb2_grpc.SegmentServiceStub(channel)
        self.coupons = coupon_pb2_grpc.CouponServiceStub(channel)

    async def ask(self, method: Any, request: Any) -> Any:
        """The answer, asked again while the service is not there yet."""
        return await again(lambda: method(request, metadata=self.metadata))

    async def identify(self, *identifiers: facts_pb2.Identifier, **fields: Any) -> profile_pb2.Profile:
        """Tell of a person, and their profile with it."""
        person = ingest_pb2.Person(identifiers=identifiers, **fields)
        told = await self.ask(self.ingest.Identify, ingest_pb2.IdentifyRequest(person=person))
        waiting = profile_pb2.BatchGetRequest(contacts=[1], min_upstream_position=told.position)
        await self.ask(self.profiles.BatchGet, waiting)
        asked = profile_pb2.GetRequest(identifier=identifiers[0], timeline_size=-1)
        found: profile_pb2.Profile = (await self.ask(self.profiles.Get, asked)).profile
        return found

    async def types(self, identifier: facts_pb2.Identifier) -> list[str]:
        """The types of somebody's events, the newest first; none for nobody."""
        asked = profile_pb2.GetRequest(identifier=identifier, timeline_size=200)
        try:
            return [event.type for event in (await self.ask(self.profiles.Get, asked)).timeline]
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND
            return []

    async def send(self, message_id: str, contact: int, channel: str = "inbox") -> None:
        """Hand a message over and wait until it is sent."""
        message = channel_pb2.OutgoingMessage(
            id=message_id, contact=contact, channel=channel, template=f"{channel}-note", kind="promo", scenario="s"
        )
        message.values["name"].text = message_id.upper()
        answer = await self.ask(self.channels.Send, channel_pb2.SendRequest(messages=[message]))
        assert [one.reason for one in answer.results] == [""]

        async def sent() -> bool:
            found = await self.ask(self.channels.GetMessage, channel_pb2.GetMessageRequest(id=message_id))
            assert found.message.state != channel_pb2.MESSAGE_STATE_REFUSED, found.message.reason
            return bool(found.message.state == channel_pb2.MESSAGE_STATE_ACCEPTED)

        await eventually(sent, f"{message_id} is sent")

    async def post(self, path: str, document: Any, token: str = "", **headers: str) -> httpx2.Response:
        """A call of a page, asked again while it is put off."""
        sent = {"content-type": "text/plain", "user-agent": CHROME, **headers}
        if token:
            sent["authorization"] = f"Bearer {token}"

        answers: list[httpx2.Response] = []

        async def answered() -> bool:
            answers.append(await self.http.post(path, content=json.dumps(document), headers=sent))
            return answers[-1].status_code != 429

        await eventually(answered, f"{path} answers")
        return answers[-1]

    async def inbox(self, token: str, query: str = "") -> Any:
        """GET /inbox."""
        answer = await self.http.get(f"/inbox{query}", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def token(self, identifier: facts_pb2.Identifier) -> str:
        """What the shop's server asks for."""
        asked = inbox_pb2.IssueInboxTokenRequest(identifier=identifier)
        return str((await self.ask(self.inboxes.IssueInboxToken, asked)).token)

    async def stored(self) -> list[bytes]:
        """The contact keys that hold anything."""
        bucket = self.platform.host(Role.CHANNEL).runtime.workspaces.get("dev").bucket
        return [key async for key, _ in self.platform.log.scan(Partition("channel", "dev", bucket), "inbox")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with (
        Platform(tmp_path_factory.mktemp("data"), ManualClock(START_US)) as platform,
        platform.channel(Role.CHANNEL) as channel,
        httpx2.AsyncClient(base_url=platform.http_url(Role.CHANNEL), timeout=30.0) as http,
    ):
        made = House(platform, channel, http)
        for name in ("inbox", "popup"):
            template = channel_pb2.Template(
                channel=name, subject="For {{ name }}", body_text="Tea & cake", url="https://shop.example/{{ name }}"
            )
            await made.ask(
                made.channels.SaveTemplate, channel_pb2.SaveTemplateRequest(name=f"{name}-note", template=template)
            )
        settings = channel_pb2.UpdateSettingsRequest(settings=channel_pb2.Settings(live=True))
        await made.ask(made.channels.UpdateSettings, settings)
        yield made


async def test_an_inbox_is_read_by_its_own_token_alone(house: House) -> None:
    ann = await house.identify(who("external_id", "ann"), who("email", "ann@shop.example"))
    bob = await house.identify(who("email", "bob@shop.example"))
    await house.send("a1", ann.contact)
    await house.send("b1", bob.contact)
    token = await house.token(who("external_id", "ann"))
    told = await house.inbox(token)
    assert [(one["id"], one["title"], one["body"]) for one in told["items"]] == [("a1", "For A1", "Tea & cake")]
    assert told["unread"] == 1

    clock = house.platform.clock
    key = house.platform.host(Role.CHANNEL).runtime.settings.tracking_key
    ended = sign_reader(key, InboxReader("dev", ann.key), clock.now_us())
    strange = sign_reader(key, InboxReader("another", ann.key), clock.now_us() + DAY_US)
    for bad in ("", house.platform.key, ended, token[:-3] + "AAA"):
        answer = await house.http.get("/inbox", headers={"authorization": f"Bearer {bad}"} if bad else {})
        assert answer.status_code == 401, (bad, answer.text)
    assert (await house.http.get("/inbox", headers={"authorization": f"Bearer {strange}"})).status_code == 404
    with pytest.raises(grpc.aio.AioRpcError, match="no such contact"):
        await house.token(who("external_id", "nobody"))
    preflight = await house.http.options("/inbox", headers={"origin": "https://shop.example"})
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert "authorization" in preflight.headers["access-control-allow-headers"]

    headers = {"authorization": f"Bearer {token}", "user-agent": CHROME}
    async with house.http.stream("GET", "/inbox/live", headers=headers) as live:
        lines = live.aiter_lines()

        async def event() -> Any:
            async for line in lines:
                if line.startswith("data: "):
                    return json.loads(line.removeprefix("data: "))
            raise AssertionError("the stream ended")

        assert [one["id"] for one in (await event())["items"]] == ["a1"]
        await house.send("a2", ann.contact)
        fresh = await event()
        assert ([one["id"] for one in fresh["items"]], fresh["unread"]) == (["a2"], 2)
        assert (await house.post("/inbox/read", {"ids": ["a2", "b1"]}, token)).json()["unread"] == 1
        read = await event()
        assert [(one["id"], one["read_at_us"]) for one in read["items"]] == [("a2", clock.now_us())]
        assert (await house.post("/inbox/delete", {"ids": ["a2"]}, token)).json()["unread"] == 1
        assert (await event())["gone"] == ["a2"]
    await house.post("/inbox/read", {"all": True}, token)
    await house.post("/inbox/read", {"all": True}, token)
    assert (await house.post("/inbox/read", {"ids": []}, token)).json()["reason"] == "BAD_BODY"

    [item] = told["items"]
    followed = await house.http.get(item["url"], headers={"user-agent": CHROME}, follow_redirects=False)
    assert (followed.status_code, followed.headers["location"]) == (302, "https://shop.example/A1")

    async def activity() -> bool:
        types = await house.types(who("external_id", "ann"))
        return [types.count(f"message_{one}") for one in ("sent", "opened", "clicked")] == [2, 2, 1]

    await eventually(activity, "what Ann did with her messages is told, each once")

    # Two who turn out to be one person have one inbox; its pages follow each other.
    await house.identify(who("external_id", "ann"), who("email", "bob@shop.example"))

    clock.advance(SECOND_US)
    await house.send("a3", ann.contact)
    first = await house.inbox(token, "?page_size=2")
    rest = await house.inbox(token, f"?page_size=2&page_token={first['next_page_token']}")
    ids = [one["id"] for one in (*first["items"], *rest["items"])]
    assert (ids[0], sorted(ids), "next_page_token" in rest) == ("a3", ["a1", "a3", "b1"], False)
    assert (await house.http.get("/inbox?page_size=x", headers=headers)).status_code == 400

    # An app shows what waits for its person by the same token.
    await house.send("p0", ann.contact, "popup")
    app = {"contactToken": token}
    assert [one["id"] for one in (await house.post("/popups", app)).json()["messages"]] == ["p0"]
    assert (await house.post("/popups/seen", {**app, "ids": ["p0"]})).status_code == 200
    assert (await house.post("/popups", app)).json()["messages"] == []
    ask = popup_pb2.Popup(title="Well?", button="Send")
    ask.fields.add(name="stars", label="Stars", kind=popup_pb2.POPUP_FIELD_KIND_NUMBER, attribute="stars")
    await house.ask(house.popups.SavePopup, popup_pb2.SavePopupRequest(name="stars", popup=ask))
    answered = await house.post("/popups/answer", {**app, "popup": "stars", "id": "1", "fields": {"stars": "5"}})
    assert answered.json() == {"success": True}
    await house.ask(house.popups.DeletePopup, popup_pb2.DeletePopupRequest(name="stars"))

    async def starred() -> bool:
        asked = profile_pb2.GetRequest(key=ann.key, timeline_size=-1)
        found = (await house.ask(house.profiles.Get, asked)).profile
        return {one.name: one.value.integer for one in found.attributes}.get("stars") == 5

    await eventually(starred, "what an app's person answers is theirs")

    told_lines = house.profiles.Export(profile_pb2.ExportRequest(key=ann.key), metadata=house.metadata)
    whole = b"".join([part.lines async for part in told_lines])
    exported = [json.loads(line) for line in whole.splitlines()]
    held = [one["of"]["id"] for one in exported if one["what"] == "inbox_item"]
    assert sorted(held) == ["a1", "a3", "b1"], "what is held of a person is exported"
    assert [one["of"]["id"] for one in exported if one["what"] == "popup_item"] == ["p0"]
    await house.ask(
        house.profiles.Erase, profile_pb2.EraseRequest(identifier=who("external_id", "ann"), reason="asked")
    )

    async def erased() -> bool:
        house.platform.clock.advance(SECOND_US)
        return await house.stored() == []

    await eventually(erased, "nothing is left of an erased person's inbox", 60.0)
    assert (await house.http.get("/inbox", headers=headers)).status_code == 404


def lead() -> popup_pb2.Popup:
    """N18: a visitor whom nobody knows chooses, and holds a coupon before the first letter."""
    popup = popup_pb2.Popup(title="Tea or coffee?", text="10 % off.", button="Get it", thanks="Here it is:")
    popup.fields.add(
        name="drink", label="I like", kind=popup_pb2.POPUP_FIELD_KIND_CHOICE, required=True, attribute="favourite_drink"
    ).options.extend([popup_pb2.PopupOption(value="tea", list="tea lovers"), popup_pb2.PopupOption(value="coffee")])
    popup.fields.add(name="email", label="Email", kind=popup_pb2.POPUP_FIELD_KIND_EMAIL)
    popup.consents.add(channel="email", text="Yes, write to me")
    popup.coupon_pool = "welcome"
    popup.rules.not_paths.append("/cart")
    return popup


async def refusal(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return str(caught.value.details())


async def test_a_visitor_answers_and_holds_a_coupon_before_the_first_letter(house: House) -> None:
    pool = coupon_pb2.Pool(name="welcome", pattern="HI-######", for_forms=True)
    await house.ask(house.coupons.SavePool, coupon_pb2.SavePoolRequest(pool=pool))
    await house.ask(
        house.coupons.SavePool, coupon_pb2.SavePoolRequest(pool=coupon_pb2.Pool(name="own", pattern="X######"))
    )
    saved = await house.ask(house.popups.SavePopup, popup_pb2.SavePopupRequest(name="lead", popup=lead()))
    assert saved.popup.revision.version == 1
    for field, value in (("coupon_pool", "own"), ("coupon_pool", "none"), ("segment", "none")):
        wrong = lead()
        setattr(wrong, field, value)
        told = await refusal(house.ask(house.popups.SavePopup, popup_pb2.SavePopupRequest(name="x", popup=wrong)))
        assert f"popup.{field}" in told
    other = lead()
    other.fields[0].kind = popup_pb2.POPUP_FIELD_KIND_DATE
    other.fields[0].ClearField("options")
    told = await refusal(house.ask(house.popups.SavePopup, popup_pb2.SavePopupRequest(name="x", popup=other)))
    assert "popup.fields[0].name" in told, "the first pop-up has made it a text"
    assert "popup.fields[0].attribute" in told
    other.fields[0].kind = popup_pb2.POPUP_FIELD_KIND_NUMBER
    fits = popup_pb2.SavePopupRequest(name="number", popup=other)
    fits.popup.disabled = True
    await house.ask(house.popups.SavePopup, fits)
    await house.ask(house.popups.DeletePopup, popup_pb2.DeletePopupRequest(name="number"))
    rule = segment_pb2.RuleSource(text="among anonymous contacts: did page_viewed")
    await house.ask(house.segments.SaveSegment, segment_pb2.SaveSegmentRequest(name="lookers", rule=rule))
    second = popup_pb2.Popup(title="You looked", segment="lookers", button="More", button_url="/more", priority=5)
    await house.ask(house.popups.SavePopup, popup_pb2.SavePopupRequest(name="second", popup=second))

    me = {"writeKey": house.platform.key, "anonymousId": "cookie-1234567"}
    asked = {**me, "path": "/tea"}
    offered = (await house.post("/popups", asked, origin="https://shop.example")).json()
    assert ([one["name"] for one in offered["popups"]], offered["again"]) == (["lead"], True)
    assert not {"lists", "segment", "coupon_pool"} & set(offered["popups"][0])
    assert "welcome" not in str(offered)
    assert (await house.post("/popups", {**me, "path": "/cart"})).json()["popups"] == []

    page = ingest_pb2.Event(type="page_viewed", identifiers=[who("anonymous_id", "cookie-1234567")])
    await house.ask(house.ingest.Track, ingest_pb2.TrackRequest(event=page))

    async def looked() -> bool:
        told = (await house.post("/popups", asked)).json()
        return [one["name"] for one in told["popups"]] == ["lead", "second"] and not told["again"]

    await eventually(looked, "the visitor's segment decides")

    wrong_answer = await house.post("/popups/answer", {**me, "popup": "lead", "id": "1", "fields": {"drink": "milk"}})
    assert wrong_answer.status_code == 400
    assert [one["path"] for one in wrong_answer.json()["violations"]] == ["fields.drink"]
    fields = {"drink": "tea", "email": "zoe@shop.example"}
    answer = {**me, "popup": "lead", "version": 1, "id": "1", "fields": fields, "consents": [0], "url": "https://s.ex/"}
    told = (await house.post("/popups/answer", answer)).json()
    assert told["thanks"] == "Here it is:"
    assert told["coupon"].startswith("HI-")
    again_told = (await house.post("/popups/answer", answer)).json()
    other = (await house.post("/popups/answer", {**answer, "id": "2"})).json()
    assert {again_told["coupon"], other["coupon"]} == {told["coupon"]}

    spare = lead()
    spare.ClearField("rules")
    await house.ask(house.popups.SavePopup, popup_pb2.SavePopupRequest(name="spare", popup=spare))
    more = await house.post("/popups/answer", {**answer, "popup": "spare", "consents": []})
    assert more.json() == {"success": True, "thanks": "Here it is:"}, "the pool gives one to each person"
    await house.ask(house.popups.DeletePopup, popup_pb2.DeletePopupRequest(name="spare"))

    zoe = who("email", "zoe@shop.example")

    async def known() -> bool:
        types = await house.types(zoe)
        return (types.count("popup_answered"), types.count("coupon_issued")) == (3, 1)

    await eventually(known, "what the visitor answered is Zoe's")
    profile = (await house.ask(house.profiles.Get, profile_pb2.GetRequest(identifier=zoe))).profile
    [consent] = profile.consents
    assert (consent.channel, consent.state, consent.source) == ("email", "granted", "popup:lead")
    assert consent.proof.startswith('"Yes, write to me" https://s.ex/ ip:')
    assert list(profile.lists) == ["tea lovers"]
    assert {one.name: one.value.text for one in profile.attributes}["favourite_drink"] == "tea"
    count = segment_pb2.EvaluateRequest(
        rule=segment_pb2.RuleSource(text='did popup_answered (popup = "lead" and answer_drink = "tea")')
    )

    async def leads() -> bool:
        return bool((await house.ask(house.segments.Evaluate, count)).count.total == 1)

    await eventually(leads, "leads are counted by their events")

    # A message of a scenario waits for its person and is shown once.
    await house.send("p1", profile.contact, "popup")
    shown = (await house.post("/popups", asked)).json()["messages"]
    assert [(one["id"], one["title"]) for one in shown] == [("p1", "For P1")]
    await house.post("/popups/seen", {**me, "ids": ["p1"]})
    await house.post("/popups/seen", {**me, "anonymousId": "somebody-else", "ids": ["p1"]})
    assert (await house.post("/popups", asked)).json()["messages"] == []

    async def seen() -> bool:
        return (await house.types(zoe)).count("message_opened") == 1

    await eventually(seen, "that it was seen is told")

    listed = await house.ask(house.popups.ListPopups, popup_pb2.ListPopupsRequest())
    assert [one.revision.name for one in listed.popups] == ["lead", "second"]
    await house.ask(house.popups.DeletePopup, popup_pb2.DeletePopupRequest(name="lead"))
    gone = await house.post("/popups/answer", {**answer, "id": "3"})
    assert (gone.status_code, gone.json()["reason"]) == (404, "NO_SUCH_POPUP")


async def test_who_may_ask(house: House) -> None:
    for body, status in (
        ({}, 401),
        ({"writeKey": "cdp_nothing", "anonymousId": "a"}, 401),
        ({"writeKey": house.platform.key}, 400),
        ({"writeKey": house.platform.key, "anonymousId": 7}, 400),
        ({"contactToken": "x"}, 401),
        ([], 400),
    ):
        assert (await house.post("/popups", body)).status_code == status, body
    large = {"writeKey": house.platform.key, "anonymousId": "a", "path": "x" * 40_000}
    assert (await house.post("/popups", large)).json()["reason"] == "BODY_TOO_LARGE"
    script = await house.http.get("/popup.js", headers={"accept-encoding": "gzip"})
    assert (script.status_code, script.headers["content-encoding"]) == (200, "gzip")
    same = await house.http.get("/popup.js", headers={"if-none-match": script.headers["etag"]})
    assert same.status_code == 304
