"""What every search that may leave nothing out has in common."""

from __future__ import annotations

from opensearch_funnel.core.errors import EngineError

SEQ_NO = "_seq_no"


def search_params(*, shard: int | None) -> dict[str, str]:
    """Return the parameters of a search that must not leave anything out.

    On primaries: what a refresh makes visible there may come later to a copy of it.
    """
    return {
        "preference": "_primary" if shard is None else f"_shards:{shard}|_primary",
        "search_pipeline": "_none",
        "allow_partial_search_results": "false",
    }


def check_answered(
    shards: dict[str, int], timed_out: bool, *, index: str, shard: int | None
) -> None:
    """See that every shard asked has answered in full.

    Raises:
        EngineError: as said. A shard that does not exist answers nothing, without an error.
    """
    if timed_out or shards["failed"]:
        raise EngineError(f"a search of {index} was cut short: see GET _cluster/health")
    if shard is not None and shards["total"] != 1:
        raise EngineError(
            f"{shards['total']} shards answered for shard {shard} of {index}: name one concrete "
            "index, and a shard that it has"
        )
