"""What a pop-up may be, on which pages it fits, and what an answer to it says."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from cdp.channel.v1 import popup_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.delivery.decision import Brakes
from core.errors import CdpError
from services.channel.popups.answers import checked, event_of, person_of
from services.channel.popups.check import check_popup
from services.channel.popups.http import SCRIPT
from services.channel.popups.offers import fits, may_read, may_see

NOW_US = 1_800_000_000_000_000
TEXT, EMAIL, PHONE, NUMBER, DATE, CHOICE = (
    popup_pb2.POPUP_FIELD_KIND_TEXT,
    popup_pb2.POPUP_FIELD_KIND_EMAIL,
    popup_pb2.POPUP_FIELD_KIND_PHONE,
    popup_pb2.POPUP_FIELD_KIND_NUMBER,
    popup_pb2.POPUP_FIELD_KIND_DATE,
    popup_pb2.POPUP_FIELD_KIND_CHOICE,
)
VISITOR = facts_pb2.Identifier(kind="anonymous_id", value="cookie-1")


def tea() -> popup_pb2.Popup:
    """A pop-up with everything in it."""
    popup = popup_pb2.Popup(title="Tea or coffee?", text="Tell us.\n\nGet 10 %.", button="Send", thanks="Thank you!")
    fields = popup.fields
    fields.add(name="drink", label="You like", kind=CHOICE, required=True, attribute="favourite_drink").options.extend(
        [popup_pb2.PopupOption(value="tea", list="tea lovers"), popup_pb2.PopupOption(value="coffee", label="Coffee!")]
    )
    fields.add(name="email", label="Email", kind=EMAIL)
    fields.add(name="cups", label="Cups a day", kind=NUMBER, attribute="cups")
    fields.add(name="birthday", label="Birthday", kind=DATE, attribute="birth_date")
    fields.add(name="phone", label="Phone", kind=PHONE)
    fields.add(name="note", label="Anything else", kind=TEXT)
    popup.consents.add(channel="email", text="Yes, write to me")
    popup.consents.add(channel="sms", category="news", text="And by SMS", double_opt_in=True)
    popup.lists.append("visitors")
    popup.revision.name, popup.revision.version = "tea", 3
    return popup


def wrong(change: Callable[[popup_pb2.Popup], object], name: str = "tea") -> list[str]:
    """The fields that are refused after `change`."""
    popup = tea()
    change(popup)
    with pytest.raises(CdpError) as caught:
        check_popup(name, popup)
    assert caught.value.reason == "BAD_POPUP"
    return [one.path for one in caught.value.violations]


def test_a_good_one_passes() -> None:
    check_popup("tea", tea())
    check_popup("a", popup_pb2.Popup(title="Sale", button="Look", button_url="/sale?x=1"))
    check_popup("a", popup_pb2.Popup(title="Sale", button="Look", button_url="https://shop.example/sale"))
    check_popup("a", popup_pb2.Popup(title="Only to read", image_url="https://shop.example/a.png"))


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("popup.title", lambda p: p.ClearField("title")),
        ("popup.title", lambda p: setattr(p, "title", "  ")),
        ("popup.title", lambda p: setattr(p, "title", "a\u202eb")),
        ("popup.text", lambda p: setattr(p, "text", "x" * 2_001)),
        ("popup.button", lambda p: p.ClearField("button")),
        ("popup.button_url", lambda p: setattr(p, "button_url", "/a")),
        ("popup.image_url", lambda p: setattr(p, "image_url", "http://shop.example/a.png")),
        ("popup.image_url", lambda p: setattr(p, "image_url", "javascript:alert(1)")),
        ("popup.image_url", lambda p: setattr(p, "image_url", "https://")),
        ("popup.fields[0].name", lambda p: setattr(p.fields[0], "name", "a b")),
        ("popup.fields[1].name", lambda p: setattr(p.fields[1], "name", "drink")),
        ("popup.fields[1].kind", lambda p: setattr(p.fields[1], "kind", 0)),
        ("popup.fields[4].kind", lambda p: setattr(p.fields[4], "kind", EMAIL)),
        ("popup.fields[0].options", lambda p: p.fields[0].ClearField("options")),
        ("popup.fields[0].options[1].value", lambda p: setattr(p.fields[0].options[1], "value", "tea")),
        ("popup.fields[0].options[0].list[0]", lambda p: setattr(p.fields[0].options[0], "list", "a\nb")),
        ("popup.fields[1].options", lambda p: p.fields[1].options.add(value="a")),
        ("popup.fields[2].label", lambda p: p.fields[2].ClearField("label")),
        ("popup.fields[2].attribute", lambda p: setattr(p.fields[2], "attribute", "a" * 200)),
        ("popup.fields[2].attribute", lambda p: setattr(p.fields[2], "attribute", "email")),
        ("popup.consents[0].channel", lambda p: setattr(p.consents[0], "channel", "pigeon")),
        ("popup.consents[1].category", lambda p: setattr(p.consents[1], "category", "a b")),
        ("popup.consents[0].text", lambda p: p.consents[0].ClearField("text")),
        ("popup.lists[0]", lambda p: p.lists.__setitem__(0, "")),
        ("popup.style.accent", lambda p: setattr(p.style, "accent", "red;x:url(//a)")),
        ("popup.style.place", lambda p: setattr(p.style, "place", 9)),
        ("popup.rules.scroll_percent", lambda p: setattr(p.rules, "scroll_percent", 101)),
        ("popup.rules.paths[0]", lambda p: p.rules.paths.append("tea")),
        ("popup.fields", lambda p: [p.fields.add(name=f"n{i}", label="n", kind=TEXT) for i in range(9)]),
        ("popup.fields", lambda p: (p.ClearField("fields"), p.ClearField("consents"))),
    ],
)
def test_what_is_refused(path: str, change: Callable[[popup_pb2.Popup], object]) -> None:
    assert wrong(change) == [path]


@pytest.mark.parametrize(
    "url", ["//evil.example", "javascript:alert(1)", "a b", "/\\evil.example", "https://[::1", "x"]
)
def test_a_button_leads_to_no_strange_place(url: str) -> None:
    with pytest.raises(CdpError, match="button_url"):
        check_popup("a", popup_pb2.Popup(title="Sale", button="Look", button_url=url))


def test_every_mistake_is_named_at_once() -> None:
    popup = popup_pb2.Popup(image_url="x", segment="\0")
    with pytest.raises(CdpError) as caught:
        check_popup("a/b", popup)
    assert [one.path for one in caught.value.violations] == ["name", "popup.segment", "popup.title", "popup.image_url"]


def test_pages_by_their_path() -> None:
    popup = popup_pb2.Popup()
    assert fits(popup, "/anything")
    popup.rules.paths.extend(["/tea", "/cups/"])
    popup.rules.not_paths.append("/tea/sold-out")
    assert [fits(popup, path) for path in ("/tea", "/tea/green", "/tea/sold-out/1", "/cups", "/")] == [
        *(True, True, False, False, False)
    ]


def test_the_brakes_hold() -> None:
    ann = profile_pb2.Profile(key="a", identifiers=[facts_pb2.Identifier(kind="email", value="ann@shop.example")])
    nobody = profile_pb2.Profile()
    assert may_see(Brakes(live=True), nobody)
    assert not may_see(Brakes(("popup",), live=True), ann)
    assert not may_see(Brakes(("*",), live=True), ann)
    assert may_see(Brakes(("email",), live=True), ann)
    assert not may_see(Brakes(), ann)
    testers = Brakes(allowed_recipients=("@shop.example",))
    assert (may_see(testers, ann), may_see(testers, nobody)) == (True, False)


def test_messages_that_wait_are_not_shown_to_who_said_no() -> None:
    def said(state: str, channel: str = "popup", category: str = "") -> profile_pb2.Profile:
        consent = profile_pb2.Consent(channel=channel, category=category, state=state)
        return profile_pb2.Profile(key="a", consents=[consent])

    assert may_read(profile_pb2.Profile(key="a"))
    assert [may_read(said(one)) for one in ("granted", "unconfirmed", "denied", "suppressed")] == [
        *(True, True, False, False)
    ]
    assert may_read(said("denied", channel="inbox")) and may_read(said("denied", category="news"))


def asked(**fields: str) -> popup_pb2.AnswerPopupRequest:
    return popup_pb2.AnswerPopupRequest(
        visitor=VISITOR,
        popup="tea",
        version=3,
        answer_id="a1",
        fields=fields,
        url="https://shop.example/",
        proof="ip:1",
    )


def test_an_answer_becomes_facts() -> None:
    request = asked(drink="tea", email=" Ann@Example.com ", cups="4", birthday="1990-02-28", phone="", note="")
    popup = tea()
    answer = checked(popup, request.fields, [1, 0])
    person = person_of(popup, request, answer, NOW_US)
    assert person is not None
    assert dict(person.attributes.items()) == {
        "favourite_drink": facts_pb2.Value(text="tea"),
        "email": facts_pb2.Value(text="Ann@Example.com"),
        "cups": facts_pb2.Value(integer=4),
        "birth_date": facts_pb2.Value(date_days=7363),
    }
    assert [(one.list, one.member) for one in person.lists] == [("visitors", True), ("tea lovers", True)]
    told = [(one.channel, one.category, one.state, one.source, one.proof) for one in person.consents]
    assert told == [
        ("email", "", "granted", "popup:tea", '"Yes, write to me" https://shop.example/ ip:1'),
        ("sms", "news", "unconfirmed", "popup:tea", '"And by SMS" https://shop.example/ ip:1'),
    ]
    event = event_of(popup, request, answer, NOW_US)
    assert (event.type, list(event.identifiers)) == ("popup_answered", [VISITOR])
    assert dict(event.params.items()) == {
        "popup": facts_pb2.Value(text="tea"),
        "popup_version": facts_pb2.Value(integer=3),
        "url": facts_pb2.Value(text="https://shop.example/"),
        "answer_drink": facts_pb2.Value(text="tea"),
        "answer_cups": facts_pb2.Value(integer=4),
        "answer_birthday": facts_pb2.Value(date_days=7363),
    }
    assert "ann@example" not in str(event).lower()
    again = asked(drink="coffee")
    assert event_of(popup, again, checked(popup, again.fields, []), NOW_US).message_id == event.message_id
    other = asked(drink="coffee")
    other.answer_id = "a2"
    assert event_of(popup, other, checked(popup, other.fields, []), NOW_US).message_id != event.message_id


def test_an_answer_without_anything_about_the_person_is_an_event_alone() -> None:
    popup = popup_pb2.Popup(title="Why?", button="Send")
    popup.fields.add(name="why", label="Why?", kind=TEXT)
    request = asked(why="because")
    assert person_of(popup, request, checked(popup, request.fields, []), NOW_US) is None


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({}, ["fields.drink"]),
        ({"drink": "water"}, ["fields.drink"]),
        ({"drink": "tea", "email": "ann"}, ["fields.email"]),
        ({"drink": "tea", "email": "a@b@c.example"}, ["fields.email"]),
        ({"drink": "tea", "cups": "1.5"}, ["fields.cups"]),
        ({"drink": "tea", "cups": "٣"}, ["fields.cups"]),
        ({"drink": "tea", "birthday": "2026-02-30"}, ["fields.birthday"]),
        ({"drink": "tea", "birthday": "20260228"}, ["fields.birthday"]),
        ({"drink": "tea", "phone": "call me"}, ["fields.phone"]),
        ({"drink": "tea", "note": "x" * 501}, ["fields.note"]),
        ({"drink": "tea", "note": "\ud800"}, ["fields.note"]),
        ({"drink": "tea", "colour": "red"}, ["fields"]),
    ],
)
def test_a_wrong_answer_names_its_field(fields: dict[str, str], paths: list[str]) -> None:
    with pytest.raises(CdpError) as caught:
        checked(tea(), fields, [])
    assert (caught.value.reason, [one.path for one in caught.value.violations]) == ("BAD_ANSWER", paths)


def test_boxes() -> None:
    popup = popup_pb2.Popup(title="News?", button="Yes")
    popup.consents.add(channel="email", text="Yes", required=True)
    assert checked(popup, {}, [0, 0]).ticked == (0,)
    for ticked, path in (([], "consents[0]"), ([0, 1], "consents")):
        with pytest.raises(CdpError) as caught:
            checked(popup, {}, ticked)
        assert [one.path for one in caught.value.violations] == [path]
    popup.consents[0].required = False
    with pytest.raises(CdpError, match="nothing is answered"):
        checked(popup, {}, [])


def test_the_script_is_small_and_puts_texts_in_as_text() -> None:
    source = SCRIPT.read_bytes()
    assert len(gzip.compress(source, 9)) <= 6 << 10
    for word in (b"innerHTML", b"insertAdjacent", b"import ", b"require(", b"eval(", b"document.write", b"srcdoc"):
        assert word not in source
