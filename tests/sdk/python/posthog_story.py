"""posthog (Python) tells the story on its input: `python posthog_story.py URL KEY [flush]`.

Without `flush` it just ends: what the SDK does at exit must be enough. A visitor that nobody knows is told without a
person's profile, as PostHog calls it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from posthog import Posthog

#: A person needs a while from one step to the next; without it the time that a call is under way could turn them round.
PAUSE_S = 0.1


def tell(client: Posthog, step: dict[str, Any]) -> None:
    """One step of the story."""
    match step["do"]:
        case "page":
            own = {"$current_url": step["properties"]["url"]}
            client.capture("$pageview", **who(step, {"name": step["name"], **own}))
        case "screen":
            client.capture("$screen", **who(step, {"$screen_name": step["name"]}))
        case "track":
            client.capture(step["event"], **who(step, step["properties"]))
        case "alias":
            client.alias(previous_id=step["visitor"], distinct_id=step["user"])
        case "identify":
            client.set(distinct_id=step["user"], properties=step["traits"])
        case "group":
            client.group_identify("company", step["group"], step["traits"], distinct_id=step["user"])


def who(step: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """The person, or the visitor that nobody knows yet, and what is told."""
    if step["known"]:
        return {"distinct_id": step["user"], "properties": properties}
    return {"distinct_id": step["visitor"], "properties": {**properties, "$process_person_profile": False}}


def main() -> None:
    """Tell all of it."""
    url, key, *rest = sys.argv[1:]
    client = Posthog(key, host=url)
    for step in json.load(sys.stdin):
        tell(client, step)
        time.sleep(PAUSE_S)
    if rest == ["flush"]:
        client.flush()


if __name__ == "__main__":
    main()
