"""Settings from the environment: typed, with safe defaults, refused with the name of the bad key."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import CdpError, invalid
from services.runtime.roles import ALL_ROLES, Role


@dataclass(frozen=True, slots=True)
class Settings:
    """One process's settings. Names carry units; `from_environment` documents each key by its default."""

    roles: tuple[Role, ...]
    grpc_host: str
    grpc_port: int
    advertised_address: str
    http_host: str
    http_port: int
    redis_url: str | None
    data_dir: Path
    fsync: str
    wait_replicas: int
    addresses: Mapping[Role, str]
    internal_token: str
    tracking_key: bytes
    public_url: str
    smtp_url: str
    log_format: str
    log_level: str
    drain_s: float
    maximum_concurrent_rpcs: int
    maximum_message_bytes: int
    maximum_call_s: float
    maximum_connection_age_s: float
    lease_ttl_s: float
    tick_interval_s: float
    snapshot_interval_s: float
    answer_cache_bytes: int
    question_threads: int

    @staticmethod
    def from_environment(env: Mapping[str, str]) -> Settings:
        """Read all `CDP_*` keys. An unknown key or a bad value raises INVALID / BAD_SETTING that names the key."""
        read = _Reader(env)
        roles = read.roles("CDP_ROLES")
        data_dir = Path(read.text("CDP_DATA_DIR", "data"))
        settings = Settings(
            roles=roles,
            grpc_host=read.text("CDP_GRPC_HOST", "127.0.0.1"),
            grpc_port=read.integer("CDP_GRPC_PORT", 50051, 0, 65535),
            advertised_address=read.address("CDP_ADVERTISED_ADDRESS", required=False) or "",
            http_host=read.text("CDP_HTTP_HOST", "127.0.0.1"),
            http_port=read.integer("CDP_HTTP_PORT", 8080, 0, 65535),
            redis_url=read.optional("CDP_REDIS_URL"),
            data_dir=data_dir,
            fsync=read.choice("CDP_FSYNC", "always", ("everysec", "always")),
            wait_replicas=read.integer("CDP_WAIT_REPLICAS", 0, 0, 16),
            addresses={
                role: address
                for role, key in ADDRESS_KEYS.items()
                if (address := read.address(key, required=role not in roles)) is not None
            },
            internal_token=read.text("CDP_INTERNAL_TOKEN", "") or _kept_secret(data_dir / "internal-token"),
            tracking_key=(read.text("CDP_TRACKING_KEY", "") or _kept_secret(data_dir / "tracking-key")).encode(),
            public_url=read.url("CDP_PUBLIC_URL", "", ("http", "https")),
            smtp_url=read.url("CDP_SMTP_URL", "smtp://127.0.0.1:1025", ("smtp", "smtps")),
            log_format=read.choice("CDP_LOG_FORMAT", "console", ("console", "json")),
            log_level=read.choice("CDP_LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
            drain_s=read.number("CDP_DRAIN_S", 5.0, 0.0, 600.0),
            maximum_concurrent_rpcs=read.integer("CDP_MAXIMUM_CONCURRENT_RPCS", 1000, 1, 1_000_000),
            maximum_message_bytes=read.integer("CDP_MAXIMUM_MESSAGE_BYTES", 16 << 20, 1 << 16, 1 << 30),
            maximum_call_s=read.number("CDP_MAXIMUM_CALL_S", 60.0, 0.1, 3600.0),
            maximum_connection_age_s=read.number("CDP_MAXIMUM_CONNECTION_AGE_S", 300.0, 1.0, 86400.0),
            lease_ttl_s=read.number("CDP_LEASE_TTL_S", 10.0, 0.2, 300.0),
            tick_interval_s=read.number("CDP_TICK_INTERVAL_S", 0.2, 0.01, 60.0),
            snapshot_interval_s=read.number("CDP_SNAPSHOT_INTERVAL_S", 60.0, 0.1, 86400.0),
            answer_cache_bytes=read.integer("CDP_ANSWER_CACHE_BYTES", 1 << 30, 1 << 20, 1 << 40),
            question_threads=read.integer("CDP_QUESTION_THREADS", 1, 1, 2),
        )
        read.refuse_unknown()
        return settings

    def show(self) -> None:
        """Print every setting by its key, secrets left out."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "addresses":
                for role, key in ADDRESS_KEYS.items():
                    print(f"{key}={value.get(role, '')}")
                continue
            if field.name in ("internal_token", "tracking_key"):
                value = "(secret)"
            elif field.name == "roles":
                value = ",".join(value)
            print(f"CDP_{field.name.upper()}={'' if value is None else value}")


ADDRESS_KEYS: Mapping[Role, str] = {
    Role.INGEST: "CDP_INGEST_ADDRESS",
    Role.PROFILE_UNIFICATION: "CDP_PROFILE_ADDRESS",
    Role.SEGMENT_ENGINE: "CDP_SEGMENT_ADDRESS",
    Role.SCENARIO: "CDP_SCENARIO_ADDRESS",
    Role.CHANNEL: "CDP_CHANNEL_ADDRESS",
}

#: Keys that other modules read before settings exist, or that only tools read.
_OTHER_KEYS = frozenset({"CDP_FAILPOINT", "CDP_FUZZ_SECONDS", "CDP_FUZZ_SEED", "CDP_DEMO_SHARE", "CDP_POD_IP"})


def _bad(key: str, what: str) -> CdpError:
    return invalid("BAD_SETTING", f"{key}: {what}")


def _kept_secret(path: Path) -> str:
    """A random secret that is made on the first start and kept in the data folder, readable by its owner only."""
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(32)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(secret + "\n")
    try:
        path.hardlink_to(draft)  # fails when another process was first: then its secret is the one
    except FileExistsError:
        return path.read_text().strip()
    finally:
        draft.unlink()
    return secret


class _Reader:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._seen: set[str] = set(_OTHER_KEYS)

    def optional(self, key: str) -> str | None:
        self._seen.add(key)
        return self._env.get(key) or None

    def text(self, key: str, default: str) -> str:
        return self.optional(key) or default

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise _bad(key, f"{value!r} is none of {', '.join(allowed)}")
        return value

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        value = self.optional(key)
        if value is None:
            return default
        if not value.lstrip("-").isdecimal() or not least <= int(value) <= most:
            raise _bad(key, f"{value!r} is no whole number from {least} to {most}")
        return int(value)

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self.optional(key)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError as error:
            raise _bad(key, f"{value!r} is no number") from error
        if not least <= number <= most:
            raise _bad(key, f"{value!r} is not between {least} and {most}")
        return number

    def url(self, key: str, default: str, schemes: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value and (urlsplit(value).scheme not in schemes or not urlsplit(value).hostname):
            raise _bad(key, f"{value!r} is no {' or '.join(schemes)} URL")
        return value.rstrip("/")

    def address(self, key: str, *, required: bool) -> str | None:
        value = self.optional(key)
        if value is None:
            if required:
                raise _bad(key, "is needed, because this process does not play that role; give host:port")
            return None
        host, colon, port = value.rpartition(":")
        if not host or not colon or not port.isdecimal():
            raise _bad(key, f"{value!r} is no host:port")
        return value

    def roles(self, key: str) -> tuple[Role, ...]:
        value = self.optional(key)
        if value is None:
            return ALL_ROLES
        names = [name.strip() for name in value.split(",")]
        unknown = [name for name in names if name not in set(Role)]
        if unknown:
            raise _bad(key, f"{unknown[0]!r} is none of {', '.join(ALL_ROLES)}")
        return tuple(role for role in ALL_ROLES if role in names)

    def refuse_unknown(self) -> None:
        unknown = sorted(key for key in self._env if key.startswith("CDP_") and key not in self._seen)
        if unknown:
            raise _bad(unknown[0], "no such setting; `cdp settings` lists them")
