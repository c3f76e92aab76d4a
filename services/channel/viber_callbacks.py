"""Where Viber reports what became of business messages: POST /viber/<workspace>/<provider>/<callback key>.

Viber does not sign its reports; the key in the address, one of the provider's secrets, is what makes one genuine. A
report is durable before it is answered. Of a message's reports each counts once.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from core.clock import Clock
from core.errors import CdpError, Code
from services.channel.receipts import Receipt, Told, take_receipt
from services.channel.senders.messenger import VIBER
from services.channel.shard import ChannelShard
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_LIMIT_BYTES = 16 * 1024
#: message_status of a report. Others (answers, subscriptions) tell nothing of a message.
_TOLD = {0: Told.DELIVERED, 1: Told.SEEN, 2: Told.FAILED}


class ViberCallbacks:
    """The HTTP route. `shards` finds the open shard of a workspace or raises UNAVAILABLE, and NOT_FOUND for no
    workspace."""

    def __init__(self, shards: Callable[[str], ChannelShard], clock: Clock) -> None:
        self._shards = shards
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """The one address."""
        return (Route("/viber/{workspace}/{provider}/{key}", self._told, methods=["POST"]),)

    async def _told(self, request: Request) -> Response:
        named = request.path_params
        try:
            shard = self._shards(named["workspace"])
        except CdpError as error:
            return _later(error) if error.code is not Code.NOT_FOUND else _nothing()
        if not _is_genuine(shard, named["provider"], named["key"]):
            return _nothing()
        raw = b""
        async for part in request.stream():
            raw += part
            if len(raw) > _LIMIT_BYTES:
                return PlainTextResponse("the report is too large", status_code=413)
        receipt = read_report(named["provider"], raw)
        if receipt is None:
            return PlainTextResponse("no report of a message", status_code=200)
        try:
            taken = await take_receipt(shard, receipt, self._clock)
        except CdpError as error:
            return _later(error)
        return PlainTextResponse(receipt.told.value if taken else "no message of ours", status_code=200)


def read_report(provider: str, raw: bytes) -> Receipt | None:
    """The report in the body of a callback; None for anything else."""
    try:
        told = json.loads(raw)
        token, status = told["message_token"], told["message_status"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    name = str(token)
    if isinstance(token, bool) or not name.isascii() or not name.isdigit() or len(name) > 30:
        return None
    if not isinstance(status, int) or isinstance(status, bool) or status not in _TOLD:
        return None
    return Receipt(provider, name, _TOLD[status], "" if status in (0, 1) else "EXPIRED")


def _is_genuine(shard: ChannelShard, provider: str, key: str) -> bool:
    for one in shard.state.settings.providers.get("messenger", ()):
        if one.name == provider and one.kind == VIBER:
            return hmac.compare_digest(one.secrets.get("callback_key", "").encode(), key.encode())
    return False


def _nothing() -> Response:
    return PlainTextResponse("there is nothing here", status_code=404)


def _later(error: CdpError) -> Response:
    if error.code not in (Code.UNAVAILABLE, Code.EXHAUSTED, Code.CONFLICT):
        raise error
    _LOG.info("report not taken now", reason=error.reason)
    return PlainTextResponse("try again", status_code=503, headers={"Retry-After": "2"})
