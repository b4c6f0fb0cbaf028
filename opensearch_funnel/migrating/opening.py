"""The encoder that a migration was planned with, or that filled a slot of an index."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.encoders.opening import open_dense, open_splade
from opensearch_funnel.engine.indices import read_funnel_meta
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.migration import Migration

_USUAL_FIELDS = ("title", "text")


def open_slot_encoder(
    migration: Migration, *, threads: int | None = None, progress: Progress = SILENT
) -> SlotEncoder:
    """Open the models that fill the slot of a migration.

    Args:
        migration: says which, and where texts are cut.
        threads: cores of one run; the setting ``threads`` or all of them if not given.
        progress: hears of what is fetched.

    Raises:
        InputError: a model here is another one than the migration was planned with.
        ModelError: its files cannot be fetched, verified or loaded.
        MissingExtraError: a package that models need is not installed.
    """
    encoder = _opened(
        sparse_model=migration.sparse_model,
        dense_model=migration.dense_model,
        max_tokens=migration.max_tokens,
        threads=threads,
        progress=progress,
        fields=migration.text_fields,
        name=migration.slot,
    )
    planned = migration.slots.get(migration.slot)
    if planned != encoder.slot.meta:
        raise InputError(
            f"the models here are not those that the migration of {migration.alias} was planned "
            f"with: it wants {planned}, and here are {encoder.slot.meta}; use the same files, or "
            "plan it anew"
        )
    return encoder


def open_index_encoder(  # noqa: PLR0913 - what an index does not always say of itself
    client: OpenSearch,
    index: str,
    *,
    slot: str = "a",
    text_fields: tuple[str, ...] = (),
    threads: int | None = None,
    progress: Progress = SILENT,
) -> SlotEncoder:
    """Open the models that filled a slot of an index, by what its ``_meta`` says of them.

    Args:
        client: the cluster.
        index: an index, or an alias of one.
        slot: which slot.
        text_fields: what is encoded; what the index says if not given, else title and text.
        threads: cores of one run; the setting ``threads`` or all of them if not given.
        progress: hears of what is fetched.

    Raises:
        IndexMissingError: there is no such index.
        InputError: it has no such slot, or the models here are not those that filled it.
        ModelError: their files cannot be fetched, verified or loaded.
        MissingExtraError: a package that models need is not installed.
    """
    meta = read_funnel_meta(client, index=index)
    filled = meta.get("slots", {}).get(slot)
    if not filled:
        known = ", ".join(sorted(meta.get("slots", {}))) or "none"
        raise InputError(f"{index} has no slot {slot!r}; it has: {known}")
    models = {leg: filled[leg]["model"] if leg in filled else "" for leg in ("sparse", "dense")}
    fields = text_fields or tuple(meta.get("text_fields") or _USUAL_FIELDS)
    max_tokens = max((by.get("max_tokens", 0) for by in filled.values()), default=0)
    encoder = _opened(
        sparse_model=models["sparse"],
        dense_model=models["dense"],
        max_tokens=max_tokens,
        threads=threads,
        progress=progress,
        fields=fields,
        name=slot,
    )
    if encoder.slot.meta != filled:
        raise InputError(
            f"slot {slot} of {index} was filled by {filled}, and here are {encoder.slot.meta}: "
            "use the same files"
        )
    return encoder


def _opened(  # noqa: PLR0913 - the parts of a slot
    *,
    sparse_model: str,
    dense_model: str,
    max_tokens: int,
    threads: int | None,
    progress: Progress,
    fields: tuple[str, ...],
    name: str,
) -> SlotEncoder:
    sparse = dense = None
    if sparse_model:
        manifest = load_manifest(sparse_model, max_tokens=max_tokens)
        sparse = open_splade(manifest, threads=threads, progress=progress)
    if dense_model:
        manifest = load_manifest(dense_model, max_tokens=max_tokens)
        dense = open_dense(manifest, threads=threads, progress=progress)
    return SlotEncoder(fields=fields, sparse=sparse, dense=dense, name=name, max_tokens=max_tokens)
