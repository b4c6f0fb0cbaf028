"""A document of our own in a user's index for some seconds, and its way out whatever happens."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.progress import SILENT, Progress

PREFIX = "funnel-gate-"
"""What the ids of all probes begin with."""
LEFT_AFTER_S = 3600
"""An older probe was left by a run that was killed."""
# Versions of our own: a write that arrives after the deletion is refused by its lower one.
_LAST_VERSION = 1000
_NOT_FOUND = 404
# Answers after which nothing was written: not a time-out, nor a server that fell over.
_REFUSED = range(400, 500)
_TRIES = 5
_WAIT_S = 1.0
# Words of one text share no piece with those of the other, in whatever way they are analysed.
_LETTERS = ("bcdfghjk", "mnpqrstv")
_WORD_LENGTH = 12
_SENTENCES = (
    "A lighthouse keeper polishes the brass lantern above the stormy harbour",
    "Volcanic basalt cooled slowly into six sided columns under an old glacier",
)


@dataclass(frozen=True, slots=True)
class ProbeText:
    """What a probe says.

    Attributes:
        word: one that no other document has.
        text: a sentence with that word in it.
    """

    word: str
    text: str


def probe_texts() -> tuple[ProbeText, ProbeText]:
    """Return two texts that have nothing in common, and were never said before."""
    words = ("".join(secrets.choice(some) for _ in range(_WORD_LENGTH)) for some in _LETTERS)
    first, second = (
        ProbeText(word, f"{sentence} {word}")
        for word, sentence in zip(words, _SENTENCES, strict=True)
    )
    return first, second


def probe_source(text: str, *, fields: Sequence[str]) -> dict[str, Any]:
    """Return a document that says a text in each of some fields.

    Example:
        >>> probe_source("x", fields=["title", "body.en"])
        {'title': 'x', 'body': {'en': 'x'}}
    """
    source: dict[str, Any] = {}
    for field in fields:
        *above, last = field.split(".")
        place = source
        for name in above:
            place = place.setdefault(name, {})
        place[last] = text
    return source


@dataclass(slots=True)
class Probe:
    """A document that is written, changed and deleted again.

    Attributes:
        client: the cluster.
        index: a concrete index.
        doc_id: the document's.
        version: of the last write; 0 where there is nothing to delete.
    """

    client: OpenSearch
    index: str
    doc_id: str
    version: int = 0

    def write(self, source: Mapping[str, Any]) -> None:
        """Write the document as any client would, through the index's own ingest pipeline.

        Raises:
            EngineError: the index refuses it.
        """
        self.version += 1
        try:
            self.client.index(
                index=self.index,
                id=self.doc_id,
                body=dict(source),
                params={"version": str(self.version), "version_type": "external"},
            )
        except EngineError as error:
            if self.version == 1 and error.status in _REFUSED:
                self.version = 0
            raise type(error)(
                f"the probe could not be written to {self.index}: {error}",
                status=error.status,
                kind=error.kind,
            ) from error

    def read(self) -> dict[str, Any]:
        """Return the document as it is stored, whether searches see it or not."""
        found: dict[str, Any] = self.client.get(index=self.index, id=self.doc_id)["_source"]
        return found

    def delete(self) -> None:
        """Delete the document, and keep out any write of it that is still on its way.

        Raises:
            EngineError: it may still be there; says how to delete it.
        """
        for left in reversed(range(_TRIES if self.version else 0)):
            try:
                self.client.delete(
                    index=self.index,
                    id=self.doc_id,
                    params={"version": str(_LAST_VERSION), "version_type": "external_gte"},
                )
            except EngineError as error:
                if error.status == _NOT_FOUND:
                    return
                if not left:
                    raise EngineError(
                        f"the probe {self.doc_id} may still be in {self.index} ({error}): delete "
                        f"it with DELETE /{self.index}/_doc/{self.doc_id}"
                    ) from error
                time.sleep(_WAIT_S)
            else:
                return


@contextmanager
def probe_in(client: OpenSearch, *, index: str, progress: Progress = SILENT) -> Iterator[Probe]:
    """Have a probe; it is deleted when the context ends, also by an error or Ctrl-C.

    Args:
        client: the cluster.
        index: a concrete index.
        progress: hears of what could not be deleted while something else went wrong.

    Raises:
        EngineError: the probe could not be deleted.
    """
    doc_id = f"{PREFIX}{int(time.time())}-{secrets.token_hex(4)}"
    probe = Probe(client, index, doc_id)
    try:
        yield probe
    except BaseException:
        try:
            probe.delete()
        except EngineError as error:
            # What went wrong first is what the user has to hear of first.
            progress.say(str(error))
        raise
    probe.delete()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftProbes:
    """Probes that other runs wrote: those that were deleted, and those that may be in use."""

    deleted: Sequence[str]
    kept: Sequence[str]


def delete_left_probes(client: OpenSearch, *, index: str) -> LeftProbes:
    """Delete probes of runs that were killed an hour ago or more.

    Raises:
        EngineError: one could not be deleted.
    """
    body = {"query": {"prefix": {"funnel.id": PREFIX}}, "size": 100, "_source": False}
    answer = client.search(index=index, body=body, params={"search_pipeline": "_none"})
    found = sorted(str(hit["_id"]) for hit in answer["hits"]["hits"])
    made_before = time.time() - LEFT_AFTER_S
    old = [doc_id for doc_id in found if _made_at(doc_id) < made_before]
    for doc_id in old:
        Probe(client, index, doc_id, version=1).delete()
    return LeftProbes(deleted=old, kept=[doc_id for doc_id in found if doc_id not in old])


def _made_at(doc_id: str) -> float:
    """Return when a probe was made; never for an id that is none of ours."""
    made = doc_id.removeprefix(PREFIX).partition("-")[0]
    return float(made) if doc_id.startswith(PREFIX) and made.isdecimal() else float("inf")
