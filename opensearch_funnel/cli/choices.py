"""Options that several commands share: names with commas between, and the plan's file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.settings import CONFIG_FILE

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.measures import Measure

plan_option = click.option(
    "--plan",
    "plan_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=CONFIG_FILE,
    show_default=True,
    help="A file with the plan under [plan]; defaults where it does not exist.",
)
"""Hands a command ``plan_file``."""


report_option = click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a report with drawings to FILE.html or FILE.md.",
)
"""Hands a command ``report``."""


def split_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--split``, one of a data set's judgments.

    Args:
        default: its name if the option is not given.
    """
    return click.option(
        "--split", default=default, show_default=True, help="Which qrels/<split>.tsv."
    )


def rerank_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--rerank``, whether a plan reranks.

    Args:
        help_text: of which system, or how ``auto`` decides.
    """
    return click.option(
        "--rerank",
        type=click.Choice(["auto", "on", "off"]),
        default="auto",
        show_default=True,
        help=help_text,
    )


def _measures(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[Measure, ...]:
    from opensearch_funnel.evaluating.measures import measure_named

    try:
        return tuple(dict.fromkeys(measure_named(name) for name in value.split(",")))
    except InputError as error:
        raise click.BadParameter(str(error)) from error


measures_option = click.option(
    "--measures",
    default="nDCG@10,R@100",
    show_default=True,
    callback=_measures,
    help="nDCG@k, R@k, MRR@k, P@k, MAP@k, Success@k, Judged@k, MRR, MAP, Bpref; condensed- before "
    "one leaves documents without a judgment out. With commas between.",
)
"""Hands a command ``measures``."""


def dataset_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--dataset``, a folder that must be there.

    Args:
        help_text: what is done with it.
    """
    return click.option(
        "--dataset",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        required=True,
        help=help_text,
    )


def listed(text: str) -> tuple[str, ...]:
    """Read names with commas between, as fields are given.

    Example:
        >>> listed("title, text,")
        ('title', 'text')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def names_option(
    flag: str, *, known: Sequence[str], help_text: str, default: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option that takes any of the known names.

    Args:
        flag: the option, for example ``--systems``.
        known: the names there are, in the order of the default.
        help_text: what the option is for.
        default: what is taken if nothing is said; all of them if empty.
    """

    def chosen(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(listed(value)))
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise click.BadParameter(
                f"no {', '.join(unknown) or 'name given'}; there are: {', '.join(known)}"
            )
        return names

    return click.option(
        flag, default=",".join(default or known), show_default=True, callback=chosen, help=help_text
    )
