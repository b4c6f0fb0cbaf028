"""Get the documents of the candidates that a later stage reads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from opensearch_funnel.core.errors import EngineError, StageUnavailableError
from opensearch_funnel.core.ranking import Ranking
from opensearch_funnel.core.stage import SourceReader


@dataclass(frozen=True, slots=True)
class Fetch:
    """Give the best candidates their documents; the order stays as it is.

    Attributes:
        sources: where the documents are.
        depth: how many candidates get theirs.
        name: how traces call the stage.
    """

    sources: SourceReader
    depth: int = 50
    name: str = "fetch"

    def __call__(self, ranking: Ranking) -> Ranking:
        """Fetch the documents of the best candidates that have none yet.

        Raises:
            StageUnavailableError: the documents cannot be had.
        """
        window = ranking.candidates[: self.depth]
        missing = [c.doc_id for c in window if not c.source]
        if not missing:
            return ranking
        try:
            read = self.sources.read(missing)
        except EngineError as error:
            raise StageUnavailableError(f"the documents cannot be read: {error}") from error
        filled = [replace(c, source=read.get(c.doc_id, c.source)) for c in window]
        return replace(ranking, candidates=(*filled, *ranking.candidates[self.depth :]))
