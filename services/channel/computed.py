"""What the segment engine computes of a message's contact, as of now: attributes, interests, and products."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import grpc

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import computed_pb2, recommend_pb2
from core.errors import CdpError, unavailable
from services.channel.gathering import Gathering
from services.channel.needs import BLOCKS, Needs
from services.runtime.errors import from_rpc
from services.runtime.stubs import Stubs

#: An engine that hangs must not keep the places of messages that need nothing of it for long.
_TIMEOUT_S = 3.0
_MOST_INTERESTS = 20
_PAGE = 1_000
_KEPT_GATHERINGS = 256
#: Products of a block; a template shows fewer by `limit`.
_MOST_PRODUCTS = 12
#: Products that a message is about, as far as the engine looks at them.
MOST_ABOUT = 20
_BLOCKS: Mapping[str, recommend_pb2.Block.ValueType] = {
    name: recommend_pb2.Block.Value(f"BLOCK_{name.upper()}") for name in BLOCKS
}
_Answer = TypeVar("_Answer")
_Attributes = Mapping[str, facts_pb2.Value]
_Interests = Sequence[computed_pb2.ScoredInterest]


@dataclass(slots=True)
class Product:
    """A product of a block. Many messages show the same one, so how Liquid holds it (`shown`) is made once, by whoever
    renders it first; a lost race only repeats work."""

    fields: Mapping[str, facts_pb2.Value]
    shown: dict[str, object] | None = None


_Blocks = Mapping[str, Sequence[Product]]


@dataclass(frozen=True, slots=True)
class Computed:
    """`attributes`: name -> value, only those that the contact has. `interests`: model -> at most 20, the highest
    score first; `blocks`: name -> products. Only the models and blocks that were asked for."""

    attributes: _Attributes = field(default_factory=dict)
    interests: Mapping[str, _Interests] = field(default_factory=dict)
    blocks: _Blocks = field(default_factory=dict)


class ComputedValues:
    """Asks for one workspace; messages on their way at the same time share calls."""

    def __init__(self, workspace: str, stubs: Stubs) -> None:
        self._workspace = workspace
        self._stubs = stubs
        #: The names of computed attributes when they were last listed.
        self._listed: frozenset[str] | None = None
        self._attributes: dict[tuple[frozenset[str], bool], Gathering[int, _Attributes]] = {}
        self._interests: dict[str, Gathering[int, _Interests]] = {}
        self._products: dict[tuple[str, ...], Gathering[tuple[int, tuple[str, ...]], _Blocks]] = {}

    async def of(
        self,
        needs: Needs,
        profile: profile_pb2.Profile,
        position: int,
        *,
        transactional: bool,
        about: tuple[str, ...] = (),
    ) -> Computed:
        """What `needs` names, by facts up to `position` of unification's log at least; nothing is asked where it names
        nothing of the engine's. `about`: the ids of the products that the message is about, see `about_of`.

        Raises UNAVAILABLE/COMPUTED_UNAVAILABLE: a message without what its template names is not sent. A name that the
        profile does not hold may be a computed attribute, so the engine is asked about it; only a transactional message
        goes without that answer, if the name was none when they were last listed.
        """
        attributes: _Attributes = {}
        if self._may_be_computed(needs, profile):
            try:
                attributes = await self._attributes_of(needs).of(profile.contact, position)
            except CdpError:
                known = self._listed
                if not transactional or known is None or _named(needs, known):
                    raise
        interests = {model: await self._interests_of(model).of(profile.contact, position) for model in needs.interests}
        blocks: _Blocks = {}
        if needs.blocks:
            blocks = await self._products_of(needs.blocks).of((profile.contact, about), position)
        return Computed(attributes, interests, blocks)

    async def names(self) -> frozenset[str]:
        """The computed attributes there are. Raises UNAVAILABLE/COMPUTED_UNAVAILABLE."""
        self._listed = await self._list()
        return self._listed

    def _may_be_computed(self, needs: Needs, profile: profile_pb2.Profile) -> bool:
        """A computed attribute cannot be given the name of a plain one, so what the profile holds is plain, unless the
        name was computed when they were last listed."""
        held = {attribute.name for attribute in profile.attributes}
        held |= {identifier.kind for identifier in profile.identifiers}
        return needs.every or not needs.attributes <= held or bool(_named(needs, self._listed or frozenset()))

    def _attributes_of(self, needs: Needs) -> Gathering[int, _Attributes]:
        key = (needs.attributes, needs.every)
        if key not in self._attributes:
            if len(self._attributes) >= _KEPT_GATHERINGS:
                self._attributes.clear()  # who waits in one keeps it
            self._attributes[key] = Gathering(partial(self._ask_attributes, needs))
        return self._attributes[key]

    def _interests_of(self, model: str) -> Gathering[int, _Interests]:
        return self._interests.setdefault(model, Gathering(partial(self._ask_interests, model)))

    def _products_of(self, blocks: tuple[str, ...]) -> Gathering[tuple[int, tuple[str, ...]], _Blocks]:
        return self._products.setdefault(blocks, Gathering(partial(self._ask_products, blocks)))

    async def _ask_attributes(self, needs: Needs, contacts: Sequence[int], position: int) -> Sequence[_Attributes]:
        self._listed = await self._list()
        names = sorted(_named(needs, self._listed))
        if not names:
            return [{} for _ in contacts]
        request = computed_pb2.ContactAttributesRequest(contacts=contacts, names=names, min_position=position)
        answer = await _answered(
            self._stubs.computed().ContactAttributes(request, metadata=self._metadata(), timeout=_TIMEOUT_S)
        )
        return [one.attributes for one in answer.contacts]

    async def _ask_interests(self, model: str, contacts: Sequence[int], position: int) -> Sequence[_Interests]:
        request = computed_pb2.ContactInterestsRequest(
            contacts=contacts, model=model, most=_MOST_INTERESTS, min_position=position
        )
        answer = await _answered(
            self._stubs.computed().ContactInterests(request, metadata=self._metadata(), timeout=_TIMEOUT_S)
        )
        return [one.interests for one in answer.contacts]

    async def _ask_products(
        self, blocks: tuple[str, ...], asked: Sequence[tuple[int, tuple[str, ...]]], position: int
    ) -> Sequence[_Blocks]:
        request = recommend_pb2.RecommendRequest(
            contacts=[recommend_pb2.RecommendFor(contact=contact, products=about) for contact, about in asked],
            blocks=[_BLOCKS[name] for name in blocks],
            most=_MOST_PRODUCTS,
            min_position=position,
        )
        answer = await _answered(
            self._stubs.recommend().Recommend(request, metadata=self._metadata(), timeout=_TIMEOUT_S)
        )
        products = [Product(product.fields) for product in answer.products]
        return [
            {
                name: [products[place] for place in block.products]
                for name, block in zip(blocks, one.blocks, strict=True)
            }
            for one in answer.contacts
        ]

    async def _list(self) -> frozenset[str]:
        names, token = set[str](), ""
        while True:
            request = computed_pb2.ListComputedAttributesRequest(page_size=_PAGE, page_token=token)
            page = await _answered(
                self._stubs.computed().ListComputedAttributes(request, metadata=self._metadata(), timeout=_TIMEOUT_S)
            )
            names |= {one.revision.name for one in page.attributes}
            token = page.next_page_token
            if not token:
                return frozenset(names)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return self._stubs.internal_metadata(self._workspace)


def about_of(message: channel_pb2.OutgoingMessage) -> tuple[str, ...]:
    """The products that a message is about: its value `product_id`, and those of its items, each once."""
    held = [message.values["product_id"]] if "product_id" in message.values else []
    held += [item.fields["product_id"] for item in message.items if "product_id" in item.fields]
    ids = dict.fromkeys(value.text for value in held if value.WhichOneof("kind") == "text" and value.text)
    return tuple(ids)[:MOST_ABOUT]


def _named(needs: Needs, computed: frozenset[str]) -> frozenset[str]:
    """Which of the computed attributes the template names."""
    return computed if needs.every else needs.attributes & computed


async def _answered(call: Awaitable[_Answer]) -> _Answer:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        failure = from_rpc(error)
        raise unavailable("COMPUTED_UNAVAILABLE", f"{failure.reason}: {failure.message}") from error
