"""h2load as the independent check: another program, another language, the same server.

It speaks HTTP/2, and a unary call of gRPC is a POST with a length-prefixed body. It paces its calls by a rate as well,
but counts from the sending of a call, not from when it was due. It sees the HTTP status (200 whatever gRPC says) and
not the gRPC status in the trailers: errors are told by our client alone.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections import Counter
from pathlib import Path

from cdp.segment.v1 import segment_pb2
from tests.load.mix import COUNT, METHODS, saved_names
from tests.load.outcome import figures, new_histogram

_CONNECTIONS = 4
_STREAMS = 100
_OK = "200"


def h2load_path() -> str | None:
    """Where it is; None: not installed (Debian package nghttp2-client)."""
    return shutil.which("h2load")


async def second_opinion(
    address: str, secret: str, rate: int, seconds: float, warm_s: float, folder: Path
) -> dict[str, object]:
    """Percentiles of Count of one saved segment at `rate` calls a second. Raises RuntimeError if h2load fails."""
    program = h2load_path()
    if program is None:
        return {"left_out": "h2load is not installed (Debian package nghttp2-client)"}
    message = segment_pb2.CountRequest(name=saved_names()[0]).SerializeToString()
    body, log = folder / "count.bin", folder / "h2load.tsv"
    body.write_bytes(struct.pack(">BI", 0, len(message)) + message)
    command = (
        f"--clients={_CONNECTIONS}",
        f"--max-concurrent-streams={_STREAMS}",
        f"--rps={max(1, rate // _CONNECTIONS)}",
        f"--duration={max(1, round(seconds))}",
        f"--warm-up-time={max(1, round(warm_s))}",
        f"--data={body}",
        f"--log-file={log}",
        "--header=content-type: application/grpc",
        "--header=te: trailers",
        f"--header=authorization: Bearer {secret}",
        f"http://{address}{METHODS[COUNT]}",
    )
    child = await asyncio.create_subprocess_exec(
        program, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await child.communicate()
    if child.returncode != 0 or not log.exists():
        raise RuntimeError(f"h2load ended with {child.returncode}: {out.decode()[-1_000:]}")
    return {"rate": rate, **read_log(log.read_text())}


def read_log(text: str) -> dict[str, object]:
    """Percentiles of the calls answered with 200, and the others by HTTP status (-1: the stream failed). A line is the
    start in microseconds, the status, and microseconds to the end of the answer."""
    histogram, others = new_histogram(), Counter[str]()
    for line in text.splitlines():
        _, status, took_us = line.split("\t")[:3]
        if status == _OK:
            histogram.record_value(max(1, int(took_us)))
        else:
            others[status] += 1
    return {**figures(histogram), "not_200": dict(others)}
