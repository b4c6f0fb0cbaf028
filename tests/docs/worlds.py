"""What the reader of a page has already: files in the folder, an index, a service.

The folder has ``films.ndjson`` (40 films), ``queries.txt`` (what people searched), a slow log, the
checkout's ``mappings`` and ``scripts``, and a plan whose deadlines a busy machine does not reach.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from opensearchpy import OpenSearch

from tests.docs.cluster_state import State, cluster_state, difference, restore, take_away
from tests.docs.pages import ROOT, read_page, script_of
from tests.docs.running import Shell, free_port, shell_of

_FILES = Path(__file__).with_name("world")
_SLOW_LOG = ROOT / "tests" / "unit" / "documents" / "slow_logs" / "search_slowlog.json"
_PATIENT = """
[plan.deadlines]
rewrite_ms = 30000
rank_ms = 30000
encode_ms = 30000
"""
_START_S = 120.0

_PLAIN = """
funnel load films.ndjson --index films-v1
curl -fsS -X PUT "$FUNNEL_URL/films-v1/_alias/films"
"""
_ENCODED = """
funnel load films.ndjson --index films-v1 --funnel
curl -fsS -X PUT "$FUNNEL_URL/films-v1/_alias/films"
"""
_UPGRADED = f"""
{_ENCODED}
funnel pipeline apply --index films --default --rerank off
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a world is made of.

    Attributes:
        commands: what makes it.
        served: whether a service answers.
    """

    commands: str
    served: bool = False


PLAIN = Kind(commands=_PLAIN)
ENCODED = Kind(commands=_ENCODED)
UPGRADED = Kind(commands=_UPGRADED, served=True)


@dataclass(slots=True)
class World:
    """What readers have, made once for several pages, none of which may change it.

    Attributes:
        kind: what it is made of.
        client: the cluster that it is in.
        before: what was there before it.
        shell: where it is made.
    """

    kind: Kind
    client: OpenSearch
    before: State
    shell: Shell
    _service: ExitStack = field(default_factory=ExitStack)

    def make(self) -> None:
        """Make it.

        Raises:
            CommandFailedError: a command failed.
        """
        if self.kind.served:
            self._service.enter_context(_service(self.shell))
        self.shell.run("\n", name="the world", before=self.kind.commands)

    def unmake(self) -> None:
        """Take it away, as a user would.

        Raises:
            AssertionError: something else is left: of the world, or of a page.
        """
        self._service.close()
        try:
            take_away(self.client, self.before)
            assert difference(self.before, cluster_state(self.client)) == []
        finally:
            restore(self.client, self.before)

    @contextmanager
    def without_service(self) -> Iterator[None]:
        """Have nothing listen at the service's address while the context is open."""
        self._service.close()
        yield
        self._service.enter_context(_service(self.shell))

    def run(self, page: str, folder: Path, *, changes: bool = False) -> None:
        """Run the commands of a page in a folder.

        Args:
            page: its path from the root of the checkout.
            folder: where they run.
            changes: whether the page is one that ends with another world.

        Raises:
            CommandFailedError: a command failed.
            AssertionError: the page has left something, or changed what was there.
        """
        fill(folder)
        found = cluster_state(self.client)
        try:
            Shell(folder, self.shell.env).run(script_of(read_page(page)), name=page)
            assert changes or difference(found, cluster_state(self.client)) == []
        except BaseException:
            # The next page must not suffer from this one.
            self._service.close()
            restore(self.client, self.before)
            self.make()
            raise


@contextmanager
def world_of(kind: Kind, client: OpenSearch, *, url: str, folder: Path) -> Iterator[World]:
    """Have a world while the context is open; the cluster is as before when it ends.

    Raises:
        CommandFailedError: it could not be made.
        AssertionError: something of it could not be taken away again.
    """
    before = cluster_state(client)
    assert not [name for name in before if name.startswith("index films")], "not a cluster of tests"
    fill(folder)
    world = World(kind, client, before, shell_of(folder, url=url, port=free_port()))
    try:
        world.make()
        yield world
    finally:
        world.unmake()


def fill(folder: Path) -> None:
    """Put the files of a reader into a folder."""
    for file in _FILES.iterdir():
        shutil.copy(file, folder)
    shutil.copy(_SLOW_LOG, folder / "opensearch_index_search_slowlog.json")
    for name in ("mappings", "scripts"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "funnel.toml").write_text(_PATIENT, encoding="utf-8")


@contextmanager
def _service(shell: Shell) -> Iterator[None]:
    with (shell.folder / ".service.log").open("ab") as log:
        service = subprocess.Popen(
            [str(shell.folder / ".bin" / "funnel"), "serve"],
            cwd=shell.folder,
            env=dict(shell.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(shell.env["FUNNEL_SERVICE_URL"])
            yield
        finally:
            service.terminate()
            service.wait()


def _wait_for(url: str) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        try:
            if httpx2.get(f"{url}/health", timeout=5.0).is_success:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no service answers at {url}")
