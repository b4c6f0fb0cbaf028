"""A proof that is carried on: what was written since it was made is compared, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from opensearchpy import OpenSearch

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.scanning import shard_bounds
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.verifying.documents import compare_documents
from opensearch_funnel.migrating.verifying.report import Proof, listed
from opensearch_funnel.migrating.verifying.schema import check_schema
from opensearch_funnel.migrating.verifying.since import changed_by_others


class StandingProof:
    """Holds for all that was verified, and for what ``extend`` has compared since.

    Args:
        client: made by ``connect``.
        migration: which one.
        proof: of the last verification; it must have passed.
    """

    def __init__(self, client: OpenSearch, migration: Migration, proof: Proof) -> None:
        self._client = client
        self._migration = migration
        self._bounds = dict(proof.bounds)
        self._target_bounds = dict(proof.target_bounds)
        self.documents = 0
        """Compared since the verification."""

    def extend(self, upto: Mapping[int, int], *, progress: Progress = SILENT) -> list[str]:
        """Compare what was written since, and see that nobody else wrote to the target.

        Args:
            upto: by shard of the source, up to which operation everything is copied; the source
                was refreshed since (``shard_bounds``).
            progress: told of every document.

        Returns:
            What is wrong, in one phrase each; nothing where the proof still holds.

        Raises:
            EngineError: a shard did not answer.
        """
        client, migration = self._client, self._migration
        reached = shard_bounds(client, migration.target)
        found = compare_documents(
            client, migration, after=self._bounds, upto=upto, progress=progress
        )
        others = changed_by_others(
            client, migration.target, after=self._target_bounds, upto=reached
        )
        faults, _ = listed({**found.faults, "written to the target by somebody else": others})
        self.documents += found.documents
        self._bounds, self._target_bounds = dict(upto), reached
        return [faults] if faults else []

    def schema_faults(self) -> list[str]:
        """Compare mapping and settings again.

        Returns:
            What is wrong, in one phrase each.
        """
        checks = check_schema(self._client, self._migration)
        return [f"{check.name}: {check.summary}" for check in checks if not check.passed]
