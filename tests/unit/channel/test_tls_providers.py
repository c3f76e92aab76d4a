"""Mail servers and SMS centres by TLS: the certificate must bear the name in the settings, although the address that is
called was resolved and checked before."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core.delivery.outbox import Accepted, Deferred
from services.channel.senders.email import EmailSender
from services.channel.senders.sms import SmsSender
from tests.contract.sender_peers.email import provider
from tests.smsc import Smsc
from tests.unit.channel import test_email_providers
from tests.unit.channel import test_sms as test_sms_module


@cache
def certificate(address: str) -> tuple[bytes, bytes]:
    """A key and a certificate for one address, signed by itself."""
    key = rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a provider")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        made.public_bytes(Encoding.PEM),
    )


@pytest.mark.parametrize(("named", "good"), [("127.0.0.1", True), ("127.0.0.2", False)])
async def test_sms(named: str, good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, cert = certificate(named)
    (tmp_path / "trusted.pem").write_bytes(cert)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    sender = SmsSender()
    with Smsc(key_pem=key, cert_pem=cert) as smsc:
        outcome = await test_sms_module.send(sender, smsc.provider(tls="yes"), "Hi")
        await sender.close()
        assert isinstance(outcome, Accepted if good else Deferred), outcome
        assert smsc.texts() == (["Hi"] if good else [])


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize(("named", "good"), [("127.0.0.1", True), ("127.0.0.2", False)])
async def test_mail(named: str, good: bool, security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, cert = certificate(named)
    for file, content in {"trusted.pem": cert, "key.pem": key}.items():
        (tmp_path / file).write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "trusted.pem", tmp_path / "key.pem")
    handler = test_email_providers.Server()
    at_once = context if security == "tls" else None
    later = context if security == "starttls" else None
    listening = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, tls_context=later, require_starttls=later is not None), "127.0.0.1", 0, ssl=at_once
    )
    sender = EmailSender("smtp://127.0.0.1:1025")
    try:
        port = listening.sockets[0].getsockname()[1]
        outcome = await test_email_providers.send(sender, provider(port, security=security))
        assert isinstance(outcome, Accepted if good else Deferred), outcome
        assert len(handler.mails) == int(good)
    finally:
        await sender.close()
        listening.close()
