"""What the HTTP endpoints are sent: every route of the running services, and a document of its SDK for each.

Routes are found, not listed: one without a document of its own is sent `ANY`, which has the fields of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from services.runtime.roles import ALL_ROLES, Role
from tests.flow.platform import Platform

_AT = "2026-11-02T09:59:00.000Z"
_CONTEXT = {
    "page": {"url": "https://shop.example/a", "referrer": "https://shop.example/", "title": "A", "search": "?q=a"},
    "campaign": {"name": "autumn", "source": "letter", "medium": "email"},
    "userAgent": "Mozilla/5.0", "locale": "uk-UA", "timezone": "Europe/Kyiv", "ip": "203.0.113.9",
    "device": {"id": "d1", "type": "mobile", "model": "x"}, "os": {"name": "Linux", "version": "1"},
    "traits": {"plan": "gold"}, "screen": {"width": 100, "height": 200}, "userAgentData": {"mobile": False},
}  # fmt: skip
_CALL = {
    "userId": "shape-1", "anonymousId": "shape-cookie", "messageId": "shape-m", "timestamp": _AT, "sentAt": _AT,
    "originalTimestamp": _AT, "context": _CONTEXT, "integrations": {"All": True},
}  # fmt: skip
_TRACK = {
    **_CALL, "event": "Shape Seen",
    "properties": {"name": "A", "price": 1.5, "count": 2, "tags": ["a", "b"], "deep": {"er": {"yet": 1}},
                   "products": [{"product_id": "p1", "price": 2, "quantity": 1}]},
}  # fmt: skip
_TRAITS = {"email": "shape@example.com", "phone": "+380501112233", "first_name": "Ann", "age": 30,
           "birthday": "1990-01-01",
           "address": {"city": "Kyiv"}, "children": [{"name": "Ivan"}], "tags": ["x"]}  # fmt: skip
_IDENTIFY = {**_CALL, "traits": _TRAITS}
_POSTHOG = {
    "event": "shape seen", "distinct_id": "shape-1", "uuid": "0195b5cc-0000-7000-8000-000000000000", "timestamp": _AT,
    "offset": 5, "properties": {"$current_url": "https://shop.example/a", "$lib": "web", "price": 2, "name": "A",
                                "$set": {"plan": "gold"}, "$set_once": {"first": 1}, "distinct_id": "shape-1"},
}  # fmt: skip
_LINE = {**_TRACK, "type": "track"}

#: Of one call, by the first part of the path that is its own.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "/v1/track": _TRACK, "/v1/t": _TRACK, "/v1/identify": _IDENTIFY, "/v1/i": _IDENTIFY,
    "/v1/page": {**_TRACK, "name": "Home", "category": "a"}, "/v1/p": {**_TRACK, "name": "Home"},
    "/v1/screen": {**_TRACK, "name": "Home"}, "/v1/s": {**_TRACK, "name": "Home"},
    "/v1/group": {**_IDENTIFY, "groupId": "g1"}, "/v1/g": {**_IDENTIFY, "groupId": "g1"},
    "/v1/alias": {**_CALL, "previousId": "shape-old"}, "/v1/a": {**_CALL, "previousId": "shape-old"},
    "/e": _POSTHOG, "/capture": _POSTHOG, "/i/v0/e": _POSTHOG, "/track": _POSTHOG,
    "/engage": {**_POSTHOG, "event": "$identify"}, "/flags": {"distinct_id": "shape-1", "groups": {"a": "b"}},
    "/decide": {"distinct_id": "shape-1"},
    "/t/push": {
        "subscription": {"endpoint": "https://push.example/1", "expirationTime": None,
                         "keys": {"p256dh": "BA" + "A" * 85, "auth": "A" * 22}},
        "agreed": True, "gone": False, "anonymousId": "shape-cookie", "messageId": "shape-push", "linkToken": "token",
        "contactToken": "token", "page": "https://shop.example/a",
    },
    "/popups": {"anonymousId": "shape-cookie", "path": "/a"},
    "/popups/answer": {"anonymousId": "shape-cookie", "popup": "shape", "version": 1, "id": "a1", "consents": [0],
                       "fields": {"email": "shape@example.com"}, "url": "https://shop.example/a"},
    "/popups/seen": {"anonymousId": "shape-cookie", "ids": ["m1"]},
    "/inbox/read": {"ids": ["m1"], "all": False}, "/inbox/delete": {"ids": ["m1"]},
}  # fmt: skip
#: Of many: the list's name, one of its items, and what stands beside it.
BATCHES: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "/v1/batch": ("batch", _LINE, {"sentAt": _AT, "context": _CONTEXT}),
    "/v1/b": ("batch", {**_IDENTIFY, "type": "identify"}, {"sentAt": _AT}),
    "/v1/import": ("batch", {**_CALL, "type": "alias", "previousId": "shape-old"}, {}),
    "/batch": ("batch", _POSTHOG, {"sent_at": _AT, "historical_migration": False}),
    "/t": ("batch", {**_LINE, "type": "web", "linkToken": "token"}, {"sentAt": _AT, "context": _CONTEXT}),
}
ANY: Mapping[str, Any] = {**_TRACK, **_IDENTIFY, **_POSTHOG, "type": "track", "batch": [_LINE]}


@dataclass(frozen=True, slots=True)
class Way:
    """One method of one route of the service of `role`."""

    role: Role
    method: str
    path: str


def ways(platform: Platform) -> list[Way]:
    """Every route of every service, without those that differ by a slash at their end."""
    found = []
    for role in ALL_ROLES:
        for route in platform.host(role).service(role).http_routes():
            assert isinstance(route, Route)
            if not route.path.endswith("/"):
                methods = sorted((route.methods or set()) - {"OPTIONS", "HEAD"})
                found += [Way(role, method, route.path) for method in methods]
    return found


def good_call(path: str, number: int) -> dict[str, Any]:
    """The good deed of one person, as an item of a batch at `path`."""
    who, message = f"good-{number}", f"good-{number}"
    if path == "/batch":
        return {"event": "good_deed", "distinct_id": who, "uuid": message}
    return {"type": "track", "event": "good_deed", "userId": who, "messageId": message}


def places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of every value within, and of every object itself ("" after it: a key of it)."""
    if path:
        yield path
    if isinstance(document, dict):
        yield (*path, "")
        for key, value in document.items():
            yield from places(value, (*path, key))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from places(value, (*path, number))


def with_value(document: Mapping[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy of `document` with `value` at `path`; a key of that name where the path ends with ""."""
    copy: Any = deepcopy(dict(document))
    holder = copy
    for step in path[:-1]:
        holder = holder[step]
    if path[-1] == "":
        holder[str(value)] = "x"
    else:
        holder[path[-1]] = value
    made: dict[str, Any] = copy
    return made
