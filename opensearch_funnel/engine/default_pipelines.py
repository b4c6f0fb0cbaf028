"""Which pipelines an index runs by default, and how it gets back what it had before.

An index whose default pipeline does not exist fails every search, or every write, so no pipeline
goes before every index that names it was given another default, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine import state
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.engine.undoing import undo_quietly

NO_PIPELINE = "_none"
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a pipeline is run for.

    Attributes:
        setting: of an index: the name of its default pipeline.
        path: where the cluster has such pipelines.
        record: where ``AppliedPipeline`` says which indices have it by default.
        fits_one: whether a pipeline has in it what one index ran before, and fits no other.
    """

    setting: str
    path: str
    record: Literal["default_of", "ingest_of"]
    fits_one: bool = False

    def recorded(self, applied: AppliedPipeline) -> dict[str, str]:
        """Return the indices whose default an applied pipeline is, each with what was before."""
        return applied.default_of if self.record == "default_of" else applied.ingest_of

    def recording(self, applied: AppliedPipeline, indices: dict[str, str]) -> AppliedPipeline:
        """Return a pipeline's record with these indices in it."""
        if self.record == "default_of":
            return replace(applied, default_of=indices)
        return replace(applied, ingest_of=indices)


SEARCH = Kind(
    setting="index.search.default_pipeline", path="/_search/pipeline", record="default_of"
)
INGEST = Kind(
    setting="index.default_pipeline", path="/_ingest/pipeline", record="ingest_of", fits_one=True
)
KINDS = (SEARCH, INGEST)


def pipeline_body(client: OpenSearch, name: str, *, kind: Kind = SEARCH) -> dict[str, Any] | None:
    """Return the body of a pipeline; ``None`` where there is none of that name."""
    try:
        found = client.transport.perform_request("GET", f"{kind.path}/{name}")
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        return None
    body: dict[str, Any] | None = found.get(name)
    return body


def is_ours(body: dict[str, Any] | None) -> bool:
    """Say whether there is a pipeline, and one of this project's.

    Example:
        >>> is_ours({"description": "opensearch-funnel films.0a"}), is_ours({}), is_ours(None)
        (True, False, False)
    """
    return body is not None and str(body.get("description", "")).startswith("opensearch-funnel ")


def put_pipeline(
    client: OpenSearch, name: str, body: dict[str, Any], *, kind: Kind = SEARCH
) -> None:
    """Make a pipeline, or put another body in the place of the one that it has."""
    client.transport.perform_request("PUT", f"{kind.path}/{name}", body=body)


def called_first(body: Mapping[str, Any] | None) -> str:
    """Return the pipeline that an ingest pipeline begins with; empty where it calls none.

    Example:
        >>> called_first({"processors": [{"pipeline": {"name": "dates"}}, {"remove": {}}]})
        'dates'
    """
    processors = (body or {}).get("processors") or [{}]
    name: str = processors[0].get("pipeline", {}).get("name", "")
    return name


def make_default(  # noqa: PLR0913 - what it is made, and how that is taken back
    client: OpenSearch,
    applied: AppliedPipeline,
    *,
    index: str,
    undo: ExitStack,
    kind: Kind,
    before: str = "",
) -> AppliedPipeline:
    """Make a pipeline the default of an index, remembering what was.

    Args:
        client: the cluster.
        applied: the pipeline.
        index: a concrete index.
        undo: gets the steps that take this back.
        kind: what it is the default for.
        before: what was the default of an index that names the pipeline already though nobody
            recorded that: a clone, or the target of a migration.

    Returns:
        The pipeline's record, as it is stored now.
    """
    now = default_pipelines_of(client, kind=kind)
    taken = {index: now.get(index, "")} if now.get(index) != applied.name else {}
    recorded = {index: before, **kind.recorded(applied)}
    kept = {i: was for i, was in recorded.items() if now.get(i) == applied.name}
    left = [i for i in kept if i != index] if kind.fits_one else []
    kept = {i: was for i, was in kept.items() if i not in left}
    result = kind.recording(applied, {**kept, **taken})
    if result == applied and not taken:
        return applied
    given = {i: _before(client, applied, i, kind=kind) for i in left}
    # Stored first: a crash between the two leaves a record that removing can work with.
    undo.callback(undo_quietly, state.save_pipeline, client, applied)
    state.save_pipeline(client, result)
    _bypass(client, applied, indices=taken, undo=undo, kind=kind)
    for one, was in taken.items():
        undo.callback(undo_quietly, _set_default, client, one, was, kind=kind)
        _set_default(client, one, applied.name, kind=kind)
    for one, was in given.items():
        undo.callback(undo_quietly, _set_default, client, one, applied.name, kind=kind)
        _set_default(client, one, was, kind=kind)
    return result


def delete_pipeline(client: OpenSearch, applied: AppliedPipeline, *, kind: Kind = SEARCH) -> None:
    """Delete a pipeline, after every index that has it by default was given another.

    Indices that were made a copy of (a clone, a restored snapshot) name it too, though nobody
    recorded them. What was the default before comes back only if it still exists.
    """
    for index, name in default_pipelines_of(client, kind=kind).items():
        if name == applied.name:
            _set_default(client, index, _before(client, applied, index, kind=kind), kind=kind)
    with ExitStack() as undo:
        _bypass(client, applied, indices=kind.recorded(applied), undo=undo, kind=kind)
        undo.pop_all()
    try:
        client.transport.perform_request("DELETE", f"{kind.path}/{applied.name}")
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise


def _before(client: OpenSearch, applied: AppliedPipeline, index: str, *, kind: Kind) -> str:
    """Return what was the default of an index before; empty where that is gone."""
    was = kind.recorded(applied).get(index)
    if was is None:
        was = called_first(pipeline_body(client, applied.name, kind=kind))
    if was == applied.name:
        return ""
    if was not in {"", NO_PIPELINE} and pipeline_body(client, was, kind=kind) is None:
        return ""
    return was


def _bypass(
    client: OpenSearch,
    applied: AppliedPipeline,
    *,
    indices: Mapping[str, str],
    undo: ExitStack,
    kind: Kind,
) -> None:
    """Let the pipelines that came after this one remember what was before it instead."""
    before = kind.recorded(applied)
    for other in state.list_pipelines(client):
        recorded = kind.recorded(other)
        bypassed = {
            index: before.get(index, "") if index in indices and was == applied.name else was
            for index, was in recorded.items()
        }
        if bypassed != recorded:
            undo.callback(undo_quietly, state.save_pipeline, client, other)
            state.save_pipeline(client, kind.recording(other, bypassed))


def default_pipelines_of(client: OpenSearch, *, kind: Kind = SEARCH) -> dict[str, str]:
    """Return the default pipeline of every index that names one, closed and hidden ones too."""
    found = client.indices.get_settings(
        index="_all",
        name=kind.setting,
        params={"flat_settings": "true", "expand_wildcards": "all"},
    )
    return {index: values["settings"][kind.setting] for index, values in found.items()}


def _set_default(client: OpenSearch, index: str, pipeline: str, *, kind: Kind) -> None:
    client.indices.put_settings(index=index, body={kind.setting: pipeline or None})
