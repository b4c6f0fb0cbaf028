"""The collections of the study: what they are, what family they are of, what may be fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fusion_study.debian import descriptions
from benchmarks.fusion_study.kept_sets import Pair, bodies, write_pairs
from benchmarks.fusion_study.python_code import functions
from opensearch_funnel.demo.corpus import write_beir
from opensearch_funnel.evaluating.datasets import Dataset, read_dataset, sampled

_MOST = {"test": 500}
_MOST_ELSEWHERE = 300
_SEED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The queries of one split of a collection.

    Attributes:
        collection: its name.
        family: what it is akin to: constants are never fitted on anything of the same family.
        dataset: the queries, at most 500 of a test split and 300 of any other.
        fitted: whether constants may be fitted on it.
    """

    collection: str
    family: str
    dataset: Dataset
    fitted: bool

    @property
    def name(self) -> str:
        """The collection and the split."""
        return f"{self.collection}/{self.dataset.split}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A collection as it is listed here.

    Attributes:
        name: of its folder.
        family: see ``Part``.
        fitted: the splits that constants may be fitted on.
        shown: the splits that are only measured on.
        made: writes the folder; ``None`` for a set that is there.
    """

    name: str
    family: str
    fitted: Sequence[str] = ()
    shown: Sequence[str] = ()
    made: Callable[[Path, Path], None] | None = None


def _pairs(of: Callable[[], list[Pair]]) -> Callable[[Path, Path], None]:
    def write(folder: Path, _: Path) -> None:
        if pairs := of():
            write_pairs(folder, pairs)

    return write


def _bodies(name: str) -> Callable[[Path, Path], None]:
    def write(folder: Path, datasets: Path) -> None:
        write_pairs(folder, bodies(datasets / name / "corpus.jsonl"))

    return write


def _demo(folder: Path, _: Path) -> None:
    write_beir(folder)


_TEST = ("test",)
_ALL = (
    _Known(name="scifact", family="sci", shown=_TEST, fitted=("train",)),
    _Known(name="msrd_movies", family="mov", shown=_TEST, fitted=("dev", "train")),
    _Known(name="cranfield", family="cran", shown=_TEST),
    _Known(name="python-stdlib", family="py", shown=_TEST, fitted=("dev",), made=_demo),
    _Known(name="pycode", family="code", fitted=_TEST, made=_pairs(functions)),
    _Known(name="debian", family="deb", fitted=_TEST, made=_pairs(descriptions)),
    _Known(name="scifact_body", family="sci", fitted=_TEST, made=_bodies("scifact")),
    _Known(name="cranfield_body", family="cran", fitted=_TEST, made=_bodies("cranfield")),
)
"""A made set has one split, named ``test``, that nobody else looks at: it may be fitted on."""


def collections(datasets: Path, *, made_in: Path) -> Iterator[Part]:
    """Return the parts of all collections; one that the machine cannot make is left out.

    Args:
        datasets: the folder with ``scifact``, ``msrd_movies`` and ``cranfield``.
        made_in: where the made ones are kept.

    Raises:
        InputError: a set of ``datasets`` is not there.
    """
    for known in _ALL:
        folder = datasets / known.name
        if known.made is not None:
            folder = made_in / known.name
            if not (folder / "corpus.jsonl").is_file():
                known.made(folder, datasets)
            if not (folder / "corpus.jsonl").is_file():
                continue
        for split in (*known.shown, *known.fitted):
            most = _MOST.get(split, _MOST_ELSEWHERE)
            yield Part(
                collection=known.name,
                family=known.family,
                dataset=sampled(read_dataset(folder, split=split), most, seed=_SEED),
                fitted=split in known.fitted,
            )


def left_out(parts: Sequence[Part]) -> list[str]:
    """Name the collections that this machine does not have.

    Example:
        >>> left_out([])[:2]
        ['scifact', 'msrd_movies']
    """
    there = {part.collection for part in parts}
    return [known.name for known in _ALL if known.name not in there]
