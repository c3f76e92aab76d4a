"""Log lines hold what is ours: listed fields, hashed ids, sentences without their quotes, traces without their data."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from core.errors import CdpError, Code
from services.runtime import private_logs
from services.runtime.telemetry import configure_logging, get_logger

SERVICES = Path(__file__).parents[3] / "services"
SECRET = "zoe@pii.example"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What logging prints when it is set up as in production."""
    handlers, printed = list(logging.getLogger().handlers), io.StringIO()
    monkeypatch.setattr("sys.stderr", printed)
    configure_logging("json", "debug", "key of the installation")
    yield printed
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def told(lines: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def fields_logged() -> dict[str, str]:
    """Every field that the services log, with one place that logs it."""
    found: dict[str, str] = {}
    for path in SERVICES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            by_logger = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name)
            if by_logger and called.value.id == "_LOG":  # type: ignore[attr-defined]
                found |= {str(one.arg): f"{path.name}:{node.lineno}" for one in node.keywords}
    return found


def test_every_field_that_is_logged_is_listed() -> None:
    listed = private_logs.SHOWN | private_logs.HASHED | private_logs.REASONS | private_logs.SENTENCES | {"exc_info"}
    fields = fields_logged()
    assert len(fields) > 20
    hidden = {name: place for name, place in fields.items() if name not in listed}
    assert not hidden, f"hidden in the log until services/runtime/private_logs.py says how they are shown: {hidden}"


def test_fields_by_their_names(lines: io.StringIO) -> None:
    log = get_logger("here")
    log.info("it happened", workspace="acme", run=SECRET, position=7, email=SECRET, reason=SECRET, error=f"no {SECRET}")
    log.info("it happened", run=SECRET, scenario="another", feed=3, reason="PEER_UNAVAILABLE", error='no "Zoe" here')
    first, second = told(lines)
    assert {key: first[key] for key in ("module", "workspace", "position")} == {
        "module": "here", "workspace": "acme", "position": 7,
    }  # fmt: skip
    assert (first["email"], first["reason"], first["error"]) == ("(hidden)", "(hidden)", "no '...'")
    assert first["run"] == second["run"] == private_logs.log_id(SECRET) != second["scenario"]
    assert len(str(first["run"])) == 12
    assert (second["feed"], second["reason"], second["error"]) == (3, "PEER_UNAVAILABLE", "no '...' here")
    private_logs.hash_ids_with(b"another key")
    assert private_logs.log_id(SECRET) != first["run"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the log's disk is full", "the log's disk is full"),
        ("no file 'zoe.csv', try another", "no file '...', try another"),
        ("an unfinished \"zoe and 'more", "an unfinished '...'"),
        ("call +380 (50) 123-45-67 now", "call '...' now"),
        ("key cdp_0123456789ab_" + "A" * 43 + " is bad", "key '...' is bad"),
        ("connect to 127.0.0.1:6379: refused", "connect to 127.0.0.1:6379: refused"),
        (r"b'zo\'e' and `zoe`", "'...' and '...'"),
    ],
)
def test_sentences(text: str, shown: str) -> None:
    assert private_logs.sentence(text) == shown


def failing() -> None:
    try:
        try:
            {"name": 1}[SECRET]
        except KeyError as error:
            raise ValueError(f"no such thing: {SECRET}") from error
    except ValueError as error:
        raise ExceptionGroup(SECRET, [error, CdpError(Code.INVALID, "BAD", f"no {SECRET!r}")]) from None


def test_a_trace_says_where_and_not_what(lines: io.StringIO) -> None:
    try:
        failing()
    except ExceptionGroup as error:
        get_logger("here").error("unexpected error", exc_info=error)
        get_logger("here").exception("again")
    logging.getLogger("asyncio").warning(
        "Task exception was never retrieved\nfuture: %s", SECRET, exc_info=OSError(5, "EIO")
    )
    first, again, library = told(lines)
    assert SECRET not in str((first, again, library))
    assert first["exception"] == again["exception"]
    text = str(first["exception"])
    for part in ("in failing", "KeyError: a message of", "ValueError: a message of", "CdpError: BAD: no '...'"):
        assert part in text
    assert (library["module"], library["event"]) == ("asyncio", "Task exception was never retrieved")
    assert str(library["exception"]).endswith("OSError: [5] EIO")
