"""What a rule may speak of: the names and kinds that binding checks a rule against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.query.ast import Measure, Rule
from core.query.interest_model import DEFAULT_INTERESTS, InterestModel
from core.query.rfm_model import DEFAULT_MODELS, RfmModel
from core.schema import Kind


@dataclass(frozen=True, slots=True)
class Setting:
    """What a workspace decides once for all its rules: its id (random buckets), the stock at and below which a product
    runs low, and its RFM models and interests by name."""

    workspace: str = ""
    low_stock: int = 5
    rfm: Mapping[str, RfmModel] = field(default_factory=lambda: DEFAULT_MODELS)
    interests: Mapping[str, InterestModel] = field(default_factory=lambda: DEFAULT_INTERESTS)


DEFAULT_SETTING = Setting()


@dataclass(frozen=True, slots=True)
class Names:
    """A snapshot of a workspace's vocabulary.

    `attributes`: name -> kind; `elements`: (attribute, field) -> kind for lists of objects; `events`: type ->
    parameter -> kind; `items`: item field -> kind (all events share it); `lists`: static lists; `segments`: name ->
    saved rule as written; `zone`: the workspace's IANA zone; `setting`: what else the workspace decides; `computed`:
    what each computed attribute is, as written: such a name wins over the same one in `attributes`.
    """

    attributes: Mapping[str, Kind]
    events: Mapping[str, Mapping[str, Kind]]
    items: Mapping[str, Kind]
    lists: frozenset[str] = frozenset()
    elements: Mapping[tuple[str, str], Kind] = field(default_factory=dict)
    segments: Mapping[str, Rule] = field(default_factory=dict)
    zone: str = "UTC"
    setting: Setting = DEFAULT_SETTING
    computed: Mapping[str, Measure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule that was checked: literals have the kind they are compared with, names exist, windows can hold something.

    `rule` keeps the node numbers of the rule that was bound. `parameters`: every parameter with its one kind, those
    of referenced segments included. `segments`: every segment referred to, directly or not, bound. `zone`: the
    workspace's zone at binding. `attributes`: the kind of every attribute that this rule itself names.
    """

    rule: Rule
    parameters: Mapping[str, Kind]
    segments: Mapping[str, BoundRule]
    zone: str
    attributes: Mapping[str, Kind] = field(default_factory=dict)
    setting: Setting = DEFAULT_SETTING
