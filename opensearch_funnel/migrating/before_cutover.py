"""What has to be so before a cutover, and what it would do."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.scanning import shard_states
from opensearch_funnel.migrating.guarding import still_planned
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.objections import Objections
from opensearch_funnel.migrating.swapping import Aliases, aliases_of
from opensearch_funnel.migrating.switch_reports import CutoverReport
from opensearch_funnel.migrating.verifying import Proof, last_proof


def examine_cutover(
    client: OpenSearch, migration: Migration, *, force: bool = False
) -> CutoverReport:
    """Say what a cutover would do, or why there can be none now; change nothing.

    Args:
        client: made by ``connect``.
        migration: as it is stored.
        force: go on without a proof.

    Raises:
        InputError: there is no proof, somebody is at it, or it is not the time for it.
    """
    aliases = aliases_to_move(client, migration)
    objections = Objections(force=force)
    standing_proof(migration, objections)
    return CutoverReport(
        alias=migration.alias,
        source=migration.source,
        target=migration.target,
        aliases=tuple(aliases),
        slot=migration.slot,
        dry_run=True,
        forced=tuple(objections.found),
        behind=operations_behind(client, migration),
    )


def aliases_to_move(client: OpenSearch, migration: Migration) -> Aliases:
    """See that there is something to cut over, and return the aliases that move."""
    alias = migration.alias
    if migration.phase == "planned":
        raise InputError(f"nothing of {alias} was copied yet: funnel migrate run {alias}")
    if migration.phase == "cutting_over":
        raise InputError(f"somebody is at the cutover of {alias}: {migration.operator}")
    if migration.phase != "copying":
        phase = migration.phase.replace("_", " ")
        raise InputError(
            f"the migration of {alias} is {phase} already: nothing is left to cut over"
        )
    if migration.paused:
        raise InputError(f"the migration of {alias} is paused: funnel migrate resume {alias}")
    still_planned(client, migration)
    aliases = aliases_of(client, index=migration.source)
    if alias not in aliases:
        raise InputError(
            f"{alias} is no alias of {migration.source} any more: see GET _alias/{alias}, and "
            "plan the migration anew"
        )
    return aliases


def standing_proof(migration: Migration, objections: Objections) -> Proof | None:
    """Return the proof to go by; ``None`` where there is none and it is forced."""
    alias, proof = migration.alias, last_proof(migration)
    fix = f"funnel migrate verify {alias}"
    if proof is None:
        objections.make([f"{migration.target} was not verified"], fix=fix)
        return None
    if not proof.passed:
        failed = ", ".join(proof.failed)
        objections.make([f"the verification of {proof.at} failed ({failed})"], fix=fix)
        return None
    return proof


def operations_behind(client: OpenSearch, migration: Migration) -> int:
    """Count the operations of the source that the journal does not have as copied."""
    done = Journal(client, target=migration.target).done()
    states = shard_states(client, migration.source)
    return sum(max(0, state.highest - done.get(state.shard, -1)) for state in states)
