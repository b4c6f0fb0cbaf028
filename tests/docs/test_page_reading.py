"""The runner of the documentation's commands itself: what it reads, and what it says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.docs.pages import PageError, blocks_of, script_of
from tests.docs.running import CommandFailedError, Shell

PAGE = """# Films

```sh
echo one
```

*Not run*: needs Docker.

```sh
docker ps
```

```text
one
```

```sh
echo two   # and a
echo three
```
"""


def run(script: str, tmp_path: Path, *, timeout_s: float = 60.0) -> str:
    return Shell(tmp_path, os.environ).run(script, name="films.md", timeout_s=timeout_s)


def test_commands_keep_their_lines_and_marked_blocks_are_left_out() -> None:
    lines = script_of(blocks_of(PAGE)).splitlines()
    assert {number: line for number, line in enumerate(lines, start=1) if line} == {
        4: "echo one",
        18: "echo two   # and a",
        19: "echo three",
    }


@pytest.mark.parametrize(
    "text",
    [
        "```sh\necho one\n",
        "*Not run*: needs Docker.\n\n```text\none\n```\n",
        "*Not run*: needs Docker.\n\nBut it does.\n\n```sh\necho\n```\n",
        "*Not run*: needs Docker.\n",
    ],
)
def test_a_page_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(PageError, match="page:1"):
        blocks_of(text)


def test_a_page_runs_in_one_shell_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "films.ndjson").write_text("{}\n")
    script = '\nfilms=$(cat films.ndjson)\n\necho "$films" | tee seen\n'
    assert run(script, tmp_path) == "{}\n"
    assert (tmp_path / "seen").read_text() == "{}\n"


@pytest.mark.parametrize(
    "command",
    ["false", "false | cat", 'echo "$NOBODY_SET_THIS"', "for one in 1 2; do false; done"],
)
def test_a_failing_command_is_named_with_its_line(command: str, tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=re.escape("films.md:4: exit status 1")):
        run(f"\n\necho before\n{command}\necho after\n", tmp_path)


def test_a_page_that_hangs_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=re.escape("films.md:2: exit status none after 5")):
        run("\nsleep 600\n", tmp_path, timeout_s=5.0)


def test_what_a_page_leaves_running_ends_with_it(tmp_path: Path) -> None:
    run("\nsleep 600 &\necho $! >pid\n", tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
