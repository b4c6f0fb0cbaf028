"""``python -m opensearch_funnel``: the same as the command ``funnel``."""

from opensearch_funnel.cli.main import run

if __name__ == "__main__":
    run()
