"""A local centre of text messages (SMPP 3.4): what is sent to the phones of the demo's people arrives here."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field

_HEAD = struct.Struct(">IIII")
_LIMIT_BYTES = 72 << 10
_RESPONSE = 0x80000000
_BIND_TRANSCEIVER, _SUBMIT, _DELIVER, _UNBIND, _ENQUIRE = 0x09, 0x04, 0x05, 0x06, 0x15
_HAS_HEADER, _RECEIPT = 0x40, 0x04
_UCS2 = 8
#: Where the default alphabet of phones (GSM 03.38) is not ASCII, as far as links and prices go.
_GSM = {0x00: "@", 0x02: "$", 0x11: "_"}
_UNKNOWN_COMMAND = 0x03
#: Of a part of a long message: length 5, kind 0, length 3, then its number, how many there are, and which this is.
_PARTS = b"\x05\x00\x03"


@dataclass(frozen=True, slots=True)
class Text:
    """A text message as the phone shows it; several parts are one."""

    sender: str
    phone: str
    text: str


@dataclass(slots=True)
class _Long:
    """Parts of one message as they come in."""

    count: int
    parts: dict[int, str] = field(default_factory=dict)


class SmsCentre:
    """Takes every message on 127.0.0.1, says that the phone has it, and gives it by `next`."""

    def __init__(self) -> None:
        self.port = 0
        self._texts: asyncio.Queue[Text] = asyncio.Queue()
        self._long: dict[tuple[str, int], _Long] = {}
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._last = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def next(self) -> Text:
        """The next message; waits for it."""
        return await self._texts.get()

    async def close(self) -> None:
        """Let links go and stop listening. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for link in tuple(self._links):
                link.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        try:
            while True:
                length, command, _, sequence = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                if not _HEAD.size <= length <= _LIMIT_BYTES:
                    return
                body = await reader.readexactly(length - _HEAD.size)
                if not command & _RESPONSE:
                    self._answer(writer, command, sequence, body)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the platform let go
        except asyncio.CancelledError:
            return  # the demo ends; asyncio would print the cancellation of a connection's task as a failure
        finally:
            self._links.discard(writer)
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, command: int, sequence: int, body: bytes) -> None:
        if command == _SUBMIT:
            self._last += 1
            name = f"demo{self._last}"
            text = self._take(body)
            _write(writer, command | _RESPONSE, 0, sequence, name.encode() + b"\0")
            receipt = f"id:{name} sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000"
            _write(writer, _DELIVER, 0, self._last, _deliver_body(text.phone, text.sender, receipt))
        elif command == _BIND_TRANSCEIVER:
            _write(writer, command | _RESPONSE, 0, sequence, b"demo\0")
        elif command in (_ENQUIRE, _UNBIND):
            _write(writer, command | _RESPONSE, 0, sequence, b"")
        else:
            _write(writer, _RESPONSE, _UNKNOWN_COMMAND, sequence, b"")

    def _take(self, body: bytes) -> Text:
        """What a submit_sm says; told to `next` once all its parts are here."""
        _, rest = _word(body)
        sender, rest = _word(rest[2:])
        phone, rest = _word(rest[2:])
        esm_class = rest[0]
        _, rest = _word(rest[3:])
        _, rest = _word(rest)
        coding, length = rest[2], rest[4]
        octets = rest[5 : 5 + length]
        part = None
        if esm_class & _HAS_HEADER:
            header, octets = octets[: octets[0] + 1], octets[octets[0] + 1 :]
            part = (header[3], header[4], header[5]) if header.startswith(_PARTS) else None
        text = octets.decode("utf-16-be") if coding == _UCS2 else octets.decode("latin-1").translate(_GSM)
        if part is not None:
            reference, count, number = part
            long = self._long.setdefault((phone, reference), _Long(count))
            long.parts[number] = text
            if len(long.parts) < count:
                return Text(sender, phone, text)
            del self._long[(phone, reference)]
            text = "".join(long.parts[one] for one in sorted(long.parts))
        whole = Text(sender, phone, text)
        self._texts.put_nowait(whole)
        return whole


def _word(raw: bytes) -> tuple[str, bytes]:
    """A text up to its zero, and what follows."""
    word, _, rest = raw.partition(b"\0")
    return word.decode("latin-1"), rest


def _deliver_body(phone: str, sender: str, receipt: str) -> bytes:
    text = receipt.encode("latin-1")
    return (
        b"\0"
        + bytes((1, 1)) + phone.encode() + b"\0"
        + bytes((1, 1)) + sender.encode() + b"\0"
        + bytes((_RECEIPT, 0, 0)) + b"\0\0"
        + bytes((0, 0, 0, 0, len(text)))
        + text
    )  # fmt: skip


def _write(writer: asyncio.StreamWriter, command: int, status: int, sequence: int, body: bytes) -> None:
    writer.write(_HEAD.pack(_HEAD.size + len(body), command, status, sequence) + body)
