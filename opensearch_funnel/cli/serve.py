"""``funnel serve``: the service that the search pipeline calls."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

import rich_click as click

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import output_option
from opensearch_funnel.settings import SERVICE_PORT, Settings

SERVICE = "opensearch-funnel"


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="A loopback address; any other one with FUNNEL_SERVICE_TOKEN only.",
)
@click.option("--port", default=SERVICE_PORT, show_default=True, help="0 takes a free port.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning"]),
    default="info",
    show_default=True,
    help="What is worth a line on standard error.",
)
@click.option("--until-eof", is_flag=True, hidden=True, help="End with the standard input.")
@click.option(
    "--worker",
    type=click.Path(path_type=Path),
    default=None,
    hidden=True,
    help="Be the supervisor's worker: answer on a unix domain socket at this path.",
)
@output_option
@engine_options
def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    log_level: str,
    until_eof: bool,
    worker: Path | None,
    output: str,
) -> int:
    """Answer the search pipeline's calls: rewrite queries, rerank hits.

    Runs until Ctrl-C. This process keeps the port open and answers 503 by itself while the one
    that does the work starts, loads models, hangs or is started again. /ready says when the
    models of every applied plan are loaded.

    Example: funnel serve --port 8750
    """
    _log_to_standard_error(log_level)
    if worker is not None:
        _work(settings, worker)
        return 0
    return _supervise(
        settings, host=host, port=port, log_level=log_level, until_eof=until_eof, output=output
    )


def _log_to_standard_error(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for chatty in ("opensearch", "httpx2", "urllib3", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def _work(settings: Settings, path: Path) -> None:
    from opensearch_funnel.service.process import end_with_parent, listen_at, run

    end_with_parent()
    from opensearch_funnel.build.service import service_app

    # Nothing can connect before the application is there to answer.
    app = service_app(settings)
    run(app, listen_at(path), until_eof=sys.stdin.fileno())


def _supervise(
    settings: Settings, *, host: str, port: int, log_level: str, until_eof: bool, output: str
) -> int:
    from importlib.metadata import version

    import orjson

    from opensearch_funnel.service.process import address, listen
    from opensearch_funnel.service.supervisor.supervising import supervise

    def worker_command(path: Path) -> list[str]:
        here = [sys.executable, "-m", "opensearch_funnel", "serve"]
        return [*here, "--worker", str(path), "--log-level", log_level]

    sock = listen(host, port, guarded=settings.service_token is not None)
    url = address(sock)
    if output == "json":
        sys.stdout.write(orjson.dumps({"url": url, "engine": settings.url}).decode() + "\n")
    else:
        click.echo(f"listening on {url} for the cluster at {settings.url}; Ctrl-C stops")
    sys.stdout.flush()
    end = supervise(
        sock,
        worker_command=worker_command,
        identity={"service": SERVICE, "version": version(SERVICE), "engine": settings.url},
        env=settings.environment(),
        until_eof=sys.stdin.fileno() if until_eof else None,
    )
    if end.signal == signal.SIGTERM:
        # The way to end a service: init systems take any other status than 0 for a failure.
        click.echo("stopped", err=True)
    elif end.signal is not None:
        signal.raise_signal(end.signal)
    return end.worker_status
