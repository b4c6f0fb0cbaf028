"""Index bodies as pure functions, and the few calls that make, describe and drop an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError, InputError
from opensearch_funnel.resources import mapping

Body = dict[str, Any]
SpaceType = Literal["innerproduct", "cosinesimil", "l2"]

FUNNEL_SCHEMA = 1
_META = "funnel"
_LOADING = "loading"
_PAGE = 10_000
_LOAD_SETTINGS: Body = {"refresh_interval": "-1", "number_of_replicas": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedBy:
    """The model that filled a funnel field.

    Attributes:
        model: its name.
        fingerprint: what it is made of, ``max_tokens`` included.
        max_tokens: where texts were cut; 0 for the model's own limit.
    """

    model: str
    fingerprint: str
    max_tokens: int = 0

    @property
    def meta(self) -> Body:
        """What ``_meta`` says of it."""
        cut = {"max_tokens": self.max_tokens} if self.max_tokens else {}
        return {"model": self.model, "fingerprint": self.fingerprint, **cut}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One pair of funnel fields, or one of the two, and what filled them.

    Attributes:
        sparse: what filled ``sparse_<name>``; ``None`` where the slot has no such field.
        dense: what filled ``dense_<name>``; ``None`` where the slot has no such field.
        dimension: numbers in a vector; 0 without one.
        name: the letter in ``sparse_<name>`` and ``dense_<name>``.
        space_type: how vectors are compared; for vectors of length 1 the inner product is the
            cosine.
    """

    sparse: EncodedBy | None
    dense: EncodedBy | None
    dimension: int = 0
    name: str = "a"
    space_type: SpaceType = "innerproduct"

    @property
    def meta(self) -> Body:
        """What ``_meta.funnel.slots`` says of the slot."""
        return {
            leg: by.meta
            for leg, by in (("sparse", self.sparse), ("dense", self.dense))
            if by is not None
        }

    @property
    def mapping(self) -> Body:
        """The body for ``PUT <index>/_mapping`` that gives an index the slot's fields."""
        body = funnel_mapping(slot=self.name, dimension=self.dimension, space_type=self.space_type)
        fields = body["properties"]["funnel"]["properties"]
        for leg, by in (("sparse", self.sparse), ("dense", self.dense)):
            if by is None:
                del fields[f"{leg}_{self.name}"]
        return body


def funnel_mapping(
    *, slot: str = "a", dimension: int, space_type: SpaceType = "innerproduct"
) -> Body:
    """Return the mapping of the object ``funnel`` with the two fields of one slot.

    Args:
        slot: the letter in the fields' names.
        dimension: numbers in a vector.
        space_type: how vectors are compared.

    Returns:
        A body for ``PUT <index>/_mapping``; adding it twice, or for another slot, keeps what
        is there.

    Example:
        >>> sorted(funnel_mapping(slot="b", dimension=8)["properties"]["funnel"]["properties"])
        ['dense_b', 'hash', 'id', 'model', 'origin', 'sparse_b', 'state']
    """
    body: Body = mapping("funnel-fields.v1")["mappings"]
    fields = body["properties"]["funnel"]["properties"]
    sparse, dense = fields.pop("sparse_a"), fields.pop("dense_a")
    fields[f"sparse_{slot}"] = sparse
    fields[f"dense_{slot}"] = {**dense, "dimension": dimension, "space_type": space_type}
    return body


def index_body(*, slot: Slot | None = None, replicas: int | None = None) -> Body:
    """Return the body of a new index for documents, with funnel fields if a slot is given.

    Example:
        >>> index_body()["mappings"]["properties"]["title"]["analyzer"]
        'english'
        >>> "funnel" in index_body()["mappings"]["properties"]
        False
    """
    body = mapping("documents.v1")
    if replicas is not None:
        body["settings"]["number_of_replicas"] = replicas
    if slot is None:
        return body
    # A knn field's graph needs the setting, and it cannot be set later.
    body["settings"]["knn"] = True
    body["mappings"]["properties"].update(slot.mapping["properties"])
    body["mappings"]["_meta"] = {_META: with_slot({}, slot=slot)}
    return body


def with_slot(meta: Mapping[str, Any], *, slot: Slot) -> Body:
    """Return ``_meta.funnel`` with one slot written into it; the other slots stay.

    Example:
        >>> by = EncodedBy(model="m", fingerprint="f")
        >>> with_slot({}, slot=Slot(sparse=by, dense=by, dimension=2))["slots"]["a"]["dense"]
        {'model': 'm', 'fingerprint': 'f'}
    """
    slots = {**meta.get("slots", {}), slot.name: slot.meta}
    return {**meta, "schema": FUNNEL_SCHEMA, "slots": slots}


def index_exists(client: OpenSearch, *, index: str) -> bool:
    """Say whether an index or alias of that name exists."""
    return bool(client.indices.exists(index=index))


def create_index(client: OpenSearch, *, index: str, body: Mapping[str, Any]) -> None:
    """Make an index.

    Raises:
        EngineError: the name is taken or not allowed, or the body is wrong.
    """
    client.indices.create(index=index, body=dict(body))


def delete_index(client: OpenSearch, *, index: str) -> None:
    """Drop an index; one that does not exist is fine."""
    with suppress(IndexMissingError):
        client.indices.delete(index=index)


def refresh_index(client: OpenSearch, *, index: str) -> None:
    """Make every document that was written so far visible to searches."""
    client.indices.refresh(index=index)


def count_documents(client: OpenSearch, *, index: str) -> int:
    """Count the documents that searches see.

    Raises:
        IndexMissingError: there is no such index.
        EngineError: a part of the index did not answer.
    """
    answer = client.count(index=index)
    failed = answer["_shards"]["failed"]
    if failed:
        raise EngineError(f"{failed} shards of {index} did not answer: see GET _cluster/health")
    return int(answer["count"])


