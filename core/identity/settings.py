"""What a workspace set about its identifiers: kept as a value, changed by orders in the log, compiled into rules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256

from core.errors import Violation, invalid
from core.events.columns import Identifier
from core.identity.normalise import normalised
from core.identity.rules import CONTACT_KEY, DEFAULT_KINDS, EXTERNAL_ID, IdentityRules, KindRule, Matches

BAD_IDENTITY_RULES = "BAD_IDENTITY_RULES"

DEFAULT_MOVES_LIMIT = 100
MAX_MOVES_LIMIT = 10_000
MAX_OWN_KINDS = 32
MAX_LIMIT = 1_000
MAX_PRIORITY = 1_000
MAX_BLOCKED = 10_000
MAX_PATTERNS = 50
_MAX_VALUE_BYTES = 512
_FIRST_OWN_CODE = 32
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

#: Text of an RE2 pattern -> what it matches. Raises ValueError, saying why, for what is no pattern.
PatternCompiler = Callable[[str], Matches]


@dataclass(frozen=True, slots=True)
class Blocked:
    """An identifier that names nobody: a value (normalised), or a pattern that is searched in it. `kind` "": any."""

    kind: str
    value: str = ""
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """The settings of one workspace; `revision` counts their changes. Codes of kinds never change, kinds never go."""

    kinds: Mapping[str, KindRule] = field(default_factory=lambda: DEFAULT_KINDS)
    moves_limit: int = DEFAULT_MOVES_LIMIT
    blocked: tuple[Blocked, ...] = ()
    revision: int = 0

    @property
    def etag(self) -> str:
        """Another text for every change."""
        return sha256(encode_settings(self)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class KindChange:
    """What is asked of one kind, as in KindRule."""

    name: str
    priority: int
    limit: int
    strong: bool
    known: bool
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """What is asked of the settings. A kind that is not among `kinds` stays as it is; `blocked` is the whole list;
    `moves_limit` 0 is the default. A non-empty `etag` must be that of the settings that are changed."""

    kinds: tuple[KindChange, ...] = ()
    moves_limit: int = 0
    blocked: tuple[Blocked, ...] = ()
    etag: str = ""


def no_patterns(pattern: str) -> Matches:
    """The compiler of a platform without patterns: refuses each."""
    raise ValueError(f"patterns are not supported here: {pattern!r}")


def changed(settings: IdentitySettings, change: SettingsChange, compile_pattern: PatternCompiler) -> IdentitySettings:
    """The settings after `change`. Raises INVALID / BAD_IDENTITY_RULES with the path of everything that is wrong.
    The etag is the caller's to compare."""
    bad: list[Violation] = []
    kinds = dict(settings.kinds)
    for number, one in enumerate(change.kinds):
        wrong = _wrong_kind(one, kinds.get(one.name))
        if wrong:
            bad.append(Violation(f"rules.kinds[{number}]", wrong))
            continue
        before = kinds.get(one.name)
        code = _next_code(kinds) if before is None else before.code
        kinds[one.name] = KindRule(code, one.priority, one.limit, one.strong, one.known, one.disabled)
    if len({one.name for one in change.kinds}) < len(change.kinds):
        bad.append(Violation("rules.kinds", "one kind stands there twice"))
    if len(kinds) > len(DEFAULT_KINDS) + MAX_OWN_KINDS:
        bad.append(Violation("rules.kinds", f"a workspace has at most {MAX_OWN_KINDS} kinds of its own"))
    if not 0 <= change.moves_limit <= MAX_MOVES_LIMIT:
        bad.append(Violation("rules.moves_limit", f"at most {MAX_MOVES_LIMIT}"))
    if len(change.blocked) > MAX_BLOCKED or sum(bool(one.pattern) for one in change.blocked) > MAX_PATTERNS:
        bad.append(Violation("rules.blocked", f"at most {MAX_BLOCKED} values and {MAX_PATTERNS} patterns"))
    for number, block in enumerate(change.blocked[:MAX_BLOCKED]):
        wrong = _wrong_block(block, kinds, compile_pattern)
        if wrong:
            bad.append(Violation(f"rules.blocked[{number}]", wrong))
    if bad:
        raise invalid(BAD_IDENTITY_RULES, "the rules about identifiers are not sound", *bad)
    blocked = tuple(dict.fromkeys(change.blocked))
    moves_limit = change.moves_limit or DEFAULT_MOVES_LIMIT
    return replace(settings, kinds=kinds, moves_limit=moves_limit, blocked=blocked, revision=settings.revision + 1)


