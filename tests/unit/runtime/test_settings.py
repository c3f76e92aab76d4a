"""Settings: safe defaults, and errors that name the bad key."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CdpError
from services.runtime.roles import ALL_ROLES, Role
from services.runtime.settings import Settings


def read(tmp_path: Path, **env: str) -> Settings:
    return Settings.from_environment({"CDP_DATA_DIR": str(tmp_path), **env})


def test_defaults_run_everything_on_loopback(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.roles == ALL_ROLES
    assert (settings.grpc_host, settings.http_host) == ("127.0.0.1", "127.0.0.1")
    assert settings.fsync == "always"
    assert settings.redis_url is None


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    first, second = read(tmp_path), read(tmp_path)
    assert first.internal_token == second.internal_token
    assert first.tracking_key == second.tracking_key
    assert first.internal_token != first.tracking_key.decode()
    assert (tmp_path / "internal-token").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("CDP_GRPC_PORT", "70000", "70000"),
        ("CDP_GRPC_PORT", "http", "whole number"),
        ("CDP_ROLES", "ingest,chanel", "chanel"),
        ("CDP_FSYNC", "sometimes", "everysec, always"),
        ("CDP_SMTP_URL", "mail.example.com", "smtp"),
        ("CDP_DRAIN_S", "soon", "no number"),
        ("CDP_LEASE_TTL_S", "0", "between"),
        ("CDP_INGEST_ADDRESS", "ingest", "host:port"),
        ("CDP_GRPC_PROT", "1", "no such setting"),
    ],
)
def test_a_bad_value_is_refused_with_its_key(tmp_path: Path, key: str, value: str, says: str) -> None:
    with pytest.raises(CdpError) as caught:
        read(tmp_path, **{key: value})
    assert caught.value.reason == "BAD_SETTING"
    assert key in caught.value.message
    assert says in caught.value.message


def test_a_role_that_is_elsewhere_needs_an_address(tmp_path: Path) -> None:
    with pytest.raises(CdpError, match="CDP_INGEST_ADDRESS"):
        read(tmp_path, CDP_ROLES="channel")
    addresses = {
        "CDP_INGEST_ADDRESS": "a:1",
        "CDP_PROFILE_ADDRESS": "b:2",
        "CDP_SEGMENT_ADDRESS": "c:3",
        "CDP_SCENARIO_ADDRESS": "d:4",
    }
    settings = read(tmp_path, CDP_ROLES="channel", **addresses)
    assert settings.roles == (Role.CHANNEL,)
    assert settings.addresses[Role.INGEST] == "a:1"


def test_show_prints_every_key_and_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = read(tmp_path)
    settings.show()
    shown = capsys.readouterr().out
    assert "CDP_GRPC_PORT=50051" in shown
    assert "CDP_CHANNEL_ADDRESS=" in shown
    assert settings.internal_token not in shown
    assert settings.tracking_key.decode() not in shown
