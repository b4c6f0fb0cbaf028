"""Which search pipeline an index runs by default, and how it gets back what it had before.

An index whose default pipeline does not exist fails every search, so no pipeline goes before
every index that names it was given another default, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine import state
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.engine.undoing import undo_quietly

_DEFAULT = "index.search.default_pipeline"
_NONE = "_none"
_NOT_FOUND = 404


def pipeline_body(client: OpenSearch, name: str) -> dict[str, Any] | None:
    """Return the body of a search pipeline; ``None`` where there is none of that name."""
    try:
        found = client.transport.perform_request("GET", f"/_search/pipeline/{name}")
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        return None
    body: dict[str, Any] | None = found.get(name)
    return body


def make_default(
    client: OpenSearch, applied: AppliedPipeline, *, index: str, undo: ExitStack
) -> AppliedPipeline:
    """Make a pipeline the default of an index, remembering what was.

    Args:
        client: the cluster.
        applied: the pipeline.
        index: a concrete index.
        undo: gets the steps that take this back.

    Returns:
        The pipeline's record, as it is stored now.
    """
    now = default_pipelines_of(client)
    taken = {index: now.get(index, "")} if now.get(index) != applied.name else {}
    kept = {i: was for i, was in applied.default_of.items() if now.get(i) == applied.name}
    result = replace(applied, default_of={**kept, **taken})
    if result == applied:
        return applied
    # Stored first: a crash between the two leaves a record that removing can work with.
    undo.callback(undo_quietly, state.save_pipeline, client, applied)
    state.save_pipeline(client, result)
    _bypass(client, applied, indices=taken, undo=undo)
    for one, was in taken.items():
        undo.callback(undo_quietly, _set_default, client, one, was)
        _set_default(client, one, applied.name)
    return result


def delete_pipeline(client: OpenSearch, applied: AppliedPipeline) -> None:
    """Delete a search pipeline, after every index that has it by default was given another.

    Indices that were made a copy of (a clone, a restored snapshot) name it too, though nobody
    recorded them. What was the default before comes back only if it still exists.
    """
    for index, name in default_pipelines_of(client).items():
        if name == applied.name:
            was = applied.default_of.get(index, "")
            gone = was == applied.name or (
                was not in {"", _NONE} and pipeline_body(client, was) is None
            )
            _set_default(client, index, "" if gone else was)
    with ExitStack() as undo:
        _bypass(client, applied, indices=applied.default_of, undo=undo)
        undo.pop_all()
    try:
        client.transport.perform_request("DELETE", f"/_search/pipeline/{applied.name}")
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise


def _bypass(
    client: OpenSearch, applied: AppliedPipeline, *, indices: Mapping[str, str], undo: ExitStack
) -> None:
    """Let the pipelines that came after this one remember what was before it instead."""
    for other in state.list_pipelines(client):
        default_of = {
            index: applied.default_of.get(index, "")
            if index in indices and was == applied.name
            else was
            for index, was in other.default_of.items()
        }
        if default_of != other.default_of:
            undo.callback(undo_quietly, state.save_pipeline, client, other)
            state.save_pipeline(client, replace(other, default_of=default_of))


def default_pipelines_of(client: OpenSearch) -> dict[str, str]:
    """Return the default pipeline of every index that names one, closed and hidden ones too."""
    found = client.indices.get_settings(
        index="_all",
        name=_DEFAULT,
        params={"flat_settings": "true", "expand_wildcards": "all"},
    )
    return {index: values["settings"][_DEFAULT] for index, values in found.items()}


def _set_default(client: OpenSearch, index: str, pipeline: str) -> None:
    client.indices.put_settings(index=index, body={_DEFAULT: pipeline or None})
