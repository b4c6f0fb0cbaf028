"""What may surprise the one who migrates an index, or the clients of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.planning.report import Texts
from opensearch_funnel.migrating.planning.source import Source

_ISM = ("index.plugins.index_state_management.", "index.opendistro.index_state_management.")
_INGEST = ("index.default_pipeline", "index.final_pipeline")
_POLICY = "policy_id"
_NUMBERED = re.compile(r"-\d+$")
_MANY_CUT, _MANY_EMPTY = 0.2, 0.1

_NAMED_INDEX = (
    "clients that name the index itself instead of an alias stay with the old one, whose writes "
    "are refused from the cutover on"
)
_BLOCKED = (
    "at the cutover writes are refused (403) for some seconds: writers have to try again, or they "
    "lose what they wrote"
)
_VERSIONS = (
    "versions begin anew in the target: a client that writes with if_seq_no or with versions of "
    "its own has to read a document again after the cutover"
)
_CURSORS = "a scroll or a point in time that is open at the cutover goes on to read the old index"
_ONE_SHARD = (
    "with one shard a search of a plan that is not fused by auto fetches every candidate before it "
    "fuses them; with two it is several times faster (--shards 2)"
)
_ROUTED = (
    "documents keep their routing; the funnel finds parents and children alike, each by its own "
    "text"
)


def risks_of(source: Source, migration: Migration, *, texts: Texts) -> list[str]:
    """Return what the source, the decisions and the samples let expect, one sentence each."""
    risks = [_NAMED_INDEX, _BLOCKED, _VERSIONS, _CURSORS]
    if migration.shards == 1:
        risks.append(_ONE_SHARD)
    kinds = {field.kind for field in source.fields.values()}
    if "nested" in kinds:
        risks.append("texts inside of nested fields are not encoded")
    if "join" in kinds or source.snapshot.mappings.get("_routing", {}).get("required"):
        risks.append(_ROUTED)
    risks += _of_settings(source)
    risks += _of_texts(texts, fields=migration.text_fields)
    return risks


def managed_by(client: OpenSearch, source: Source) -> list[str]:
    """Say whether a policy of index state management is at work on the source.

    The plugin may not be there, or this user may not ask it: then nothing is said.
    """
    try:
        found = client.transport.perform_request("GET", f"/_plugins/_ism/explain/{source.name}")
    except EngineError:
        return []
    policy = _policy(found.get(source.name) or {})
    return [f"policy {policy} manages {source.name}: {_ism(source.name)}"] if policy else []


def _of_settings(source: Source) -> Iterator[str]:
    settings = source.settings
    rolled = [name for name, one in source.snapshot.aliases.items() if one.get("is_write_index")]
    if rolled and _NUMBERED.search(source.name):
        yield (
            f"a rollover of {' or '.join(sorted(rolled))} in the middle of the migration would "
            f"leave {source.name} without its writers, and the alias with two indices: let it wait"
        )
    for name in _INGEST:
        if settings.get(name, "_none") != "_none":
            yield (
                f"{name} ({settings[name]}) does not run over what is copied; the target gets it "
                "at the cutover"
            )
    managed = [name for name in sorted(settings) if name.startswith(_ISM)]
    if managed:
        yield f"{', '.join(managed)} is not taken over: {_ism(source.name)}"


def _of_texts(texts: Texts, *, fields: tuple[str, ...]) -> Iterator[str]:
    if texts.cut > _MANY_CUT:
        yield (
            f"{texts.cut:.0%} of the samples have more text than the {texts.limit} tokens that are "
            "read: the end of it is found by its words alone"
        )
    if texts.empty > _MANY_EMPTY:
        yield (
            f"{texts.empty:.0%} of the samples have no text in {', '.join(fields)}: they are found "
            "by the words of other fields alone"
        )
    for one in texts.fields:
        if texts.samples and one.taken and not one.share:
            yield f"no sample has text in {one.path}"


def _policy(explained: Mapping[str, Any]) -> str:
    return next((str(explained[k]) for k in explained if k.endswith(_POLICY) and explained[k]), "")


def _ism(index: str) -> str:
    return (
        f"a rollover or a deletion of {index} in the middle of the migration would end it, so take "
        f"the index out (POST _plugins/_ism/remove/{index}) and manage the target afterwards"
    )
