"""Bad input: its classes, what a case is, and a platform that must come through all of them unharmed.

The cases stand beside their tests (test_bad_input_*.py), each naming its class; test_bad_input_table.py sees to it that
no class is without one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import grpc
import httpx2
from google.longrunning import operations_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc

import cdp
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from core.clock import ManualClock
from services.runtime.errors import from_rpc
from services.runtime.roles import ALL_ROLES, Role
from tests.flow.platform import Platform, eventually

START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000


def _files() -> tuple[FileDescriptor, ...]:
    """The proto files whose services we answer: all that protos/gen holds, and Google's long-running operations."""
    names = [one.name for one in pkgutil.walk_packages(cdp.__path__, "cdp.") if one.name.endswith("_pb2")]
    found = [importlib.import_module(name).DESCRIPTOR for name in sorted(names)]
    return tuple(file for file in (*found, operations_pb2.DESCRIPTOR) if file.services_by_name)


#: Found, not listed, so that a new service is fired at from its first day.
FILES = _files()
#: What a refusal may look like: the caller is told what is wrong with the call, never that something broke.
REFUSALS = frozenset(
    (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
)


class Bad(Enum):
    """Every class of bad input, by family. The value is (family, what it is)."""

    LONE_SURROGATE = ("encoding", "a lone surrogate by a JSON escape")
    INVALID_UTF8 = ("encoding", "bytes that are no UTF-8")
    NUL = ("encoding", "U+0000")
    BYTE_ORDER_MARK = ("encoding", "U+FEFF")
    RIGHT_TO_LEFT = ("encoding", "a right-to-left override")
    NFC_TWINS = ("encoding", "one email in NFC and in NFD")
    HOSTILE_STRING = ("encoding", "strings that break naive programs")
    NAN = ("json", "NaN")
    INFINITY = ("json", "Infinity")
    HUGE_EXPONENT = ("json", "1e400")
    BEYOND_64_BITS = ("json", "2^64")
    DUPLICATE_KEYS = ("json", "a key twice in its object")
    DEEP = ("json", "depth 200,000")
    LONG_INTEGER = ("json", "an integer of 5,000 digits")
    TRAILING_BYTES = ("json", "bytes after the document")
    NO_ID = ("shape", "no id at all")
    WRONG_TYPE = ("shape", "wrong types")
    NULLS = ("shape", "nulls")
    EMPTY_BATCH = ("shape", "an empty batch")
    MANY_PROPERTIES = ("shape", "10,001 properties")
    LONG_KEY = ("shape", "a key of 10 KB")
    AT_LIMITS = ("size", "a limit, and one beyond it")
    GZIP_BOMB = ("size", "gzip 1,029 : 1")
    LYING_LENGTH = ("size", "a Content-Length that lies")
    NO_ZONE = ("time", "a time without a zone")
    YEAR_0_AND_10000 = ("time", "years 0 and 10000, and what lies at the ends of time")
    LEAP_SECOND = ("time", "a leap second")
    FUTURE = ("time", "the future")
    NO_SUCH_LOCAL_TIME = ("time", "local times that do not exist or exist twice")
    NUMBER_AS_TIME = ("time", "numbers beyond what an instant holds")
    EMAIL_FORMS = ("identity", "case, spaces and international domains of an email")
    PHONE_FORMS = ("identity", "forms of a phone number")
    BLOCKED_IDS = ("identity", "'', 'null', 'undefined', '0', 'anonymous' as ids")
    ONE_ID_ON_MANY = ("identity", "one id on many profiles")
    ALIAS_LOOP = ("identity", "alias loops")
    CYCLE = ("rules", "a segment that refers to itself")
    LARGE_RULE = ("rules", "10,001 nodes, depth 501, a text beyond its length")
    CONTRADICTION = ("rules", "contradictions and empty windows")
    UNKNOWN_OPERATOR = ("rules", "operators and enum numbers that are not known")
    PATTERN_BOMB = ("rules", "regular-expression bombs")
    TYPE_MISMATCH = ("rules", "a value of another kind than the field")
    BAD_PARAMETERS = ("rules", "parameters missing, too many, of a wrong kind")
    UNKNOWN_NAME = ("rules", "names that are not known")
    BROKEN_TREE = ("rules", "node arrays that are no tree")
    BAD_SCENARIO = ("rules", "scenarios that cannot run")
    ESCAPES = ("messages", "values that would break out of their place")
    OUTPUT_BOMB = ("messages", "templates that make much of little")
    MISSING_VARIABLE = ("messages", "variables that are not there")
    HEADER_INJECTION = ("messages", "CR and LF in a header")
    SCRIPT_URL = ("messages", "javascript: and data: URLs")
    OPEN_REDIRECT = ("messages", "links that would lead anywhere")
    FORGED_TOKEN = ("messages", "tokens that are forged or of another workspace")
    XML_BOMB = ("feeds", "XML bombs")
    EXTERNAL_ENTITY = ("feeds", "external entities")
    BAD_FEED = ("feeds", "huge or mis-encoded feeds")
    SLOW_SENDER = ("transport", "senders that trickle")
    OVERSIZE = ("transport", "messages beyond the size of a call")
    CANCELLED = ("transport", "streams and calls that are cancelled")
    BAD_CURSOR = ("transport", "positions, epochs and page tokens that are none of ours")


M = TypeVar("M", bound=Message)


def of(kind: type[M], /, **fields: Any) -> M:
    """A message from plain dicts and lists, which protobuf takes and its types do not tell."""
    return kind(**fields)


@dataclass(frozen=True, slots=True)
class Case:
    """A call of class `bad`. `request` is the message of a unary or answering RPC, or an item of a batch (Event,
    Person, Link, Order, Product). `reason` is the stable reason of its refusal, empty when it is accepted."""

    bad: Bad
    what: str
    request: Message
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method of one of our services."""

    path: str
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool


def _rpcs() -> dict[str, Rpc]:
    found = {}
    for file in FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                found[f"{service.full_name}/{method.name}"] = Rpc(
                    f"/{service.full_name}/{method.name}",
                    GetMessageClass(method.input_type),
                    GetMessageClass(method.output_type),
                    method.client_streaming,
                    method.server_streaming,
                )
    return found


#: Every method by "package.Service/Method".
RPCS = _rpcs()
#: ... and by the full name of its request, which no two methods share.
RPC_OF = {rpc.request.DESCRIPTOR.full_name: rpc for rpc in RPCS.values()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to: OK with a response, or a status with its reason and message."""

    status: grpc.StatusCode
    reason: str
    message: str
    response: Any = None

    @property
    def ok(self) -> bool:
        return self.status is grpc.StatusCode.OK


async def call(
    channel: grpc.aio.Channel, request: Message, metadata: tuple[tuple[str, str], ...], timeout_s: float = 60.0
) -> Answer:
    """Call the method that takes `request`. A stream of answers is read up to its first one or a second of silence."""
    rpc = RPC_OF[request.DESCRIPTOR.full_name]
    encode, decode = rpc.request.SerializeToString, rpc.response.FromString
    try:
        if rpc.client_streaming:
            both = channel.stream_stream(rpc.path, encode, decode)(iter([request]), metadata=metadata, timeout=1.0)
            response = await anext(aiter(both), None)
            both.cancel()
        elif rpc.server_streaming:
            stream = channel.unary_stream(rpc.path, encode, decode)(request, metadata=metadata, timeout=1.0)
            response = await anext(aiter(stream), None)
            stream.cancel()
        else:
            unary = channel.unary_unary(rpc.path, encode, decode)
            response = await unary(request, metadata=metadata, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        if rpc.server_streaming and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Answer(grpc.StatusCode.OK, "", "silent")
        told = from_rpc(error)
        return Answer(error.code(), told.reason, told.message)
    return Answer(grpc.StatusCode.OK, "", "", response)


class Range:
    """A platform under fire. Good events go in between the bad input; `unharmed` proves that they are all there, and
    that nothing stopped, started again or was set aside on the way."""

    def __init__(self, platform: Platform, channel: grpc.aio.Channel, http: httpx2.AsyncClient) -> None:
        self.platform = platform
        self.channel = channel
        self.http = http
        self.metadata = platform.metadata
        self._good = 0
        self._failures: dict[str, float] = {}

    async def call(self, request: Message, metadata: tuple[tuple[str, str], ...] | None = None) -> Answer:
        """The answer to `request` with the development key, or with other metadata."""
        return await call(self.channel, request, self.metadata if metadata is None else metadata)

    async def ok(self, request: Message) -> Any:
        """The response to a request that must succeed."""
        answer = await self.call(request)
        assert answer.ok, f"{request.DESCRIPTOR.full_name}: {answer}"
        return answer.response

    async def good(self) -> None:
        """Send one good event of a person of its own."""
        event = good_event(self._good)
        self._good += 1
        await self.ok(ingest_pb2.TrackRequest(event=event))

    @property
    def next_good(self) -> int:
        """The number that `took_good` will give."""
        return self._good

    def took_good(self) -> int:
        """The number of the next good person, for a caller that sends its event in another way."""
        self._good += 1
        return self._good - 1

    async def begin(self) -> None:
        """Remember what has failed so far in this process: other tests may have had reasons."""
        self._failures = await self._counted()
        await self.good()

    def expect_dead_letters(self, role: str, count: int) -> None:
        """So many more records of `role` were rightly set aside."""
        name = f'cdp_dead_letters_total{{role="{role}"}}'
        self._failures[name] = self._failures.get(name, 0.0) + count

    async def unharmed(self) -> None:
        """Everything good is there, everything serves, nothing was restarted or set aside."""
        await self.good()

        async def folded() -> bool:
            rule = segment_pb2.RuleSource(text="among all contacts: did good_deed = 1 times")
            answer = await self.call(segment_pb2.EvaluateRequest(rule=rule))
            return answer.ok and answer.response.count.total == self._good

        await eventually(folded, f"{self._good} good people are in the segment")
        identifiers = [facts_pb2.Identifier(kind="external_id", value=f"good-{n}") for n in range(self._good)]
        for first in range(0, len(identifiers), 1000):
            resolved = await self.ok(profile_pb2.ResolveRequest(identifiers=identifiers[first : first + 1000]))
            assert all(one.found for one in resolved.results)
        last = await self.ok(profile_pb2.GetRequest(identifier=identifiers[-1]))
        assert [event.type for event in last.timeline] == ["good_deed"]
        health = health_pb2_grpc.HealthStub(self.channel)
        for role in ALL_ROLES:
            for service in self.platform.host(role).service(role).grpc_services():
                answer = await health.Check(health_pb2.HealthCheckRequest(service=service.full_name))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING, service.full_name
        counted = await self._counted()
        assert counted == self._failures, f"restarted or set aside: {counted}, before: {self._failures}"

    async def _counted(self) -> dict[str, float]:
        text = (await self.http.get(f"{self.platform.http_url(Role.INGEST)}/metrics")).text
        names = ("cdp_worker_restarts_total", "cdp_dead_letters_total")
        lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith(names)]
        return {name: float(value) for name, _, value in lines if float(value)}


def good_event(number: int) -> ingest_pb2.Event:
    """The good deed of one person."""
    who = facts_pb2.Identifier(kind="external_id", value=f"good-{number}")
    return ingest_pb2.Event(message_id=f"good-{number}", type="good_deed", identifiers=[who])


@asynccontextmanager
async def under_fire(folder: Path, **settings: str) -> AsyncIterator[Range]:
    """All roles on a memory log and a manual clock, proven unharmed at the end."""
    platform = Platform(folder, ManualClock(START_US), extra=settings)
    async with platform, httpx2.AsyncClient(timeout=30.0) as http, platform.channel(Role.INGEST) as channel:
        fire = Range(platform, channel, http)
        await fire.begin()
        yield fire
        await fire.unharmed()
