"""The demo's own push service and centre of text messages, spoken to by others' code or bytes of the documents."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator

import http_ece
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.identity.push_tokens import subscription_of
from services.demo.push_service import Notice, PushService
from services.demo.sms_centre import SmsCentre, Text


@pytest.fixture
async def pushes() -> AsyncIterator[PushService]:
    service = PushService()
    await service.start()
    yield service
    await service.close()


async def posted(token: str, told: dict[str, str], for_token: str | None = None) -> int:
    """The status of a push to a browser, encrypted by another implementation (for another browser, if one is given)."""
    subscription, keys = subscription_of(token), subscription_of(for_token or token)
    assert subscription is not None
    assert keys is not None
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), keys.public_key)
    body = http_ece.encrypt(
        json.dumps(told).encode(),
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        auth_secret=keys.secret,
        version="aes128gcm",
    )
    async with httpx2.AsyncClient(trust_env=False) as http:
        headers = {"TTL": "60", "Authorization": "vapid t=a, k=b", "Content-Encoding": "aes128gcm"}
        return (await http.post(subscription.endpoint, content=body, headers=headers)).status_code


async def test_a_push_is_opened_by_its_browser(pushes: PushService) -> None:
    ann, bo = pushes.subscribe("Ann"), pushes.subscribe("Bo")
    assert await posted(bo, {"title": "Hi", "body": "Zwölf €", "url": "https://shop.example/"}) == 201
    assert await posted(ann, {"title": "Ho"}) == 201
    assert await pushes.next() == Notice("Bo", "Hi", "Zwölf €", "https://shop.example/")
    assert await pushes.next() == Notice("Ann", "Ho", "", "")


async def test_what_is_for_another_browser_is_refused(pushes: PushService) -> None:
    ann, bo = pushes.subscribe("Ann"), pushes.subscribe("Bo")
    assert await posted(ann, {"title": "Hi"}, for_token=bo) == 400
    gone = PushService()
    gone.port = pushes.port
    assert await posted(gone.subscribe("Nobody"), {"title": "Hi"}) == 410


async def test_texts_arrive_whole_and_are_confirmed() -> None:
    centre = SmsCentre()
    await centre.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)

    async def told(command: int, body: bytes) -> tuple[int, bytes]:
        writer.write(struct.pack(">IIII", 16 + len(body), command, 0, 7) + body)
        return await heard()

    async def heard() -> tuple[int, bytes]:
        length, command, status, _ = struct.unpack(">IIII", await reader.readexactly(16))
        assert status == 0
        return command, await reader.readexactly(length - 16)

    def submit(octets: bytes, esm_class: int, coding: int) -> bytes:
        addresses = b"\0" + bytes((5, 0)) + b"Shop\0" + bytes((1, 1)) + b"447700900123\0"
        return addresses + bytes((esm_class, 0, 0)) + b"\0\0" + bytes((1, 0, coding, 0, len(octets))) + octets

    assert await told(9, b"demo\0demo\0\0\x34\0\0\0") == (0x80000009, b"demo\0")
    first, second = "Привіт, ".encode("utf-16-be"), "світе".encode("utf-16-be")
    assert (await told(4, submit(b"\5\0\3\x2a\2\2" + second, 0x40, 8)))[0] == 0x80000004
    command, receipt = await heard()
    assert command == 5
    assert b"stat:DELIVRD" in receipt
    await told(4, submit(b"\5\0\3\x2a\2\1" + first, 0x40, 8))
    assert await centre.next() == Text("Shop", "447700900123", "Привіт, світе")
    await heard()
    await told(4, submit(b"at\0 5 \2 a\x11b", 0, 0))
    assert await centre.next() == Text("Shop", "447700900123", "at@ 5 $ a_b")
    writer.close()
    await centre.close()
