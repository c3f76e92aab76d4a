"""What a log line may hold: fields by an allow-list, ids as hashes, no value that a stranger sent.

A person's data comes in by many doors and in every field; it may stand in an id, in a name, in the message of an
exception. So it is not looked for: a field is shown because its name is listed here, text of errors without what it
quotes, and an exception by where it was raised. Whoever needs the data itself has the dead letters and the API.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import MutableMapping
from hashlib import blake2b
from typing import Any

from core.errors import CdpError

#: Fields whose values are ours: made by this code, or set by those who run it.
SHOWN = frozenset({
    "accepted", "after", "below", "bytes", "changed", "channel", "consumer", "count", "days", "end", "entries", "epoch",
    "event", "file", "files", "free_bytes", "grpc", "http_port", "keep_free_bytes", "lease", "left", "level",
    "method", "module", "number", "on", "orders", "path", "pause_s", "position", "read", "recorded", "rejected",
    "removed", "returncode", "role", "roles", "row", "short", "state", "timestamp", "waited_s", "where", "workspace",
})  # fmt: skip
#: Names and ids that a workspace chose: by a hash, which is the same wherever one id is logged.
HASHED = frozenset({"check", "feed", "launch", "model", "pool", "popup", "provider", "run", "scenario"})
#: Reasons are stable words; whatever is none is hidden.
REASONS = frozenset({"first", "reason"})
#: Sentences, shown without what they quote.
SENTENCES = frozenset({"error"})

_HIDDEN = "(hidden)"
_REASON = re.compile(r"[A-Za-z][A-Za-z0-9_]*(:[A-Z][A-Z0-9_]*)?( \(\d+\))?")
_QUOTED = re.compile(
    r"""(?<!\w)b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*"|(?<!\w)'.*|".*|`[^`]*`"""  # the unfinished ones too
    r"""|\S*@\S*|\+?\d[\d ()-]{6,}\d|\S{25,}""",
    re.DOTALL,
)
#: Their messages are the interpreter's or the system's own words.
_PLAIN = (TypeError, AttributeError, NameError, ImportError, RecursionError, NotImplementedError)
_MOST_OF_A_GROUP = 5

_key = b""


def hash_ids_with(key: bytes) -> None:
    """The key of `log_id`: the same in all processes of an installation, so that their lines can be put together, and
    secret, so that nobody finds an id by hashing all telephone numbers."""
    global _key
    _key = key[:64]


def log_id(value: object) -> str:
    """An id as it may stand in a log line: 12 hexadecimal digits."""
    return blake2b(str(value).encode("utf-8", "surrogatepass"), key=_key, digest_size=6).hexdigest()


def sentence(text: str) -> str:
    """`text` without what it quotes, addresses, long numbers and anything that could be a token."""
    return _QUOTED.sub("'...'", text)


def private(_logger: object, _name: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the record with what may be shown."""
    for field, value in record.items():
        if field in SHOWN or value is None:
            continue
        if field in HASHED:
            record[field] = value if type(value) is int else log_id(value)
        elif field in REASONS:
            record[field] = value if _REASON.fullmatch(str(value)) else _HIDDEN
        elif field in SENTENCES:
            record[field] = sentence(str(value))
        elif field != "exc_info":
            record[field] = _HIDDEN
    return record


def trace(_logger: object, _name: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: `exc_info` as text under `exception`, see `traced`."""
    error = record.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        record["exception"] = traced(error)
    return record


def traced(error: BaseException) -> str:
    """Where `error` and what led to it were raised, first the first; their messages as far as they are ours."""
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "\n".join(_traced_alone(one) for one in reversed(chain))


def _traced_alone(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    text = f"{frames}{type(error).__module__}.{type(error).__qualname__}: {_told(error)}"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions[:_MOST_OF_A_GROUP]:
            text += "\n  | " + traced(inner).replace("\n", "\n  | ")
    return text


def _told(error: BaseException) -> str:
    if isinstance(error, CdpError):
        return f"{error.reason}: {sentence(error.message)}"
    if isinstance(error, OSError):
        return f"[{error.errno}] {sentence(error.strerror or '')}"
    text = str(error)
    return sentence(text) if isinstance(error, _PLAIN) else f"a message of {len(text)} characters, {log_id(text)}"
