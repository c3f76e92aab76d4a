"""The command `cdp`: the one place that sees two services."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping

from core.errors import CdpError
from services.channel import app as channel
from services.demo import main as demo
from services.ingest import app as ingest
from services.ingest import import_command
from services.profile_unification import app as profile_unification
from services.profile_unification import dead_letter_command
from services.runtime.clock import SystemClock
from services.runtime.collector import Collector
from services.runtime.embedded_log import open_log
from services.runtime.host import Build, Host
from services.runtime.redis_lane import Confirmation
from services.runtime.roles import Role
from services.runtime.settings import Settings
from services.runtime.telemetry import configure_logging
from services.scenario import app as scenario
from services.segment_engine import app as segment_engine

BUILDS: Mapping[Role, Build] = {
    Role.INGEST: ingest.build,
    Role.PROFILE_UNIFICATION: profile_unification.build,
    Role.SEGMENT_ENGINE: segment_engine.build,
    Role.SCENARIO: scenario.build,
    Role.CHANNEL: channel.build,
}

_READY_WITHIN_S = 120.0


async def serve(settings: Settings, *, with_demo: bool) -> int:
    """Run the roles until a signal says stop. Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log, server = await open_log(
        settings.redis_url,
        settings.data_dir,
        fsync="always" if settings.fsync == "always" else "everysec",
        confirmation=Confirmation(replicas=settings.wait_replicas),
        keep_free_bytes=settings.log_keep_free_bytes,
    )
    host = Host(settings, SystemClock(), log, BUILDS)
    try:
        await host.start()
        secret = None
        if Role.INGEST in settings.roles and server is not None:
            secret = await development_key(host, demo.ZONE if with_demo else "UTC")
        await host.wait_ready(_READY_WITHIN_S)
        _say_where(settings, host, secret)
        if with_demo:
            await _run_demo(host, stop)
        await stop.wait()
        return 0
    finally:
        await host.stop()
        await log.close()
        if server is not None:
            await server.close()


async def development_key(host: Host, zone: str = "UTC") -> str | None:
    """The key of workspace "dev", which is made in `zone` on the first start; None where somebody set up others."""
    return await ingest.ensure_development_key(host.runtime, host.service(Role.INGEST), zone)


def _say_where(settings: Settings, host: Host, secret: str | None) -> None:
    if settings.log_format == "json":
        return  # the log says where it listens, and nobody reads this
    print(f"ready: {', '.join(settings.roles)}")
    print(f"  gRPC     {host.runtime.owner}")
    print(f"  HTTP     http://{settings.http_host}:{host.http_port}   (/metrics, /healthz)")
    if secret is not None:
        print(f"  API key  {secret}   (workspace dev, kept in {settings.data_dir / 'dev-key'})")
    sys.stdout.flush()


async def _run_demo(host: Host, stop: asyncio.Event) -> None:
    """The demo is a client like any other: its own process, so that it has the other core."""
    arguments = demo.child_arguments(host.runtime.settings, host.grpc_port, host.http_port)
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "services", "demo", *arguments)
    ended = asyncio.create_task(child.wait())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        child.terminate()
        await ended
    stopped.cancel()


def main() -> None:
    """Entry point of the console script."""
    parser = argparse.ArgumentParser(prog="cdp", description="Customer data platform: five services, one command.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run roles until stopped")
    up.add_argument("--roles", help="comma list of roles; default: CDP_ROLES, else all")
    up.add_argument("--demo", action="store_true", help="then load and show the demo")
    demo.add_arguments(commands.add_parser("demo", help="load and show the demo against a running `cdp up`"))
    dead_letter_command.add_arguments(commands.add_parser("dead-letters", help="show and replay what was set aside"))
    import_command.add_arguments(commands.add_parser("import", help="import a file into a running `cdp up`"))
    commands.add_parser("settings", help="show every setting with its value")
    arguments = parser.parse_args()
    environment = dict(os.environ)
    if getattr(arguments, "roles", None):
        environment["CDP_ROLES"] = arguments.roles
    try:
        if arguments.command == "demo":
            sys.exit(demo.main(arguments))
        if arguments.command == "import":
            sys.exit(import_command.main(arguments))
        if arguments.command == "dead-letters":
            sys.exit(dead_letter_command.main(arguments))
        if arguments.command == "up" and arguments.demo:
            environment = demo.host_environment(environment)
        settings = Settings.from_environment(environment)
        configure_logging(settings.log_format, settings.log_level, settings.internal_token)
        if arguments.command == "settings":
            settings.show()
            sys.exit(0)
        sys.setswitchinterval(0.0005)  # a busy thread must not hold back answers; see core/query/README.md
        Collector().install()
        sys.exit(asyncio.run(serve(settings, with_demo=arguments.demo)))
    except CdpError as error:
        sys.exit(f"cdp: {error.message} [{error.reason}]")


if __name__ == "__main__":
    main()
