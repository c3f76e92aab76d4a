"""POST /t/push: a browser's subscription to web pushes, as services/channel/push/subscribe.js and sw.js tell it.

    {writeKey, subscription: {endpoint, keys: {p256dh, auth}}, agreed, gone, replaces, page, anonymousId, linkToken,
     contactToken, messageId}

It becomes an identifier of the visitor (core.identity.push_tokens) and consents: with `agreed` the person has just said
yes in the browser, so the channel is granted, with the page as proof. Without it only the device is told of: a later
visit never lifts a refusal. `gone` takes the device back, and no other; `replaces` is a subscription that the browser
has given up for this one.

Whose it is says the visitor's cookie, or a signed token: of a click in a message (`linkToken`), or of the shop's server
for who has logged in (`contactToken`, core.delivery.inbox_tokens). An id that a page could claim for anybody is not
asked for: pushes are shown to whoever holds the device.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.clock import Clock
from core.delivery.inbox_tokens import reader_of
from core.delivery.links import is_destination
from core.delivery.visits import visitor_of
from core.errors import CdpError, Code, Violation, invalid
from core.events.checks import is_plain_text
from core.events.persons import Consent, RawPerson
from core.events.validate import Report
from core.identity.push_tokens import WEB_PUSH, device_category, web_token
from core.identity.rules import ANONYMOUS_ID, CONTACT_KEY, PUSH_TOKEN, VISITOR_COOKIE
from services.ingest.accept import Outcome, take_raw_person
from services.ingest.batch_call import BAD_SHAPE, take_one, told, violations
from services.ingest.body import header_secret, read_body
from services.ingest.door import Door, page_caller
from services.ingest.registry import Registry
from services.ingest.strict_json import parse
from services.ingest.ways import Ways
from services.ingest.writer import BatchWriter
from services.runtime.settings import Settings

BAD_SUBSCRIPTION = "BAD_SUBSCRIPTION"
#: What an identifier may hold beside key and secret.
MAX_ENDPOINT_CHARACTERS = 430
_MAX_PROOF = 500
_SOURCE = "web_push"


class PushHttp:
    """The route. Needs a key of scope write, which may be read by anybody who opens the shop's pages."""

    def __init__(self, registry: Registry, ways: Ways, clock: Clock, door: Door, settings: Settings) -> None:
        self._registry = registry
        self._ways = ways
        self._clock = clock
        self._door = door
        self._tracking_key = settings.tracking_key

    def routes(self) -> Sequence[BaseRoute]:
        """POST /t/push."""
        return (Route("/t/push", partial(self._door.answer, self._take), methods=["POST", "OPTIONS"]),)

    async def _take(self, request: Request) -> Response:
        body = await read_body(request)
        received_at_us = self._clock.now_us()
        document = parse(body)
        if not isinstance(document, Mapping):
            raise invalid(BAD_SHAPE, "the body must be a JSON object")
        key = document.get("writeKey")
        secret = header_secret(request) or (key if isinstance(key, str) else "")
        caller = await page_caller(self._registry, secret, request)
        token = token_of(document.get("subscription"), "subscription")
        before = document.get("replaces")
        replaced = None if before is None else token_of(before, "replaces")
        notes: list[Violation] = []
        identifiers: list[tuple[str, str, object]] = [("subscription", PUSH_TOKEN, token)]
        if replaced is not None:
            identifiers.append(("replaces", PUSH_TOKEN, replaced))
        named = self._signed(document, caller.workspace.id, received_at_us, notes)
        identifiers += [("contactToken", CONTACT_KEY, named)] if named else []
        identifiers.append(("anonymousId", ANONYMOUS_ID, document.get("anonymousId")))
        identifiers.append((f"cookie {VISITOR_COOKIE}", ANONYMOUS_ID, request.cookies.get(VISITOR_COOKIE)))
        proof = _proof(document.get("page"), request.headers.get("user-agent", ""))
        consents = _consents(token, replaced, document, proof)

        def take(writer: BatchWriter, item: object, path: str) -> Outcome:
            raw = RawPerson(
                message_id=document.get("messageId"),
                message_id_path="messageId",
                occurred=None,
                occurred_path="",
                identifiers=identifiers,
                attributes=(),
                consents=consents,
            )
            return take_raw_person(writer, raw, received_at_us, Report())

        way = await self._ways.admit(caller, 1)
        outcome, entry = await take_one(way, document, "", len(body), take)
        if entry is None:
            raise outcome.error()
        await asyncio.shield(entry)
        return JSONResponse({"success": True, **told("left_out", violations(None, (*notes, *outcome.notes)))})

    def _signed(
        self, document: Mapping[str, object], workspace: str, now_us: int, notes: list[Violation]
    ) -> str | None:
        """The contact whom a signed token names; one that is bad or old is noted, and the rest taken."""
        for name in ("contactToken", "linkToken"):
            token = document.get(name)
            if token is None:
                continue
            text = token if isinstance(token, str) else ""
            try:
                if name == "linkToken":
                    return visitor_of(self._tracking_key, workspace, text, now_us)
                reader = reader_of(self._tracking_key, text, now_us)
                if reader.workspace == workspace:
                    return reader.contact_key
                notes.append(Violation(name, "left out: it is of another workspace"))
            except CdpError as error:
                if error.code not in (Code.INVALID, Code.UNAUTHENTICATED):
                    raise
                notes.append(Violation(name, f"left out: {error.message}"))
        return None


