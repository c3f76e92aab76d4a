"""What popup.js asks: which pop-ups to show, what was answered, which messages were shown. Bodies are JSON sent as
text/plain, so that a browser asks for no permission first."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cdp.channel.v1 import popup_pb2, popup_pb2_grpc
from cdp.facts.v1 import facts_pb2
from core.errors import Violation, invalid
from services.channel.page_door import PageDoor, asking, bearer, json_of, text_in, texts_in
from services.runtime.roles import Role
from services.runtime.scripts import Script
from services.runtime.stubs import Stubs

SCRIPT = Path(__file__).with_name("popup.js")
_TIMEOUT_S = 15.0
_MOST_FIELDS = 20
_MOST_IDS = 100
_KINDS: Mapping[int, str] = {
    popup_pb2.POPUP_FIELD_KIND_TEXT: "text",
    popup_pb2.POPUP_FIELD_KIND_EMAIL: "email",
    popup_pb2.POPUP_FIELD_KIND_PHONE: "tel",
    popup_pb2.POPUP_FIELD_KIND_NUMBER: "number",
    popup_pb2.POPUP_FIELD_KIND_DATE: "date",
    popup_pb2.POPUP_FIELD_KIND_CHOICE: "choice",
}
_PLACES: Mapping[int, str] = {popup_pb2.POPUP_PLACE_CORNER: "corner", popup_pb2.POPUP_PLACE_BAR: "bar"}


class PopupHttp:
    """GET /popup.js, POST /popups, /popups/answer and /popups/seen. Each asks the PopupService, so that any process
    answers for every workspace. `key` hides the addresses that stand in the proof of a consent."""

    def __init__(self, stubs: Stubs, door: PageDoor, key: bytes) -> None:
        self._stubs = stubs
        self._door = door
        self._key = key
        self._script = Script(SCRIPT)

    def routes(self) -> Sequence[BaseRoute]:
        """All routes."""
        ways = (("/popups", self._offer), ("/popups/answer", self._answer), ("/popups/seen", self._seen))
        routes = [Route(path, partial(self._door.answer, one), methods=["POST", "OPTIONS"]) for path, one in ways]
        script = partial(self._door.answer, self._script.answer)
        return [Route("/popup.js", script, methods=["GET", "OPTIONS"]), *routes]

    async def _offer(self, request: Request) -> Response:
        document = await json_of(request)
        workspace, visitor = await self._visitor(request, document)
        path = text_in(document, "path") or "/"
        with asking():
            answer = await self._popups().OfferPopups(
                popup_pb2.OfferPopupsRequest(visitor=visitor, path=path),
                metadata=self._stubs.internal_metadata(workspace),
                timeout=_TIMEOUT_S,
            )
        return JSONResponse(
            {
                "popups": [_popup(one) for one in answer.popups],
                "messages": [_message(one) for one in answer.messages],
                "again": answer.stranger,
            }
        )

    async def _answer(self, request: Request) -> Response:
        document = await json_of(request)
        workspace, visitor = await self._visitor(request, document)
        asked = popup_pb2.AnswerPopupRequest(
            visitor=visitor,
            popup=text_in(document, "popup", 200),
            version=_number_in(document, "version"),
            answer_id=text_in(document, "id", 100),
            fields=_fields_in(document),
            consents=_boxes_in(document),
            url=text_in(document, "url", 2_000),
            proof=self._proof(request),
        )
        with asking():
            answer = await self._popups().AnswerPopup(
                asked, metadata=self._stubs.internal_metadata(workspace), timeout=_TIMEOUT_S
            )
        told = {
            "success": True,
            "thanks": answer.thanks,
            "coupon": answer.coupon,
            "coupon_expires_at_us": answer.coupon_expires_at_us,
        }
        return JSONResponse(_filled(told))

    async def _seen(self, request: Request) -> Response:
        document = await json_of(request)
        workspace, visitor = await self._visitor(request, document)
        ids = texts_in(document, "ids", _MOST_IDS)
        with asking():
            await self._popups().MarkPopupMessages(
                popup_pb2.MarkPopupMessagesRequest(visitor=visitor, ids=ids),
                metadata=self._stubs.internal_metadata(workspace),
                timeout=_TIMEOUT_S,
            )
        return JSONResponse({"success": True})

    async def _visitor(self, request: Request, document: Mapping[str, object]) -> tuple[str, facts_pb2.Identifier]:
        """The workspace and who asks: by a browser's key and the tracker's visitor, or by an app's token."""
        token = text_in(document, "contactToken")
        if token:
            reader = self._door.reader(request, token)
            return reader.workspace, facts_pb2.Identifier(kind="contact_key", value=reader.contact_key)
        caller = await self._door.page_caller(request, text_in(document, "writeKey") or bearer(request))
        visitor = text_in(document, "anonymousId", 200)
        if not visitor:
            what = "is needed: the tracker's visitor, who has agreed to be known"
            raise invalid("NO_IDENTIFIER", f"anonymousId: {what}", Violation("anonymousId", what))
        return caller.workspace.id, facts_pb2.Identifier(kind="anonymous_id", value=visitor)

    def _proof(self, request: Request) -> str:
        """The sender's address under a key: it can be compared, and not be read."""
        host = request.client.host if request.client is not None else ""
        return "ip:" + hmac.new(self._key, b"cdp consent\0" + host.encode(), sha256).hexdigest()[:16]

    def _popups(self) -> popup_pb2_grpc.PopupServiceStub:
        return popup_pb2_grpc.PopupServiceStub(self._stubs.channel_of(Role.CHANNEL))


