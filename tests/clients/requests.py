"""What a client request is, and what the funnel is expected to do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import Matching
from tests.clients.catalogue import Product

Answer = dict[str, Any]


class Client(StrEnum):
    """Whose request it is."""

    SEARCH_PAGE = "a search page's own JSON"
    LOW_LEVEL = "opensearch-py"
    DSL = "opensearch-py DSL"
    REST = "REST"
    JAVA = "opensearch-java"
    DISCOVER = "Dashboards Discover"
    VISUALIZE = "Dashboards Visualize"
    TSVB = "Dashboards TSVB"
    QUERY_BAR = "Dashboards query bar"
    GRAFANA = "Grafana"
    LANGCHAIN = "LangChain"
    HAYSTACK = "Haystack"


class Treatment(StrEnum):
    """What the funnel does with a request."""

    UNTOUCHED = "untouched"
    """The answer is the plain one, to the last digit."""
    SAME_SET = "same set"
    """The same hits, totals and aggregations in the funnel's order: the client's query says
    which documents may match (every word, a phrase, so many of the words)."""
    COUNTED = "same set, as the request counts its hits"
    """The same, but because of aggregations or exact totals: a plan may widen these."""
    WIDENED = "widened"
    """Documents that share no word with the query may come in; filters hold for them too."""
    REFUSED = "refused"
    """A known break: the engine answers 400."""

    def under(self, matching: Matching) -> Treatment:
        """Return the treatment under a plan that decides which documents may match."""
        if self is Treatment.COUNTED:
            return Treatment.WIDENED if matching == "widen" else Treatment.SAME_SET
        if self is Treatment.WIDENED and matching == "same_set":
            return Treatment.SAME_SET
        return self


UNTOUCHED, SAME_SET = Treatment.UNTOUCHED, Treatment.SAME_SET
COUNTED, WIDENED = Treatment.COUNTED, Treatment.WIDENED
REFUSED = Treatment.REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The indices that a request can be sent to.

    Attributes:
        client: a client as its users make it, of no part of this project.
        base: what all names begin with.
        theirs: a search pipeline of the client's own.
    """

    client: OpenSearch
    base: str

    @property
    def index(self) -> str:
        """The index with the funnel's fields, on which the plan is applied."""
        return f"{self.base}-shop"

    @property
    def alias(self) -> str:
        return f"{self.base}-everything"

    @property
    def shoes(self) -> str:
        """An alias that shows the shoes only."""
        return f"{self.base}-only-shoes"

    @property
    def archive(self) -> str:
        """A second index with the funnel's fields; it runs the same pipeline by default."""
        return f"{self.base}-archive"

    @property
    def plain(self) -> str:
        """An index that was never migrated, and that has no default pipeline."""
        return f"{self.base}-legacy"

    @property
    def foreign(self) -> str:
        """An index whose default pipeline is somebody else's."""
        return f"{self.base}-foreign"

    @property
    def theirs(self) -> str:
        return f"{self.base}-theirs"

    def fill(self, text: str) -> str:
        """Put names into a path: ``{index}``, ``{alias}``, …"""
        names = ("base", "index", "alias", "shoes", "archive", "plain", "foreign", "theirs")
        for name in names:
            text = text.replace(f"{{{name}}}", getattr(self, name))
        return text


Send = Callable[[Shop], Answer | list[Answer]]
Rule = Callable[[Product], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest:
    """One request of the corpus.

    Attributes:
        name: says what is special about it; no two have the same.
        client: whose it is.
        expected: the treatment of its answer, or of each of its answers.
        send: sends it, and returns the answer or the answers.
        keeps: what every document in the answer keeps to, whichever leg found it: the filters
            of the request, worked out on the product.
        within: the ids that the request can reach; all products of the shop if empty.
        pages: the answers are the pages of one list: together they hold no document twice.
        reranked: whether a plan with a reranker reranks it (a hit that the plan's own index
            does not hold has no text there).
    """

    name: str
    client: Client
    expected: Treatment | tuple[Treatment, ...]
    send: Send
    keeps: Rule = lambda _: True
    within: tuple[str, ...] = ()
    pages: bool = False
    reranked: bool = True

    @property
    def treatments(self) -> tuple[Treatment, ...]:
        """What is expected, as a tuple also where it is one for all answers."""
        return (self.expected,) if isinstance(self.expected, Treatment) else self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request that changes documents, or copies them; it must do what it did before.

    Attributes:
        name: says what is special about it.
        client: whose it is.
        run: runs it on a fresh copy of the shop (first index) and may write into an empty one
            (second index); returns what the client learns.
        copies: it writes into the second index.
        refused: it ends in the one known break, a scroll in score order.
    """

    name: str
    client: Client
    run: Callable[[OpenSearch, str, str], Any]
    copies: bool = False
    refused: bool = False