def concrete_index(client: OpenSearch, *, index: str) -> str:
    """Return the name of the one index that an alias stands for, or the name itself.

    Raises:
        IndexMissingError: there is no such index.
        InputError: the name stands for several indices.
    """
    return _only_mapping(client, index=index)[0]


def index_uuid(client: OpenSearch, *, index: str) -> str:
    """Return what tells an index from an earlier one of the same name."""
    (settings,) = client.indices.get_settings(index=index).values()
    return str(settings["settings"]["index"]["uuid"])


def read_funnel_meta(client: OpenSearch, *, index: str) -> Body:
    """Read ``_meta.funnel`` of an index; empty where it has none.

    Raises:
        IndexMissingError: there is no such index.
        InputError: the name stands for several indices.
    """
    found: Body = _mapping_of(client, index=index).get("_meta", {}).get(_META, {})
    return found


def write_funnel_meta(client: OpenSearch, *, index: str, meta: Mapping[str, Any]) -> None:
    """Replace ``_meta.funnel`` of an index; what others keep in ``_meta`` stays."""
    others = _mapping_of(client, index=index).get("_meta", {})
    ours = {_META: dict(meta)} if meta else {}
    body = {"_meta": {**{k: v for k, v in others.items() if k != _META}, **ours}}
    client.indices.put_mapping(index=index, body=body)


def add_slot(client: OpenSearch, *, index: str, slot: Slot) -> None:
    """Give an existing index the fields of a slot, and say in its ``_meta`` what fills them.

    Raises:
        IndexMissingError: there is no such index.
        InputError: another model filled the slot, or the index was not made for vectors.
    """
    meta = read_funnel_meta(client, index=index)
    present = meta.get("slots", {}).get(slot.name)
    if present not in (None, slot.meta):
        raise InputError(
            f"slot {slot.name!r} of {index} was filled by {_models(present)}, not by "
            f"{_models(slot.meta)}: vectors of two models cannot be mixed; load into another index"
        )
    (settings,) = client.indices.get_settings(index=index).values()
    if str(settings["settings"]["index"].get("knn", "false")) != "true":
        raise InputError(
            f"{index} was made without index.knn, which vectors need and which cannot be set "
            "later: load into another index"
        )
    client.indices.put_mapping(index=index, body=slot.mapping)
    write_funnel_meta(client, index=index, meta=with_slot(meta, slot=slot))


def ready_ids(client: OpenSearch, *, index: str) -> set[str]:
    """Return the ids of all documents whose funnel fields are filled.

    Raises:
        IndexMissingError: there is no such index.
    """
    found: set[str] = set()
    body: Body = {
        "size": _PAGE,
        "_source": False,
        "query": {"term": {"funnel.state": "ready"}},
        "docvalue_fields": ["funnel.id"],
        "sort": [{"funnel.id": "asc"}],
        "track_total_hits": False,
    }
    while True:
        answer = client.search(index=index, body=body, params={"search_pipeline": "_none"})
        hits = answer["hits"]["hits"]
        found.update(hit["_id"] for hit in hits)
        if len(hits) < _PAGE:
            return found
        body["search_after"] = hits[-1]["sort"]


def interrupted_load(client: OpenSearch, *, index: str) -> bool:
    """Say whether a load into the index was killed before it put the settings back."""
    return _LOADING in read_funnel_meta(client, index=index)


@contextmanager
def load_settings_of(client: OpenSearch, *, index: str) -> Iterator[None]:
    """Set an index up for writing much, and put its settings back afterwards, come what may.

    No refresh and no replicas while the context is open: for an index that nobody searches yet.
    The settings before are kept in ``_meta.funnel.loading`` meanwhile, so that a load that was
    killed is put right by the next one. At the end the index is refreshed.

    Raises:
        IndexMissingError: there is no such index.
    """
    meta = read_funnel_meta(client, index=index)
    before = meta.get(_LOADING) or _settings_before(client, index=index)
    write_funnel_meta(client, index=index, meta={**meta, _LOADING: before})
    client.indices.put_settings(index=index, body={"index": _LOAD_SETTINGS})
    try:
        yield
    except BaseException:
        # The error that ended the load is the one to hear of; the mark in _meta stays.
        with suppress(EngineError):
            _put_back(client, index=index, before=before)
        raise
    _put_back(client, index=index, before=before)


def _settings_before(client: OpenSearch, *, index: str) -> Body:
    (settings,) = client.indices.get_settings(index=index).values()
    present = settings["settings"]["index"]
    # None takes a setting away, which brings the cluster's default back.
    return {name: present.get(name) for name in _LOAD_SETTINGS}


def _put_back(client: OpenSearch, *, index: str, before: Mapping[str, Any]) -> None:
    client.indices.put_settings(index=index, body={"index": dict(before)})
    meta = read_funnel_meta(client, index=index)
    meta.pop(_LOADING, None)
    write_funnel_meta(client, index=index, meta=meta)
    refresh_index(client, index=index)


def _mapping_of(client: OpenSearch, *, index: str) -> Body:
    return _only_mapping(client, index=index)[1]


def _only_mapping(client: OpenSearch, *, index: str) -> tuple[str, Body]:
    found = client.indices.get_mapping(index=index)
    if len(found) != 1:
        raise InputError(f"{index} stands for {len(found)} indices: name one of them")
    ((name, only),) = found.items()
    return str(name), only["mappings"]


def _models(meta: Mapping[str, Any]) -> str:
    return " and ".join(f"{by['model']} ({by['fingerprint']})" for by in meta.values())