def _popup(one: popup_pb2.Popup) -> dict[str, object]:
    """What a page needs to know; whose segment, which lists and which pool is no page's affair."""
    rules, style = one.rules, one.style
    return _filled(
        {
            "name": one.revision.name,
            "version": one.revision.version,
            "title": one.title,
            "text": one.text,
            "image": one.image_url,
            "fields": [
                _filled(
                    {
                        "name": field.name,
                        "label": field.label,
                        "kind": _KINDS[field.kind],
                        "required": field.required,
                        "options": [[option.value, option.label or option.value] for option in field.options],
                    }
                )
                for field in one.fields
            ],
            "consents": [_filled({"text": box.text, "required": box.required}) for box in one.consents],
            "button": one.button,
            "url": one.button_url,
            "close": one.close_label,
            "mistake": one.mistake,
            "place": _PLACES.get(style.place, ""),
            "colours": [style.background, style.colour, style.accent, style.accent_colour],
            "after": rules.after_s,
            "scroll": rules.scroll_percent,
            "exit": rules.exit_intent,
            "days": rules.every_days,
        }
    )


def _message(one: popup_pb2.PopupMessage) -> dict[str, object]:
    told = {"id": one.id, "title": one.title, "text": one.text, "url": one.url, "image": one.image_url}
    return _filled(told)


def _filled(told: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in told.items() if value}


def _number_in(document: Mapping[str, object], name: str) -> int:
    told = document.get(name, 0)
    if type(told) is not int or not 0 <= told < 2**32:
        what = "is a whole number"
        raise invalid("BAD_BODY", f"{name}: {what}", Violation(name, what))
    return told


def _fields_in(document: Mapping[str, object]) -> dict[str, str]:
    told = document.get("fields", {})
    if not isinstance(told, Mapping) or len(told) > _MOST_FIELDS:
        what = f"is an object of at most {_MOST_FIELDS} texts"
        raise invalid("BAD_BODY", f"fields: {what}", Violation("fields", what))
    return {text_in({"name": name}, "name", 100): text_in(told, name) for name in told}


def _boxes_in(document: Mapping[str, object]) -> list[int]:
    told = document.get("consents", [])
    if not isinstance(told, list) or len(told) > _MOST_FIELDS:
        what = "is a list of the boxes that were ticked"
        raise invalid("BAD_BODY", f"consents: {what}", Violation("consents", what))
    return [_number_in({"consents": one}, "consents") for one in told]
