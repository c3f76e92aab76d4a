"""A pool of codes: what its coupons are worth, how long and how often they hold, and how many are left."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.clock import DAY_US
from core.errors import CdpError, Code, Violation, conflict, invalid
from core.schema import MAX_DECIMAL_UNITS

BAD_POOL = "BAD_POOL"
BAD_CODE = "BAD_CODE"
#: Letters and digits that nobody takes for another, written or spoken: no 0 O, 1 I L, 5 S, 8 B, 2 Z, U V.
ALPHABET = "34679ACDEFGHJKMNPQRTWXY"
LEAST_WILD = 6
WILD = "#"
MOST_POOLS = 1_000
MOST_VALID_DAYS = 3_660

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_CODE = re.compile(r"[!-~]{4,64}", re.ASCII)
_PATTERN = re.compile(r"[A-Z0-9#_-]{6,64}", re.ASCII)
_UNITS = ("", "money", "percent")


@dataclass(frozen=True, slots=True)
class Pool:
    """`value_units` are 1e-4 of the workspace's currency or of a per cent (`unit`). Zero: `expires_at_us` and
    `valid_days` never, `low_below` a tenth of what was added. `for_forms`: a visitor's form may ask for one. The
    counts are of codes and coupons so far; `version` counts changes of the definition."""

    name: str
    title: str = ""
    value_units: int = 0
    unit: str = ""
    pattern: str = ""
    expires_at_us: int = 0
    valid_days: int = 0
    limit: int = 1
    redemptions: int = 1
    low_below: int = 0
    version: int = 0
    added: int = 0
    issued: int = 0
    redeemed: int = 0
    expired: int = 0
    for_forms: bool = False

    @property
    def etag(self) -> str:
        """Changes with the definition."""
        return f"v{self.version}"

    @property
    def left(self) -> int:
        """Codes that can still be issued; 0 for a pattern, which makes as many as are asked for."""
        return 0 if self.pattern else self.added - self.issued

    @property
    def low(self) -> bool:
        """Whether codes should be added."""
        return not self.pattern and self.left < (self.low_below or max(1, self.added // 10))

    def expiry_us(self, issued_at_us: int) -> int:
        """When a coupon issued at this instant becomes void: the earlier of both limits; 0: never."""
        after_issue = issued_at_us + self.valid_days * DAY_US if self.valid_days else 0
        limits = [one for one in (self.expires_at_us, after_issue) if one]
        return min(limits, default=0)


def is_pool_name(name: str) -> bool:
    """Whether a pool may be called so."""
    return _NAME.fullmatch(name) is not None


def saved_pool(before: Pool | None, asked: Pool, etag: str, now_us: int) -> Pool:
    """The next version of a pool, its counts kept; an end that has passed may stay, and no new one may lie in the past.
    Raises INVALID / BAD_POOL with the place, CONFLICT / ETAG_MISMATCH, and CONFLICT / POOL_IN_USE for a pattern that
    comes or goes once there are codes."""
    if etag and etag != (before.etag if before is not None else ""):
        raise conflict("ETAG_MISMATCH", "the pool was changed meanwhile: read it again")
    if not is_pool_name(asked.name):
        raise _bad("name", "1 to 63 small letters, digits and dashes")
    if asked.unit not in _UNITS or (asked.value_units and not asked.unit):
        raise _bad("unit", "says what the value is of: money or per cent")
    if not 0 <= asked.value_units <= MAX_DECIMAL_UNITS:
        raise _bad("value_units", "is 0 or more, and at most 9e14")
    if asked.unit == "percent" and asked.value_units > 1_000_000:
        raise _bad("value_units", "is at most 100 per cent")
    if asked.pattern and (_PATTERN.fullmatch(asked.pattern) is None or asked.pattern.count(WILD) < LEAST_WILD):
        what = f'6 to 64 capital letters, digits, "-" and "_", with at least {LEAST_WILD} times "{WILD}"'
        raise _bad("pattern", what)
    if asked.valid_days > MOST_VALID_DAYS:
        raise _bad("valid_days", f"is at most {MOST_VALID_DAYS}")
    if asked.expires_at_us < 0:
        raise _bad("expires_at_us", "is an instant, or 0")
    if 0 < asked.expires_at_us <= now_us and (before is None or before.expires_at_us != asked.expires_at_us):
        raise _bad("expires_at_us", "lies in the past: no coupon of the pool would ever be good")
    if before is not None and bool(before.pattern) != bool(asked.pattern) and before.added + before.issued:
        raise conflict("POOL_IN_USE", "the pool has codes already; make another pool for codes of the other kind")
    kept = before or Pool(asked.name)
    return replace(
        asked,
        limit=asked.limit or 1,
        redemptions=asked.redemptions or 1,
        version=kept.version + 1,
        added=kept.added,
        issued=kept.issued,
        redeemed=kept.redeemed,
        expired=kept.expired,
    )


def checked_code(code: str, path: str) -> str:
    """A code of 4 to 64 printable characters without spaces. Raises INVALID / BAD_CODE."""
    if _CODE.fullmatch(code) is None:
        what = "a code has 4 to 64 letters, digits and signs of ASCII, and no spaces"
        raise invalid(BAD_CODE, f"{path}: {what}", Violation(path, what))
    return code


def made_code(pattern: str, choose: Callable[[str], str]) -> str:
    """A code by a pattern; `choose` picks a letter."""
    return "".join(choose(ALPHABET) if one == WILD else one for one in pattern)


def require_issuable(pool: Pool, issued_to_person: int, now_us: int) -> None:
    """Raises CONFLICT / POOL_EXPIRED, EXHAUSTED / COUPON_LIMIT for a person who has had all, POOL_EMPTY."""
    if pool.expires_at_us and pool.expires_at_us <= now_us:
        raise conflict("POOL_EXPIRED", f"coupons of pool {pool.name!r} are void already")
    if issued_to_person >= pool.limit:
        raise CdpError(Code.EXHAUSTED, "COUPON_LIMIT", f"a person gets at most {pool.limit} of pool {pool.name!r}")
    if not pool.pattern and pool.left <= 0:
        raise CdpError(Code.EXHAUSTED, "POOL_EMPTY", f"pool {pool.name!r} has no codes left: add some")


def _bad(path: str, what: str) -> CdpError:
    return invalid(BAD_POOL, f"pool.{path}: {what}", Violation(f"pool.{path}", what))
