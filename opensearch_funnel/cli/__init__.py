"""The command ``funnel``: one command group a file; parse, call, print."""
