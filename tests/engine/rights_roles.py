"""The roles of ``docs/roles.yml``, and what they allow, as the security plugin reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[2] / "docs" / "roles.yml"
_OF_CLUSTER = ("cluster:", "indices:admin/template/", "indices:admin/index_template/")
_OF_CLUSTER_TOO = frozenset(
    {
        "indices:data/read/mget",
        "indices:data/read/msearch",
        "indices:data/read/mtv",
        "indices:data/read/scroll",
        "indices:data/write/bulk",
        "indices:data/write/reindex",
    }
)


def is_of_cluster(action: str) -> bool:
    """Say whether an action is granted for the whole cluster, and not by index."""
    return action.startswith(_OF_CLUSTER) or action in _OF_CLUSTER_TOO


def matches(pattern: str, action: str) -> bool:
    """Say whether a permission covers an action: a star stands for anything, nothing else does."""
    return fnmatchcase(action, pattern.replace("[", "[[]"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a user may do."""

    name: str
    cluster: Sequence[str]
    indices: Sequence[tuple[Sequence[str], Sequence[str]]]
    """Index patterns, and the actions that are allowed on them."""

    def allows(self, action: str, *, index: str = "") -> bool:
        """Say whether an action is allowed, on one index where it is granted by index."""
        if is_of_cluster(action):
            return any(matches(one, action) for one in self.cluster)
        return any(
            any(fnmatchcase(index, pattern) for pattern in patterns)
            and any(matches(one, action) for one in actions)
            for patterns, actions in self.indices
        )

    def without(self, right: str) -> Role:
        """Return the role without one right."""
        return Role(
            name=self.name,
            cluster=[one for one in self.cluster if one != right],
            indices=[(p, [one for one in actions if one != right]) for p, actions in self.indices],
        )

    @property
    def rights(self) -> set[str]:
        """Every action that the role names."""
        return {*self.cluster, *(one for _, actions in self.indices for one in actions)}


def written_roles() -> dict[str, Any]:
    """Read the file."""
    found: dict[str, Any] = yaml.safe_load(ROLES.read_text(encoding="utf-8"))
    return found


def role(name: str, *, index: str) -> Role:
    """Return a role of the file, for another index than the one that stands there."""
    found = written_roles()[name]
    return Role(
        name=name,
        cluster=found["cluster_permissions"],
        indices=[
            (
                [pattern.replace("films", index) for pattern in one["index_patterns"]],
                one["allowed_actions"],
            )
            for one in found["index_permissions"]
        ],
    )
