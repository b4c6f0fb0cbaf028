"""The shop that the clients search: small documents with every kind of field they ask about.

Nothing here is random: a document follows from its number alone, so an expectation can be worked
out by hand. Prices and dates are all different, so that a sort by them has one right answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine.indices import EncodedBy, Slot, index_body
from opensearch_funnel.testing import WordVector, WordWeights

SPARSE, DENSE = WordWeights(), WordVector()
TEXT_FIELDS = ("title", "text")
COLOURS = ("red", "blue", "green", "black", "white", "grey", "yellow", "orange")
BRANDS = ("Nordlys", "Talgo", "Vela")
CLIENT_DIMENSION = 4
"""Numbers in the vectors that the clients bring themselves."""

_KINDS = {
    "shoes": ("running shoes", "Light {} shoes for the road, with a soft sole."),
    "lamps": ("desk lamp", "A {} lamp for late reading: warm light and a heavy foot."),
    "bikes": ("city bike", "A {} bike for the road and the city, with three gears and a light."),
    "kettles": ("steel kettle", "Boils water in two minutes; {} handle, made of steel."),
    "tents": ("tent for two", "A waterproof {} tent for two people, light to carry."),
    "chairs": ("garden chair", "A {} chair of steel and wood for the garden."),
}
CATEGORIES = tuple(_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One document of the shop."""

    doc_id: str
    number: int
    category: str
    colour: str

    @property
    def title(self) -> str:
        return f"{self.colour.capitalize()} {_KINDS[self.category][0]}"

    @property
    def text(self) -> str:
        return _KINDS[self.category][1].format(self.colour)

    @property
    def brand(self) -> str:
        return BRANDS[self.number % len(BRANDS)]

    @property
    def price(self) -> float:
        return 10.5 + (self.number * 37) % 190

    @property
    def on_sale(self) -> bool:
        return self.number % 4 == 0

    @property
    def published(self) -> str:
        return (date(2026, 1, 1) + timedelta(days=5 * self.number)).isoformat()

    @property
    def words(self) -> set[str]:
        """The words of both texts, in lower case and without punctuation."""
        return set(f"{self.title} {self.text}".lower().translate(_NO_PUNCTUATION).split())

    def own_vector(self) -> list[float]:
        """A vector of the client's own, from its own model."""
        return [1.0, float(self.number % 5), float(self.number % 7), float(self.number % 3)]

    def source(self) -> dict[str, Any]:
        """The document as it is indexed, the funnel's fields included."""
        plain: dict[str, Any] = {
            "title": self.title,
            "text": self.text,
            "sku": f"SKU-{1000 + self.number}",
            "category": self.category,
            "colour": self.colour,
            "brand": self.brand,
            "tags": [self.colour, self.category, "sale" if self.on_sale else "regular"],
            "price": self.price,
            "stock": self.number % 13,
            "on_sale": self.on_sale,
            "published": self.published,
            "location": {"lat": 40.0 + self.number / 4, "lon": -3.0 + self.number / 8},
            "reviews": [
                {
                    "author": f"user{(self.number + nth) % 6}",
                    "stars": 1 + (self.number + 2 * nth) % 5,
                    "comment": ("a good buy", "too heavy for me", "works as described")[
                        (self.number + nth) % 3
                    ],
                }
                for nth in range(self.number % 3)
            ],
            "suggest": {"input": [self.title, self.category]},
            "popularity": 1.0 + self.number % 9,
            "typed": self.title,
            "signals": {self.colour: 2.0, self.category: 1.0},
            "vector_field": self.own_vector(),
            "embedding": self.own_vector(),
            "metadata": {"source": f"{self.category}.pdf", "page": self.number},
        }
        if self.number % 6 == 5:
            del plain["stock"]
        encoded = encoded_text(plain, fields=list(TEXT_FIELDS))
        plain["funnel"] = {
            "id": self.doc_id,
            "hash": text_hash(encoded),
            "state": "ready",
            "sparse_a": SPARSE.encode_query(encoded),
            "dense_a": DENSE.encode_query(encoded).tolist(),
        }
        return plain


_NO_PUNCTUATION = str.maketrans(dict.fromkeys(".,:;", " "))


def _products(*, prefix: str, colours: tuple[str, ...]) -> Iterator[Product]:
    number = 0
    for colour in colours:
        for category in CATEGORIES:
            yield Product(
                doc_id=f"{prefix}{number:02d}", number=number, category=category, colour=colour
            )
            number += 1


PRODUCTS = {p.doc_id: p for p in _products(prefix="p", colours=COLOURS)}
"""What the shop sells: 48 documents, by id."""
ARCHIVE = {p.doc_id: p for p in _products(prefix="a", colours=("purple",))}
"""What it sold once, in an index of its own; no id or text is in both."""

_OWN_VECTOR = {
    "type": "knn_vector",
    "dimension": CLIENT_DIMENSION,
    "method": {"name": "hnsw", "engine": "lucene", "space_type": "l2"},
}
_FIELDS: dict[str, Any] = {
    "sku": {"type": "keyword"},
    "category": {"type": "keyword"},
    "colour": {"type": "keyword"},
    "brand": {"type": "keyword"},
    "tags": {"type": "keyword"},
    "price": {"type": "float"},
    "stock": {"type": "integer"},
    "on_sale": {"type": "boolean"},
    "published": {"type": "date"},
    "location": {"type": "geo_point"},
    "reviews": {
        "type": "nested",
        "properties": {
            "author": {"type": "keyword"},
            "stars": {"type": "integer"},
            "comment": {"type": "text"},
        },
    },
    "suggest": {"type": "completion"},
    "popularity": {"type": "rank_feature"},
    "signals": {"type": "rank_features"},
    "name": {"type": "alias", "path": "title"},
    "typed": {"type": "search_as_you_type"},
    "vector_field": _OWN_VECTOR,
    "embedding": _OWN_VECTOR,
    "metadata": {"properties": {"source": {"type": "keyword"}, "page": {"type": "integer"}}},
}


def shop_body(*, funnel: bool = True, default_pipeline: str | None = None) -> dict[str, Any]:
    """Return the body of an index for products.

    Args:
        funnel: whether it has the funnel's fields; without, it is an index nobody migrated.
        default_pipeline: the search pipeline that it runs by default.
    """
    slot = Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=SPARSE.fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=DENSE.fingerprint),
        dimension=DENSE.dimension,
    )
    body = index_body(slot=slot if funnel else None)
    body["settings"]["index.knn"] = True
    if default_pipeline is not None:
        body["settings"]["index.search.default_pipeline"] = default_pipeline
    known = body["mappings"]["properties"]
    vectors = {**known["text"], "term_vector": "with_positions_offsets"}
    known["title"]["fields"] = {"raw": {"type": "keyword"}}
    known["text"]["fields"] = {"vectors": vectors}
    known.update(_FIELDS)
    return body


def bulk_lines(products: dict[str, Product], *, funnel: bool = True) -> list[dict[str, Any]]:
    """Return the products as the lines of one bulk request; the index is named in its path."""
    lines: list[dict[str, Any]] = []
    for doc_id, product in products.items():
        source = product.source()
        if not funnel:
            del source["funnel"]
        lines += [{"index": {"_id": doc_id}}, source]
    return lines
