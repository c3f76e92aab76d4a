"""deploy/ fits the code: every role is there, every setting it sets exists, nothing runs with more rights."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.runtime.settings import Settings
from tests.arch.tree import ROOT, files, text_of

ROLES = {"ingest", "profile_unification", "segment_engine", "scenario", "channel"}
SETTING = re.compile(r"\bCDP_[A-Z0-9_]*[A-Z0-9]\b")
PLACES = [path for path in files() if path.parts[0] == "deploy" and SETTING.search(text_of(path) or "")]


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that is written twice, which YAML parsers accept and take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        written = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = {key for key in written if written.count(key) > 1}
        if twice and not getattr(node, "merged", False):
            raise yaml.constructor.ConstructorError(None, None, f"keys written twice: {sorted(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        node.merged = True  # type: ignore[attr-defined]


def compose() -> dict[str, Any]:
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.load(text, Loader=StrictLoader)
    return loaded


def role_services() -> dict[str, dict[str, Any]]:
    """The compose services that run a role, by the role's name."""
    services: dict[str, dict[str, Any]] = compose()["services"]
    return {service["environment"]["CDP_ROLES"]: service for service in services.values() if "environment" in service}


def known_settings() -> set[str]:
    """Names that are written out in services/runtime/settings.py."""
    return set(SETTING.findall(text_of(Path("services", "runtime", "settings.py")) or ""))


def environment_of_container(service: dict[str, Any]) -> dict[str, str]:
    """What the process sees: the image's ENV, then the service's, with a sample for each `${NAME:?...}`."""
    dockerfile = text_of(Path("deploy", "Dockerfile")) or ""
    environment = dict(re.findall(r"\b(CDP_[A-Z_]+)=(\S+)", dockerfile))
    samples = {"CDP_SMTP_URL": "smtp://mail.example.com:587"}
    for key, value in service["environment"].items():
        given = re.fullmatch(r"\$\{\w+:([-?])(.*)\}", value)
        if given is None:
            environment[key] = value
        else:
            environment[key] = given[2] if given[1] == "-" else samples.get(key, "sample")
    return environment


@pytest.mark.parametrize("path", PLACES, ids=str)
def test_every_setting_exists(path: Path) -> None:
    assert set(SETTING.findall(text_of(path) or "")) - known_settings() == set()


def test_compose_settings_are_accepted(tmp_path: Path) -> None:
    for role, service in role_services().items():
        environment = environment_of_container(service) | {"CDP_DATA_DIR": str(tmp_path)}
        settings = Settings.from_environment(environment)
        assert [str(name) for name in settings.roles] == [role]
        assert settings.grpc_host == "0.0.0.0"
        assert settings.log_format == "json"
        assert len(settings.addresses) == len(ROLES)


def test_settings_are_set_somewhere() -> None:
    assert {path.name for path in PLACES} >= {"Dockerfile", "compose.yaml", "_pod.tpl"}


def test_compose_runs_each_role_once_from_one_image() -> None:
    services = role_services()
    assert set(services) == ROLES
    assert {service["image"] for service in services.values()} == {"cdp:local"}
    ports = [port for service in services.values() for port in service["ports"]]
    hosts = [port.rpartition(":")[0] for port in ports]
    assert len(set(hosts)) == len(hosts)
    assert all(host.startswith("127.0.0.1:") for host in hosts)


def test_compose_roles_know_each_other() -> None:
    names = set(compose()["services"])
    for service in role_services().values():
        addresses = {key: value for key, value in service["environment"].items() if key.endswith("_ADDRESS")}
        assert len(addresses) == len(ROLES)
        assert {address.partition(":")[0] for address in addresses.values()} <= names


def test_compose_roles_have_no_more_rights_than_they_need() -> None:
    volumes = []
    for service in role_services().values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == "10001:10001"
        volumes += service["volumes"]
    assert len(set(volumes)) == len(ROLES)


def test_compose_log_is_durable() -> None:
    command = compose()["services"]["valkey"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert compose()["services"]["valkey"]["volumes"] == ["valkey:/data"]


def test_chart_has_the_roles_and_the_version() -> None:
    chart = ROOT / "deploy" / "chart"
    values = yaml.load((chart / "values.yaml").read_text(encoding="utf-8"), Loader=StrictLoader)
    about = yaml.load((chart / "Chart.yaml").read_text(encoding="utf-8"), Loader=StrictLoader)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(values["roles"]) == ROLES
    assert about["appVersion"] == project["version"]
    assert "autoscaling" not in values["roles"]["segment_engine"]
    assert all("autoscaling" in values["roles"][role] for role in ROLES - {"segment_engine"})


def test_a_key_written_twice_is_refused() -> None:
    with pytest.raises(yaml.constructor.ConstructorError, match="written twice"):
        yaml.load("a: 1\na: 2\n", Loader=StrictLoader)