def token_of(told: object, path: str) -> str:
    """The push token of a subscription as browsers tell it. Raises INVALID / BAD_SUBSCRIPTION with the path."""
    fields = told if isinstance(told, Mapping) else {}
    keys = fields.get("keys")
    keys = keys if isinstance(keys, Mapping) else {}
    endpoint = fields.get("endpoint")
    if (
        not isinstance(endpoint, str)
        or len(endpoint) > MAX_ENDPOINT_CHARACTERS
        or not endpoint.isascii()
        or not endpoint.startswith("https://")
        or not is_destination(endpoint)
        or "@" in endpoint.split("/")[2]
    ):
        raise _bad(f"{path}.endpoint", f"is an https address of at most {MAX_ENDPOINT_CHARACTERS} characters")
    raw = {name: _bytes(keys.get(name)) for name in ("p256dh", "auth")}
    try:
        return web_token(endpoint, raw["p256dh"], raw["auth"])
    except ValueError as error:
        raise _bad(f"{path}.keys", str(error)) from error


def _consents(
    token: str, replaced: str | None, document: Mapping[str, object], proof: str
) -> tuple[tuple[str, Consent], ...]:
    """What was agreed to, and what is told of devices."""
    found = []
    gone = document.get("gone") is True
    if document.get("agreed") is True and not gone:
        found.append(Consent(WEB_PUSH, "granted", _SOURCE, proof=proof))
    found.append(Consent(WEB_PUSH, "denied" if gone else "granted", _SOURCE, device_category(token), proof))
    if replaced is not None and replaced != token:
        found.append(Consent(WEB_PUSH, "bounced", _SOURCE, device_category(replaced), proof))
    return tuple(("agreed", one) for one in found)


def _proof(page: object, agent: str) -> str:
    """Where it was agreed, and by which browser."""
    told = page if isinstance(page, str) else ""
    text = f"{told.partition('#')[0].partition('?')[0]} {agent}".strip()[:_MAX_PROOF]
    return text if is_plain_text(text) else ""


def _bytes(told: object) -> bytes:
    """The bytes of base64url with or without padding; none for anything else."""
    if not isinstance(told, str) or len(told) > 200 or not told.isascii():
        return b""
    plain = told.rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""


def _bad(path: str, description: str) -> CdpError:
    return invalid(BAD_SUBSCRIPTION, f"{path} {description}", Violation(path, description))
