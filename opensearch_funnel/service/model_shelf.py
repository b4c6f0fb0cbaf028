"""The models that anybody may ask for by name, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.stage import DenseQueryEncoder, SparseQueryEncoder
from opensearch_funnel.encoders.manifest import Kind
from opensearch_funnel.service.batched_models import Embedded


class UnknownModelError(FunnelError):
    """There is no model of that name here, or it does something else."""


class DenseModel(DenseQueryEncoder, Protocol):
    """A model that places texts in a space of vectors."""

    @property
    def name(self) -> str:
        """By which it is asked for."""
        ...

    @property
    def dimension(self) -> int:
        """How long a vector is."""
        ...

    def embed(self, texts: Sequence[str], *, as_queries: bool) -> Embedded:
        """Return the vectors of queries or documents, in the order given."""
        ...


class SparseModel(SparseQueryEncoder, Protocol):
    """A model that weighs the terms of texts."""

    @property
    def indices(self) -> Mapping[str, int]:
        """The place of each token in the model's vocabulary."""
        ...

    def weigh(self, texts: Sequence[str], *, as_queries: bool) -> Sequence[Mapping[str, float]]:
        """Return token → weight of queries or documents, in the order given."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelvedModel:
    """A model that is known here.

    Attributes:
        name: by which it is asked for.
        kind: what it does.
        fingerprint: what it is made of.
        is_here: whether it can be opened without a network.
    """

    name: str
    kind: Kind
    fingerprint: str
    is_here: bool


class ModelShelf:
    """Models by name, opened when they are first asked for.

    A request opens only what lies on this machine: no name that a client sends starts a download.
    """

    def __init__(
        self,
        *,
        known: Callable[[], Sequence[ShelvedModel]],
        open_model: Callable[[str], Any],
        opened: Callable[[], Sequence[str]] = tuple,
        defaults: Mapping[Kind, str] | None = None,
    ) -> None:
        """Make the shelf; opens nothing.

        Args:
            known: says which models there are; read again when a name is not among them.
            open_model: opens a model by its name, or gives the one that is open; may take
                seconds, and raise ``FunnelError``.
            opened: names the models that are open.
            defaults: the model of each kind that is meant where a request names none.
        """
        self._read_known = known
        self._open_model = open_model
        self._opened = opened
        self._defaults = defaults or {}
        self._lock = Lock()
        self._known: dict[str, ShelvedModel] = {}

    def models(self) -> list[ShelvedModel]:
        """Return the models that may be asked for, by name."""
        return sorted((m for m in self._fresh().values() if m.is_here), key=lambda m: m.name)

    def opened(self) -> list[ShelvedModel]:
        """Return the models that are open."""
        known = self._fresh()
        return [known[name] for name in self._opened() if name in known]

    def choose(self, name: str | None, *, kind: Kind) -> ShelvedModel:
        """Find the model that a request means, without opening it.

        Args:
            name: what the request calls it; the default of the kind if not given.
            kind: what it has to do.

        Raises:
            UnknownModelError: there is none; names those that there are.
        """
        wanted = self._defaults.get(kind, "") if name is None else name
        with self._lock:
            model = self._known.get(wanted)
        if model is None or not model.is_here:
            model = self._fresh().get(wanted)
        if model is not None and model.kind == kind:
            if model.is_here:
                return model
            raise UnknownModelError(f"model {model.name} is not on this machine: models pull it")
        there_are = ", ".join(m.name for m in self.models() if m.kind == kind) or "none"
        called = f"no {kind} model {wanted[:_SHOWN]!r} here" if wanted else f"no {kind} model here"
        raise UnknownModelError(f"{called}; there are: {there_are}")

    def open(self, model: ShelvedModel) -> Any:
        """Return a model that is ready to run; its kind says which port it has.

        Raises:
            FunnelError: it cannot be opened.
        """
        return self._open_model(model.name)

    def _fresh(self) -> dict[str, ShelvedModel]:
        known = {model.name: model for model in self._read_known()}
        with self._lock:
            self._known = known
        return known


_SHOWN = 100


def empty_shelf() -> ModelShelf:
    """Return a shelf without models, for a service that only runs plans."""

    def open_none(name: str) -> Any:
        raise UnknownModelError(f"no model {name!r} here")

    return ModelShelf(known=tuple, open_model=open_none)
