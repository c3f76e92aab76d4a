"""The body of a request: bounded in bytes and time, and unpacked: gzip by its header or by its first bytes, deflate by
its header."""

from __future__ import annotations

import asyncio
import base64
import binascii
import zlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from core.errors import CdpError, invalid
from services.ingest.place import place_of

BODY_TOO_LARGE = "BODY_TOO_LARGE"
BAD_GZIP = "BAD_GZIP"
BAD_DEFLATE = "BAD_DEFLATE"
UNKNOWN_ENCODING = "UNKNOWN_ENCODING"
BODY_TOO_SLOW = "BODY_TOO_SLOW"
BODY_CUT = "BODY_CUT"

#: A body, packed and unpacked.
MAX_BODY_BYTES = 500 << 10
#: A sender that needs longer for its body is let go.
MAX_BODY_S = 10.0

_GZIP_MAGIC = b"\x1f\x8b"


async def read_body(request: Request) -> bytes:
    """The unpacked body. Raises INVALID / BODY_TOO_LARGE, BODY_TOO_SLOW, BODY_CUT, UNKNOWN_ENCODING, BAD_GZIP or
    BAD_DEFLATE; EXHAUSTED / OVERLOADED where too many bytes wait already."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 12 or int(declared) > MAX_BODY_BYTES):
        raise _too_large()
    place = place_of(request)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(MAX_BODY_S):
            async for chunk in body_parts(request):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise _too_large()
                place.hold(len(chunk))
    except TimeoutError as error:
        raise invalid(BODY_TOO_SLOW, f"the body did not arrive within {MAX_BODY_S:.0f} s") from error
    packed = b"".join(chunks)
    body = unpack(packed, request.headers.get("content-encoding", "").strip().lower())
    if body is not packed:
        place.hold(len(body))
    return body


async def body_parts(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives, in parts that are not empty, as large as it likes. Raises INVALID / BODY_CUT."""
    try:
        async for part in request.stream():
            if part:
                yield part
    except ClientDisconnect as error:
        raise invalid(BODY_CUT, "the connection ended before the body did") from error


def unpack(packed: bytes, encoding: str = "gzip") -> bytes:
    """A body of one packed stream, at most MAX_BODY_BYTES unpacked; a bomb costs no more than that. What begins like
    gzip is gzip, whatever `encoding` says: browsers send it so where a header would need permission."""
    if packed.startswith(_GZIP_MAGIC) or encoding in ("gzip", "x-gzip"):
        return _inflate(packed, 31, BAD_GZIP, "gzip")
    if encoding in ("", "identity"):
        return packed
    if encoding == "deflate":
        # The standard means zlib by it; some mean the bare stream within. Its first two bytes tell.
        zlibbed = len(packed) > 1 and packed[0] & 0x0F == 8 and int.from_bytes(packed[:2]) % 31 == 0
        return _inflate(packed, 15 if zlibbed else -15, BAD_DEFLATE, "deflate")
    # Brotli too: no SDK packs what it sends by it, and each way of unpacking is one more thing to trust.
    raise invalid(UNKNOWN_ENCODING, "a body is packed by gzip or deflate, or by nothing")


def _inflate(packed: bytes, window_bits: int, reason: str, name: str) -> bytes:
    reader = zlib.decompressobj(wbits=window_bits)
    try:
        body = reader.decompress(packed, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise invalid(reason, f"the body is no sound {name}") from error
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    if not reader.eof or reader.unused_data:
        raise invalid(reason, f"the {name} body is cut, or something follows it")
    return body


def header_secret(request: Request) -> str:
    """The key in the Authorization header: the user of Basic, or a Bearer token; empty when there is none."""
    scheme, _, rest = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode("utf-8", "replace").partition(":")[0]
    except binascii.Error:
        return ""


def _too_large() -> CdpError:
    return invalid(BODY_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes, unpacked too; send smaller batches")
