"""A model as a command names it: ``splade-tiny``, or ``splade-tiny:fp32`` in one precision."""

from __future__ import annotations

from dataclasses import dataclass

from opensearch_funnel.encoders.manifest import Manifest, Precision
from opensearch_funnel.encoders.manifest_files import load_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model in one of its precisions."""

    manifest: Manifest
    precision: Precision

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"{self.manifest.name}:{self.precision}"

    @property
    def fingerprint(self) -> str:
        """What tells its numbers from others."""
        return self.manifest.fingerprint(self.precision)


def named_model(given: str, *, precision: Precision | None = None) -> NamedModel:
    """Read a model's name with a precision behind a colon.

    Args:
        given: as on the command line.
        precision: where it has none; the manifest's default if neither says one.

    Raises:
        InputError: there is no such model, or it cannot run in that precision.

    Example:
        >>> named_model("splade-tiny:fp32").name, named_model("splade-tiny").name
        ('splade-tiny:fp32', 'splade-tiny:int8')
    """
    name, _, said = given.partition(":")
    manifest = load_manifest(name)
    return NamedModel(manifest=manifest, precision=manifest.precision(said or precision))
