"""Add a hosted model: ask it once, and write down what it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.adding import Added
from opensearch_funnel.encoders.hosted import open_hosted
from opensearch_funnel.encoders.manifest import Endpoint, Manifest
from opensearch_funnel.encoders.manifest_files import new_manifest, write_manifest

_SAMPLE = "a red fox runs home"
_UNKNOWN = 1
_LONGEST = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedEndpoint:
    """A hosted model to add, and what the user says of it.

    ``dimension`` 0 takes vectors as they come; another number is asked for of the provider.
    """

    name: str
    endpoint: Endpoint
    query_prefix: str = ""
    document_prefix: str = ""
    max_tokens: int = 0
    dimension: int = 0
    licence: str = ""


def add_endpoint(wanted: WantedEndpoint, *, overwrite: bool = False, write: bool = True) -> Added:
    """Add a hosted model to those of this machine.

    One short text is sent to it, to see that it answers and how long its vectors are.

    Args:
        wanted: which model.
        overwrite: whether one of the same name may be replaced.
        write: False to find everything out and keep nothing.

    Raises:
        InputError: the name is taken, or the variable with the key is not set.
        ModelError: it refuses, or its answer cannot be used.
        StageUnavailableError: it gave no answer in time.
    """
    path = new_manifest(wanted.name, overwrite=overwrite)
    manifest = Manifest(
        name=wanted.name,
        kind="dense",
        pooling="none",
        query_prefix=wanted.query_prefix,
        document_prefix=wanted.document_prefix,
        max_tokens=wanted.max_tokens or _LONGEST,
        dimension=wanted.dimension or _UNKNOWN,
        # Whether the provider is asked for so many numbers; how many it has is its own matter.
        cut_from=wanted.dimension,
        licence=wanted.licence or "as its provider says",
        precisions=("fp32",),
        endpoint=wanted.endpoint,
        files=(),
        sources=(),
        folder=path.parent,
    )
    with open_hosted(manifest) as encoder:
        given = encoder.ask_dimension(_SAMPLE)
    if wanted.dimension and given != wanted.dimension:
        raise ModelError(
            f"{wanted.endpoint.model} gave {given} numbers, not the {wanted.dimension} that it was"
            " asked for: leave --dimension out"
        )
    manifest = replace(manifest, dimension=given)
    if write:
        write_manifest(manifest, path)
    return Added(manifest=manifest, evidence=f"an answer of {wanted.endpoint.url}", path=path)
