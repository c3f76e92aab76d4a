"""`cdp demo` as a person uses it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.demo.journey import read
from services.demo.main import child_arguments, host_environment
from services.demo.plays import EXPECTED
from services.runtime.server_process import free_port
from services.runtime.settings import Settings

_READY_S = 60.0


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--key-file", "nowhere/dev-key"), "no API key in nowhere/dev-key"),
        (("--key", "k", "--share", "1.5"), "share of households"),
        (("--key", "k", "--hour-s", "0"), "--hour-s"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = demo(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_child_finds_its_host(tmp_path: Path) -> None:
    environment = host_environment({"CDP_DATA_DIR": str(tmp_path)})
    settings = Settings.from_environment(environment)
    arguments = child_arguments(settings, 1111, 2222)
    port = environment["CDP_SMTP_URL"].rpartition(":")[2]
    assert arguments[arguments.index("--smtp-port") + 1] == port
    assert arguments[arguments.index("--address") + 1] == "127.0.0.1:1111"
    assert arguments[arguments.index("--key-file") + 1] == str(tmp_path / "dev-key")


def test_a_real_mail_server_is_not_used_for_the_cart(tmp_path: Path) -> None:
    environment = host_environment({"CDP_DATA_DIR": str(tmp_path), "CDP_SMTP_URL": "smtp://mail.example.com:25"})
    arguments = child_arguments(Settings.from_environment(environment), 1111, 2222)
    assert "--no-scenarios" in arguments
    assert "--smtp-port" not in arguments


@pytest.fixture
def house(tmp_path: Path) -> Iterator[list[str]]:
    """A platform in a process of its own; gives the arguments by which the demo finds it."""
    environment = host_environment({key: value for key, value in os.environ.items() if not key.startswith("CDP_")})
    grpc_port, http_port = free_port(), free_port()
    environment |= {
        "CDP_DATA_DIR": str(tmp_path),
        "CDP_GRPC_PORT": str(grpc_port),
        "CDP_HTTP_PORT": str(http_port),
        "CDP_DRAIN_S": "0.1",
    }
    command = [sys.executable, "-m", "services", "up"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready"), "the platform did not start"
        settings = Settings.from_environment(environment)
        yield [one for one in child_arguments(settings, grpc_port, http_port) if one != "--stay"]
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_the_whole_demo_twice_over_a_small_share(house: list[str]) -> None:
    first = demo(*house, "--share", "0.02", "--hour-s", "0.05")
    assert first.returncode == 0, first.stdout + first.stderr
    orders = len(read(0.02).orders)
    assert f"agrees: 49 contacts and {orders:,} orders" in first.stdout
    lines = first.stdout.splitlines()
    for (name, channel), count in EXPECTED.items():
        pattern = re.compile(rf"  \+ .{{9}}  {name:<5} {channel:<9} ")
        assert sum(1 for line in lines if pattern.match(line)) == count, f"{channel} to {name}"
    assert "Still in your cart: 3 things wait for you." in first.stdout
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in first.stdout
    assert "4 signed click links, 1 open pixel, 1 unsubscribe link, 0 links past the platform" in first.stdout
    assert re.search(r"Bo +Abandoned cart +.*: exit_when", first.stdout)
    assert re.search(r"Ann +Abandoned cart +.*offer, done: done", first.stdout)
    second = demo(*house, "--share", "0.02", "--no-scenarios")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "already loaded: 49 contacts" in second.stdout
    other = demo(*house, "--share", "0.01", "--no-scenarios")
    assert other.returncode == 1
    assert "other data" in other.stderr
