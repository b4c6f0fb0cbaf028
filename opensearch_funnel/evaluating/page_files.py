"""Reports as files: one HTML file, or Markdown with its drawings beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.difference_plot import require_plots
from opensearch_funnel.evaluating.pages import Block, Picture, as_html, as_markdown
from opensearch_funnel.evaluating.whole_files import write_whole

_ENDINGS = (".md", ".html")


def check_report(path: Path) -> None:
    """Refuse a report that could not be written, before long work.

    Raises:
        InputError: the ending is none of ``.md`` and ``.html``.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix not in _ENDINGS:
        raise InputError(f"{path} is no report: end it with {' or '.join(_ENDINGS)}")
    require_plots()


def write_page(path: Path, title: str, blocks: Sequence[Block]) -> list[Path]:
    """Write a report.

    Args:
        path: where to; the ending says the format.
        title: of the report.
        blocks: the report.

    Returns:
        The files, the report first.

    Raises:
        InputError: the ending is none that can be written, or a file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    check_report(path)
    if path.suffix == ".html":
        files = {path: as_html(title, blocks).encode()}
    else:
        svgs = [block.svg for block in blocks if isinstance(block, Picture)]
        names = {svg: f"{path.stem}-{number}.svg" for number, svg in enumerate(svgs, start=1)}
        report = as_markdown(title, blocks, pictures=names).encode()
        files = {path: report, **{path.with_name(name): svg for svg, name in names.items()}}
    write_whole(files)
    return list(files)
