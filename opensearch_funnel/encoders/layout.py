"""Which files of a published model are its weights, tokenizer and descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.describing import DESCRIPTIONS
from opensearch_funnel.encoders.manifest import PROJECTION

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".joblib")
"""Forms of weights that are never read: most of them can carry code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the files of a model are at its source.

    Attributes:
        kept: name here → name there, of the files that the model runs from.
        read: name here → name there, of the files that only describe it.
    """

    kept: Mapping[str, str]
    read: Mapping[str, str]


def find_layout(names: Iterable[str], *, weights: str = "", tokenizer: str = "") -> Layout:
    """Find a model's files among those of a source.

    Args:
        names: all files of the source.
        weights: which file holds the weights, where there are several that could.
        tokenizer: which file is the tokenizer.

    Raises:
        ModelError: there are no weights that are safe to read, several that could be meant, or no
            tokenizer; the message says which option settles it.

    Example:
        >>> layout = find_layout(["a/config.json", "a/model.safetensors", "a/tokenizer.json"])
        >>> dict(layout.kept)["model.safetensors"]
        'a/model.safetensors'
    """
    all_names = sorted(names)
    chosen = _weights(all_names, wanted=weights)
    top = PurePosixPath(chosen).parent
    if top.name == "onnx":
        top = top.parent
    is_graph = chosen.endswith(".onnx")
    kept = {
        "model.onnx" if is_graph else "model.safetensors": chosen,
        "tokenizer.json": _tokenizer(all_names, top=top, wanted=tokenizer),
    }
    known = set(all_names)
    extras = {"idf.json": "idf.json", PROJECTION: "1_Dense/model.safetensors"}
    if not is_graph:
        extras["config.json"] = "config.json"
        if str(top / "config.json") not in known:
            raise ModelError(f"there is no config.json beside {chosen}")
    kept |= {own: str(top / there) for own, there in extras.items() if str(top / there) in known}
    read = {name: str(top / name) for name in DESCRIPTIONS if str(top / name) in known}
    return Layout(kept=kept, read=read)


def _weights(names: list[str], *, wanted: str) -> str:
    if wanted:
        if wanted not in names:
            raise ModelError(f"there is no {wanted}; there are: {_some(names)}")
        if not wanted.endswith((".safetensors", ".onnx")):
            raise ModelError(f"{wanted} is neither .safetensors nor .onnx: it is not read")
        return wanted
    if any(name.endswith(".safetensors.index.json") for name in names):
        raise ModelError("the weights are in several files: save them as one model.safetensors")
    for found in (
        [n for n in names if PurePosixPath(n).name == "model.safetensors" and "1_Dense" not in n],
        [n for n in names if PurePosixPath(n).name == "model.onnx"],
        [n for n in names if n.endswith(".onnx")],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelError(f"several files could be meant: {_some(found)}; say --weights NAME")
    if pickled := [name for name in names if name.endswith(PICKLES)]:
        raise ModelError(
            f"{pickled[0]} may carry code and is not read: save the model again as"
            " model.safetensors (safe_serialization), or export it to ONNX"
        )
    raise ModelError(f"there is neither model.safetensors nor an .onnx; there are: {_some(names)}")


def _tokenizer(names: list[str], *, top: PurePosixPath, wanted: str) -> str:
    if wanted:
        if wanted not in names:
            raise ModelError(f"there is no {wanted}; there are: {_some(names)}")
        return wanted
    if str(top / "tokenizer.json") in names:
        return str(top / "tokenizer.json")
    found = [name for name in names if name.endswith("tokenizer.json")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelError(f"several files could be meant: {_some(found)}; say --tokenizer NAME")
    raise ModelError(
        "there is no tokenizer.json: load the tokenizer with transformers and save it again,"
        " which writes one"
    )


def _some(names: list[str]) -> str:
    most = 8
    return ", ".join(names[:most]) + (", …" if len(names) > most else "") if names else "no files"
