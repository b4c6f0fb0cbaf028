"""``funnel serve``: the service that the search pipeline calls."""

from __future__ import annotations

import logging
import sys

import rich_click as click

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import output_option
from opensearch_funnel.settings import SERVICE_PORT, Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", default=SERVICE_PORT, show_default=True, help="0 takes a free port.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning"]),
    default="info",
    show_default=True,
    help="What is worth a line on standard error.",
)
@click.option("--until-eof", is_flag=True, hidden=True, help="End with the standard input.")
@output_option
@engine_options
def serve(
    settings: Settings, *, host: str, port: int, log_level: str, until_eof: bool, output: str
) -> None:
    """Answer the search pipeline's calls: rewrite queries, rerank hits.

    Runs until Ctrl-C. Answers /health at once and /ready when the models of every applied
    plan are loaded.

    Example: funnel serve --port 8750
    """
    import orjson

    from opensearch_funnel.build.service import service_app
    from opensearch_funnel.service.process import address, listen, run

    logging.basicConfig(
        stream=sys.stderr,
        level=log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for chatty in ("opensearch", "httpx2", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    sock = listen(host, port)
    app = service_app(settings)
    url = address(sock)
    if output == "json":
        sys.stdout.write(orjson.dumps({"url": url, "engine": settings.url}).decode() + "\n")
    else:
        click.echo(f"listening on {url} for the cluster at {settings.url}; Ctrl-C stops")
    sys.stdout.flush()
    run(app, sock, until_eof=sys.stdin.fileno() if until_eof else None)