def rules_of(settings: IdentitySettings, base: IdentityRules, compile_pattern: PatternCompiler) -> IdentityRules:
    """The rules that `settings` mean; `base` gives the normaliser of phones. Blocked values count in their normal
    form, and as they are written."""
    plain = replace(base, kinds=settings.kinds, moves_limit=settings.moves_limit, blocked=frozenset(), patterns=())
    blocked = set()
    for one in settings.blocked:
        if one.pattern:
            continue
        blocked.add((one.kind, one.value))
        for kind in (one.kind,) if one.kind else tuple(settings.kinds):
            normal = normalised(Identifier(kind, one.value), plain)
            if normal is not None:
                blocked.add((kind, normal.value))
    patterns = tuple((one.kind, compile_pattern(one.pattern)) for one in settings.blocked if one.pattern)
    return replace(plain, blocked=frozenset(blocked), patterns=patterns)


def encode_settings(settings: IdentitySettings) -> bytes:
    """JSON with sorted keys: equal settings give equal bytes."""
    return json.dumps({"v": 1, **asdict(settings)}, sort_keys=True, separators=(",", ":")).encode()


def decode_settings(raw: bytes) -> IdentitySettings:
    """The inverse. Raises ValueError for bytes of another version."""
    plain = json.loads(raw)
    if plain["v"] != 1:
        raise ValueError(f"rules about identifiers of format {plain['v']}, this release reads 1")
    return IdentitySettings(
        kinds={name: KindRule(**rule) for name, rule in plain["kinds"].items()},
        moves_limit=plain["moves_limit"],
        blocked=tuple(Blocked(**one) for one in plain["blocked"]),
        revision=plain["revision"],
    )


def kinds_in_order(settings: IdentitySettings) -> Sequence[tuple[str, KindRule]]:
    """The kinds that a caller sees, by priority, then by code; the platform's own key is none of them."""
    visible = [(name, rule) for name, rule in settings.kinds.items() if name != CONTACT_KEY]
    return sorted(visible, key=lambda one: (one[1].priority, one[1].code))


def _next_code(kinds: Mapping[str, KindRule]) -> int:
    return max((_FIRST_OWN_CODE, *(kind.code + 1 for kind in kinds.values())))


def _wrong_kind(one: KindChange, before: KindRule | None) -> str:
    if one.name == CONTACT_KEY:
        return "the platform's own key has no rules"
    if not _NAME.fullmatch(one.name):
        return "a name has 1 to 40 small letters, digits and underscores, and begins with a letter"
    if one.name == EXTERNAL_ID and one.limit != 1:
        return "a profile has one external id: two are never one person"
    if not 1 <= one.limit <= MAX_LIMIT:
        return f"limit: from 1 to {MAX_LIMIT}"
    if not 1 <= one.priority <= MAX_PRIORITY:
        return f"priority: from 1 to {MAX_PRIORITY}"
    if before is not None and (before.strong, before.known) != (one.strong, one.known):
        return "strong and known never change: make a kind of another name"
    return ""


def _wrong_block(one: Blocked, kinds: Mapping[str, KindRule], compile_pattern: PatternCompiler) -> str:
    if one.kind and (one.kind not in kinds or one.kind == CONTACT_KEY):
        return f"there is no kind {one.kind!r}"
    if bool(one.value) == bool(one.pattern):
        return "give a value or a pattern"
    if len((one.value or one.pattern).encode("utf-8", "surrogatepass")) > _MAX_VALUE_BYTES:
        return f"at most {_MAX_VALUE_BYTES} bytes"
    if one.pattern:
        try:
            compile_pattern(one.pattern)
        except ValueError as error:
            return str(error)
    return ""
