"""The body of a request: bounded in bytes and time, unpacked when it is gzip by its header or by its first bytes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import zlib

from starlette.requests import ClientDisconnect, Request

from core.errors import CdpError, invalid

BODY_TOO_LARGE = "BODY_TOO_LARGE"
BAD_GZIP = "BAD_GZIP"
BODY_TOO_SLOW = "BODY_TOO_SLOW"
BODY_CUT = "BODY_CUT"

#: A body, packed and unpacked.
MAX_BODY_BYTES = 500 << 10
#: A sender that needs longer for its body is let go.
MAX_BODY_S = 10.0

_GZIP_MAGIC = b"\x1f\x8b"


async def read_body(request: Request) -> bytes:
    """The unpacked body. Raises INVALID / BODY_TOO_LARGE, BODY_TOO_SLOW, BODY_CUT or BAD_GZIP."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 12 or int(declared) > MAX_BODY_BYTES):
        raise _too_large()
    chunks, size = [], 0
    try:
        async with asyncio.timeout(MAX_BODY_S):
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError as error:
        raise invalid(BODY_TOO_SLOW, f"the body did not arrive within {MAX_BODY_S:.0f} s") from error
    except ClientDisconnect as error:
        raise invalid(BODY_CUT, "the connection ended before the body did") from error
    packed = b"".join(chunks)
    if packed.startswith(_GZIP_MAGIC) or request.headers.get("content-encoding", "").strip().lower() == "gzip":
        return unpack(packed)
    return packed


def unpack(packed: bytes) -> bytes:
    """A gzip body of one member, at most MAX_BODY_BYTES unpacked; a bomb costs no more than that."""
    reader = zlib.decompressobj(wbits=31)
    try:
        body = reader.decompress(packed, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise invalid(BAD_GZIP, "the body is no sound gzip") from error
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    if not reader.eof or reader.unused_data:
        raise invalid(BAD_GZIP, "the gzip body is cut, or something follows it")
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
