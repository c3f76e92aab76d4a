"""What people ask about identity: take a merge back, read the record of merges, see shared identifiers, set rules.

Orders go through ingest's log and are carried out by the fold; an answer is given once it has folded the order, so it
includes what the order did.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import Violation, conflict, invalid, not_found
from core.identity.rules import IdentityRules
from core.identity.settings import changed
from core.identity.suspects import ranked
from core.profile.fold import ETAG_MISMATCH
from core.profile.merge_log import MergeRecord, Outcome
from core.profile.separate import NO_SUCH_CONTACT, separation_of
from services.profile_unification.orders import asker, carry_out, order_id_of
from services.profile_unification.reader import ProfileReader
from services.profile_unification.tables import (
    load_merge_count,
    load_merges,
    load_outcome,
    load_suspects,
)
from services.profile_unification.worker import UnificationShard
from services.runtime.context import Runtime
from services.runtime.identity_rules import change_from_proto, rules_to_proto, search_pattern
from services.runtime.pages import number_of, page_entries

_MAX_REASON = 500
_LONG_POLL_S = 30.0


class IdentityDesk:
    """The calls, without their conversion to answers where that needs profiles."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def unmerge(
        self, shard: UnificationShard, reader: ProfileReader, request: profile_pb2.UnmergeRequest, wait_s: float
    ) -> tuple[Outcome, int]:
        """Take a merge back: the two contacts that there are now, and the position of ingest's log that says so.

        Raises NOT_FOUND / NO_SUCH_CONTACT, and CONFLICT / NOT_MERGED, ALREADY_UNMERGED or NOT_MERGED_AWAY.
        """
        order_id = order_id_of("unmerge", request.request_id)
        if len(request.reason) > _MAX_REASON:
            raise invalid("BAD_REASON", f"a reason has at most {_MAX_REASON} characters", Violation("reason", "long"))
        for path, key in (("survivor", request.survivor), ("merged", request.merged)):
            if not key:
                raise invalid("NO_CONTACT_NAMED", f"`{path}` is the key of a contact", Violation(path, "is empty"))
        outcome = await load_outcome(self._runtime.log, shard.partition, order_id)
        if outcome is not None:
            return _done(outcome), shard.folded
        survivor, survivor_part = await reader.part_by_key(request.survivor)
        merged, merged_part = await reader.part_by_key(request.merged)
        found = separation_of(survivor, survivor_part, merged, merged_part)
        if isinstance(found, Outcome):
            _done(found)
        order = facts_pb2.Separation(
            survivor=request.survivor, merged=request.merged, asked_by=asker(), reason=request.reason
        )
        command = ingest_pb2.CommandRequest(message_id=order_id, separation=order)
        return await self._carry_out(shard, command, wait_s)

    async def change_rules(
        self, shard: UnificationShard, request: profile_pb2.UpdateIdentityRulesRequest, wait_s: float
    ) -> profile_pb2.UpdateIdentityRulesResponse:
        """Change the rules about identifiers. Raises INVALID / BAD_IDENTITY_RULES with all paths, CONFLICT /
        ETAG_MISMATCH."""
        order_id = order_id_of("identity_rules", request.request_id)
        outcome = await load_outcome(self._runtime.log, shard.partition, order_id)
        position = shard.folded
        if outcome is None:
            change = change_from_proto(request.rules)
            changed(shard.settings, change, search_pattern)
            if change.etag and change.etag != shard.settings.etag:
                raise conflict(ETAG_MISMATCH, "the rules were changed meanwhile: read them again")
            order = facts_pb2.IdentityRulesChange(rules=request.rules, asked_by=asker())
            command = ingest_pb2.CommandRequest(message_id=order_id, identity_rules=order)
            _, position = await self._carry_out(shard, command, wait_s)
        else:
            _done(outcome)
        rules = rules_to_proto(shard.settings)
        return profile_pb2.UpdateIdentityRulesResponse(rules=rules, upstream_position=position)

    async def rules(
        self, shard: UnificationShard, request: profile_pb2.GetIdentityRulesRequest, wait_s: float
    ) -> profile_pb2.GetIdentityRulesResponse:
        """The rules in force, once their etag is another one than was asked for."""
        if request.wait_etag:
            await shard.wait_changed(request.wait_etag, min(_LONG_POLL_S, wait_s))
        return profile_pb2.GetIdentityRulesResponse(rules=rules_to_proto(shard.settings))

    async def merges(
        self, shard: UnificationShard, reader: ProfileReader, request: profile_pb2.ListMergesRequest
    ) -> profile_pb2.ListMergesResponse:
        """Merges, newest first."""
        log, size = self._runtime.log, page_entries(max(0, request.page_size))
        before = number_of(request.page_token) if request.page_token else None
        if request.key:
            profile, _ = await reader.part_by_key(request.key)
            ordinals = {edge.ordinal for edge in profile.edges} | set(profile.undone)
        else:
            last = await load_merge_count(log, shard.partition) if before is None else before - 1
            ordinals = set(range(max(1, last - size), last + 1))
        newest = sorted((one for one in ordinals if before is None or one < before), reverse=True)
        page = newest[:size]
        records = await load_merges(log, shard.partition, page)
        token = str(page[-1]) if len(newest) > size else ""
        return profile_pb2.ListMergesResponse(merges=[merge_to_proto(one) for one in records], next_page_token=token)

    async def suspects(
        self,
        shard: UnificationShard,
        rules: IdentityRules,
        request: profile_pb2.ListSuspiciousIdentifiersRequest,
    ) -> profile_pb2.ListSuspiciousIdentifiersResponse:
        """Identifiers that seem shared, the most often met first. Pages are of the list as it is at each call."""
        found = ranked(await load_suspects(self._runtime.log, shard.partition, rules.kinds))
        start = number_of(request.page_token) if request.page_token else 0
        page = found[start : start + page_entries(max(0, request.page_size))]
        answer = profile_pb2.ListSuspiciousIdentifiersResponse()
        for one, suspicion in page:
            answer.identifiers.add(
                identifier=facts_pb2.Identifier(kind=one.kind, value=one.value),
                limits_hit=suspicion.limits_hit,
                moves=suspicion.moves,
                moves_refused=suspicion.moves_refused,
                external_ids_apart=suspicion.external_ids_apart,
                separated_apart=suspicion.separated_apart,
                last_occurred_at_us=suspicion.last_at_us,
                block_proposed=suspicion.block_proposed,
                blocked=rules.blocks(one),
            )
        if start + len(page) < len(found):
            answer.next_page_token = str(start + len(page))
        return answer

    async def _carry_out(
        self, shard: UnificationShard, command: ingest_pb2.CommandRequest, wait_s: float
    ) -> tuple[Outcome, int]:
        outcome, position = await carry_out(self._runtime, shard, command, wait_s)
        return _done(outcome), position


def _done(outcome: Outcome) -> Outcome:
    """The outcome of what was done; otherwise its reason as an error."""
    if not outcome.reason:
        return outcome
    if outcome.reason == NO_SUCH_CONTACT:
        raise not_found(outcome.reason, outcome.detail)
    raise conflict(outcome.reason, outcome.detail)


def merge_to_proto(record: MergeRecord) -> profile_pb2.MergeRecord:
    """A record of a merge on the wire."""
    message = profile_pb2.MergeRecord(
        ordinal=record.ordinal,
        survivor=record.survivor,
        loser=record.loser,
        survivor_key=record.survivor_key,
        loser_key=record.loser_key,
        occurred_at_us=record.at_us,
        upstream_position=record.position,
        evidence=_identifiers(record),
    )
    if record.undone is not None:
        message.undone.occurred_at_us = record.undone.at_us
        message.undone.upstream_position = record.undone.position
        message.undone.asked_by = record.undone.asked_by
        message.undone.reason = record.undone.reason
    return message


def _identifiers(record: MergeRecord) -> Sequence[facts_pb2.Identifier]:
    return [facts_pb2.Identifier(kind=one.kind, value=one.value) for one in record.evidence]
