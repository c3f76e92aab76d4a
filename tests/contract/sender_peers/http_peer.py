"""A small HTTP/1.1 server that answers by script, and may hang up instead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.contract.sender_peers.peer import Behaviour


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; names of headers in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


#: What a request is answered; None: hang up without a word.
Answers = Callable[[Asked], Reply | None]

#: For protocols without words of their own. A redirect leads back here, so that whoever follows it is seen.
PLAIN: Mapping[Behaviour, Reply | None] = {
    Behaviour.ACCEPT: Reply(201),
    Behaviour.REFUSE: Reply(400, b"no"),
    Behaviour.GONE: Reply(410, b"gone"),
    Behaviour.THROTTLE: Reply(429, b"later", {"Retry-After": "120"}),
    Behaviour.NO_ANSWER: None,
    Behaviour.BROKEN: Reply(500, b"broken"),
    Behaviour.REDIRECT: Reply(307, b"", {"Location": "/elsewhere"}),
}


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[int]:
    """The port of a running server. What `answers` raises is raised at the end."""
    writers: set[asyncio.StreamWriter] = set()
    failures: list[Exception] = []

    def answered(asked: Asked) -> Reply | None:
        try:
            return answers(asked)
        except Exception as error:
            failures.append(error)
            raise

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                reply = answered(await _asked(reader))
                if reply is None:
                    break
                writer.write(_encoded(reply))
                await writer.drain()
        writers.discard(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in tuple(writers):
            writer.close()
        if failures:
            raise failures[0]


async def free_port() -> int:
    """A port where nobody listens."""
    async with serving(lambda _asked: None) as port:
        return port


async def _asked(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(first.split(" ")[1], headers, body)


def _encoded(reply: Reply) -> bytes:
    headers = {"Content-Length": str(len(reply.body)), **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode() + reply.body
