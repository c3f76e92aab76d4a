"""segment-analytics-python tells the story on its input: `python segment_story.py URL KEY [flush]`.

Without `flush` it just ends: what the SDK does at exit must be enough.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import segment.analytics as sdk

#: A person needs a while from one step to the next; without it the time that a call is under way could turn them round.
PAUSE_S = 0.1


def tell(client: Any, step: dict[str, Any]) -> None:
    """One step of the story."""
    match step["do"]:
        case "page":
            client.page(**who(step), name=step["name"], properties=step["properties"])
        case "screen":
            client.screen(**who(step), name=step["name"])
        case "track":
            client.track(**who(step), event=step["event"], properties=step["properties"])
        case "alias":
            client.alias(previous_id=step["visitor"], user_id=step["user"])
        case "identify":
            client.identify(user_id=step["user"], traits=step["traits"])
        case "group":
            client.group(user_id=step["user"], group_id=step["group"], traits=step["traits"])


def who(step: dict[str, Any]) -> dict[str, str]:
    """The person, or the visitor that nobody knows yet."""
    return {"user_id": step["user"]} if step["known"] else {"anonymous_id": step["visitor"]}


def main() -> None:
    """Tell all of it."""
    url, key, *rest = sys.argv[1:]
    client = sdk.Client(key, host=url, gzip=True)
    for step in json.load(sys.stdin):
        tell(client, step)
        time.sleep(PAUSE_S)
    if rest == ["flush"]:
        client.flush()


if __name__ == "__main__":
    main()
