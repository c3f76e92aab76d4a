"""Settings from the environment: typed, with safe defaults, refused with the name of the bad key."""

from __future__ import annotations

import re
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
    log_keep_free_bytes: int
    wait_replicas: int
    addresses: Mapping[Role, str]
    internal_token: str
    tracking_key: bytes
    public_url: str
    country_header: str
    ingest_processes: int
    link_token_hosts: tuple[str, ...]
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
    feed_hosts: str
    feed_private_hosts: str
    feed_maximum_bytes: int
    file_maximum_bytes: int
    file_retention_days: int
    anonymous_idle_days: int
    expire_per_minute: int
    resolved_log_entries: int

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
            # A log server that `cdp up` starts takes no more while its disk has less left, and goes on answering.
            log_keep_free_bytes=read.integer("CDP_LOG_KEEP_FREE_BYTES", 256 << 20, 1 << 20, 1 << 40),
            wait_replicas=read.integer("CDP_WAIT_REPLICAS", 0, 0, 16),
            addresses={
                role: address
                for role, key in ADDRESS_KEYS.items()
                if (address := read.address(key, required=role not in roles)) is not None
            },
            internal_token=read.text("CDP_INTERNAL_TOKEN", "") or _kept_secret(data_dir / "internal-token"),
            tracking_key=(read.text("CDP_TRACKING_KEY", "") or _kept_secret(data_dir / "tracking-key")).encode(),
            public_url=read.url("CDP_PUBLIC_URL", "", ("http", "https")),
            # The header in which a proxy of yours tells the visitor's country, such as cf-ipcountry. Empty: none does,
            # and a header that a visitor sends is not believed.
            country_header=read.text("CDP_COUNTRY_HEADER", ""),
            # How many processes play ingest: each lets through its even share of a key's rate.
            ingest_processes=read.integer("CDP_INGEST_PROCESSES", 1, 1, 1000),
            # Hosts of shops' sites, parted by commas, with all hosts below them: a click in a message that leads there
            # takes a signed token along, by which the web tracker knows the visitor. Empty: none does.
            link_token_hosts=read.hosts("CDP_LINK_TOKEN_HOSTS"),
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
            # Product feeds: hosts that any workspace may list ("*": every public one), by commas; those of them that
            # may lead to private addresses; and how large a file may be, packed and unpacked.
            feed_hosts=read.text("CDP_FEED_HOSTS", "*"),
            feed_private_hosts=read.text("CDP_FEED_PRIVATE_HOSTS", ""),
            feed_maximum_bytes=read.integer("CDP_FEED_MAXIMUM_BYTES", 4 << 30, 1 << 10, 1 << 40),
            # How large a file may be that is uploaded for an import.
            file_maximum_bytes=read.integer("CDP_FILE_MAXIMUM_BYTES", 64 << 30, 1 << 10, 1 << 42),
            # Uploaded files, and the reports of refused rows, are deleted so many days after their import ended; 0: at
            # once when it ended well (nothing refused), after a day otherwise.
            file_retention_days=read.integer("CDP_FILE_RETENTION_DAYS", 7, 0, 36_500),
            # Anonymous visitors of whom nothing was heard for so many days are forgotten; 0: never. And how many a
            # minute at the most, in each workspace.
            anonymous_idle_days=read.integer("CDP_ANONYMOUS_IDLE_DAYS", 90, 0, 36_500),
            expire_per_minute=read.integer("CDP_EXPIRE_PER_MINUTE", 1_000, 1, 1_000_000),
            # So many entries of unification's log stay in the log server although they are archived in the data folder,
            # from which timelines are read beyond them; 0: all of them, where the data folder does not last. Then
            # erasures leave what is in the log.
            resolved_log_entries=read.integer("CDP_RESOLVED_LOG_ENTRIES", 20_000, 0, 1_000_000_000),
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
            elif field.name in ("roles", "link_token_hosts"):
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

    def hosts(self, key: str) -> tuple[str, ...]:
        names = [name.strip().lower() for name in self.text(key, "").split(",") if name.strip()]
        for name in names:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name):
                raise _bad(key, f"{name!r} is no host name")
        return tuple(names)

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
