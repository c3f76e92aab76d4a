"""The shipped scenarios N1 to N20: read from `ready/`, as anybody's own, with the segments and templates they need."""

from __future__ import annotations

from functools import cache
from importlib import resources

from cdp.channel.v1 import channel_pb2
from cdp.scenario.v1 import scenario_pb2
from services.scenario.yaml_nodes import Listing, Mapping, Node, Scalar, read_nodes
from services.scenario.yaml_read import read_scenario

COUNT = 20
#: What stands in `needs/*.yaml` for a field of a template; the others have the same name.
_FIELDS = {"text": "body_text", "html": "body_html", "image": "image_url", "icon": "icon_url"}


@cache
def ready_scenarios() -> tuple[scenario_pb2.ReadyScenario, ...]:
    """All of them, N1 first. Raises ValueError, or CdpError with line and column, where a file is not as it should."""
    return tuple(_ready(number) for number in range(1, COUNT + 1))


def _ready(number: int) -> scenario_pb2.ReadyScenario:
    text = _file("scenarios", number)
    scenario = read_scenario(text).message
    ready = scenario_pb2.ReadyScenario(
        id=f"N{number}", name=scenario.revision.name, description=scenario.description, yaml=text
    )
    needs = read_nodes(_file("needs", number))
    for key, value in _entries(needs):
        match key:
            case "segments":
                for name, rule in _entries(value):
                    ready.segments[name] = _text(rule)
            case "attributes":
                for name, kind in _entries(value):
                    ready.attributes.append(name)
                    ready.attribute_kinds[name] = _text(kind)
            case "coupon pools":
                ready.coupon_pools.extend(_texts(value))
            case "templates":
                for name, fields in _entries(value):
                    ready.templates.append(name)
                    ready.contents.append(scenario_pb2.ReadyTemplate(name=name, template=_template(fields)))
            case _:
                raise ValueError(f"{value.place}: a ready scenario needs no {key!r}")
    return ready


def _template(node: Node) -> channel_pb2.Template:
    template = channel_pb2.Template()
    for key, value in _entries(node):
        if key == "fallbacks":
            template.fallbacks.update({name: _text(text) for name, text in _entries(value)})
        else:
            setattr(template, _FIELDS.get(key, key), _text(value))
    return template


def _file(folder: str, number: int) -> str:
    return (resources.files("services.scenario.ready") / folder / f"N{number:02}.yaml").read_text(encoding="utf-8")


def _entries(node: Node) -> list[tuple[str, Node]]:
    if not isinstance(node, Mapping):
        raise ValueError(f'{node.place}: "key: value" is needed here')
    return [(entry.key, entry.value) for entry in node.entries]


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise ValueError(f"{node.place}: a text is needed here")
    return node.text


def _texts(node: Node) -> list[str]:
    if not isinstance(node, Listing):
        raise ValueError(f"{node.place}: a list is needed here")
    return [_text(item) for item in node.items]
