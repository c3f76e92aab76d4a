"""The calls that look at a template and send nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc

from cdp.channel.v1 import channel_pb2
from core.errors import Violation, invalid
from services.channel.shard import ChannelShard
from services.runtime.caller import Scope, caller

PREVIEW_SCOPES: Mapping[str, Scope] = {"PreviewTemplate": Scope.READ, "CheckTemplate": Scope.READ}

_MOST_VALUES = 1_000
_Context = grpc.aio.ServicerContext[Any, Any]


class PreviewCalls:
    """Methods of ChannelService, for its servicer to inherit."""

    _shards: Callable[[str], ChannelShard]

    async def PreviewTemplate(
        self, request: channel_pb2.PreviewTemplateRequest, context: _Context
    ) -> channel_pb2.PreviewTemplateResponse:
        """See the .proto."""
        return await self._shards(caller().workspace.id).previews.show(request)

    async def CheckTemplate(
        self, request: channel_pb2.CheckTemplateRequest, context: _Context
    ) -> channel_pb2.CheckTemplateResponse:
        """See the .proto."""
        if len(request.values) > _MOST_VALUES:
            what = f"has more than {_MOST_VALUES} names"
            raise invalid("TOO_MANY_VALUES", f"`values` {what}", Violation("values", what))
        return await self._shards(caller().workspace.id).previews.check(request)
