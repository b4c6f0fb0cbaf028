"""Write the golden numbers anew: ``python tests/golden/write_encoder_numbers.py``.

To be run only when a change of the numbers is meant; the diff of ``encoder_numbers.json`` is then
what a reviewer looks at.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.manifest_files import list_manifests
from opensearch_funnel.encoders.opening import open_encoder
from opensearch_funnel.encoders.splade import SpladeEncoder

TEXTS = (
    "what is the best hotel in paris",
    "Zero-dimensional biomaterials show inductive properties.",
    "asyncio.gather raises ValueError: wait for several threads to finish",
    "ein Film über Zeitreisen 🚀",
)
QUERY = "remove duplicates but keep order"
ANSWERS = ("dict.fromkeys(items) drops repeated items and keeps their order", "a fish in the sea")
TERMS, COMPONENTS, DIGITS = 12, 8, 5


def numbers(name: str, precision: str) -> dict[str, Any]:
    """Return the fingerprint and the first numbers of a model in one precision."""
    encoder = open_encoder(name, precision=precision)
    found: dict[str, Any] = {"fingerprint": encoder.fingerprint}
    if isinstance(encoder, SpladeEncoder):
        for text, weights in zip(TEXTS, encoder.encode_documents(TEXTS), strict=True):
            heaviest = list(weights.items())[:TERMS]
            found[text] = {token: round(weight, DIGITS) for token, weight in heaviest}
    elif isinstance(encoder, DenseEncoder):
        for text, vector in zip(TEXTS, encoder.encode_documents(TEXTS), strict=True):
            found[text] = [round(float(x), DIGITS) for x in vector[:COMPONENTS]]
        query = encoder.encode_query(QUERY)
        found[f"query: {QUERY}"] = [round(float(x), DIGITS) for x in query[:COMPONENTS]]
    elif isinstance(encoder, CrossEncoder):
        scores = encoder.score(QUERY, ANSWERS)
        found[QUERY] = [round(score, DIGITS) for score in scores]
    return found


def main() -> None:
    """Write the file beside this one."""
    made = {
        manifest.name: {
            precision: numbers(manifest.name, precision) for precision in manifest.precisions
        }
        for manifest in list_manifests()
    }
    path = Path(__file__).with_name("encoder_numbers.json")
    path.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
