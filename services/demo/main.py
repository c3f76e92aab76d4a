"""The command `cdp demo`, and what `cdp up --demo` needs to start it. Imports little: every `cdp` command loads it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc

from services.demo.client import DemoError
from services.demo.journey import ZONE as ZONE  # the zone of the workspace that a host makes for the demo
from services.runtime.server_process import free_port

if TYPE_CHECKING:
    from services.demo.run import Options
    from services.runtime.settings import Settings

_SMTP_PORT = 1025
_LIMIT_REASON = 300


def host_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a `cdp up --demo`: mail goes to a free port where the demo will listen, logs keep quiet."""
    return {
        "CDP_SMTP_URL": f"smtp://127.0.0.1:{free_port()}",
        "CDP_LOG_LEVEL": "warning",
        **environment,
    }


def child_arguments(settings: Settings, grpc_port: int, http_port: int) -> list[str]:
    """Arguments of the `cdp demo` that belongs to a host with these ports."""
    mail = urlsplit(settings.smtp_url)
    arguments = [
        "--address", f"127.0.0.1:{grpc_port}",
        "--http-url", f"http://127.0.0.1:{http_port}",
        "--key-file", str(settings.data_dir / "dev-key"),
        "--stay",
    ]  # fmt: skip
    if mail.hostname in ("127.0.0.1", "localhost") and mail.port:
        return [*arguments, "--smtp-port", str(mail.port)]
    return [*arguments, "--no-scenarios"]  # its mail would go to a real server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `cdp demo`."""
    parser.add_argument("--address", default="127.0.0.1:50051", help="host:port of gRPC (%(default)s)")
    parser.add_argument("--http-url", default="http://127.0.0.1:8080", help="HTTP endpoint (%(default)s)")
    parser.add_argument("--key", help="API key of scope admin; default: read from --key-file")
    parser.add_argument("--key-file", type=Path, default=Path("data/dev-key"), help="(%(default)s)")
    parser.add_argument(
        "--smtp-port", type=int, default=_SMTP_PORT, help="the demo listens here for the platform's mail (%(default)s)"
    )
    parser.add_argument(
        "--share", type=float, default=None, help="share of the households; default: CDP_DEMO_SHARE, else all"
    )
    parser.add_argument("--hour-s", type=float, default=0.25, help="seconds of an hour of a scenario (%(default)s)")
    parser.add_argument("--no-scenarios", action="store_true", help="load and show segments only")
    parser.add_argument("--stay", action="store_true", help="afterwards show what arrives until stopped")


def main(arguments: argparse.Namespace) -> int:
    """Run it. Returns the exit code; what goes wrong is one line on standard error."""
    try:
        asyncio.run(_until_stopped(_options(arguments)))
    except DemoError as error:
        return _failed(str(error))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return _failed(f"nothing answers at {arguments.address} (start `cdp up` first): {_said(error)}")
        return _failed(f"the platform refused: {error.code().name}: {_said(error)}")
    except ModuleNotFoundError as error:
        return _failed(f"{error.name} is not installed: the demo needs the extra, pip install 'cdp[demo]'")
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 0
    return 0


async def _until_stopped(options: Options) -> None:
    from rich.console import Console

    from services.demo.run import run_demo  # here, because it needs the extra `demo`
    from services.demo.screen import Screen

    task = asyncio.current_task()
    assert task is not None, "asyncio.run runs a task"
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    # Piped output has no width of its own: wide enough for the tables.
    console = Console() if sys.stdout.isatty() else Console(width=130, force_terminal=False)
    await run_demo(options, Screen(console))


def _options(arguments: argparse.Namespace) -> Options:
    from services.demo.run import Options

    share = arguments.share if arguments.share is not None else _share(os.environ.get("CDP_DEMO_SHARE", "1"))
    if not 0 < share <= 1:
        raise DemoError(f"the share of households lies above 0 and at most at 1, not {share:g}")
    if not 0 < arguments.hour_s <= 3600:
        raise DemoError("--hour-s: an hour takes more than 0 s and at most 3600 s")
    return Options(
        address=arguments.address,
        http_url=arguments.http_url.rstrip("/"),
        secret=arguments.key or _key(arguments.key_file),
        smtp_port=arguments.smtp_port,
        share=share,
        hour_s=arguments.hour_s,
        with_plays=not arguments.no_scenarios,
        stay=arguments.stay,
    )


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DemoError(f"CDP_DEMO_SHARE: {text!r} is no number") from error


def _key(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise DemoError(f"no API key in {path}: start `cdp up` first, or give --key") from error


def _said(error: grpc.aio.AioRpcError) -> str:
    return (error.details() or "")[:_LIMIT_REASON]


def _failed(message: str) -> int:
    print(f"cdp demo: {message}", file=sys.stderr)
    return 1
