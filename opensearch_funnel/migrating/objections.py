"""What speaks against a step that an operator asks for, and may force."""

from __future__ import annotations

from dataclasses import dataclass, field

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress


@dataclass(slots=True)
class Objections:
    """What speaks against a step; the first of it ends the step, unless it is forced.

    Attributes:
        force: go on all the same.
        progress: hears of what was overridden.
        found: all that was overridden.
    """

    force: bool
    progress: Progress = SILENT
    found: list[str] = field(default_factory=list)

    def make(self, reasons: list[str], *, fix: str) -> None:
        """Object, or note that it is overridden.

        Args:
            reasons: what speaks against it, in one phrase each; nothing for nothing.
            fix: what to do about it.

        Raises:
            InputError: there are reasons, and nothing is forced.
        """
        if reasons and not self.force:
            raise InputError(f"{'; '.join(reasons)}: {fix}, or do it all the same (--force)")
        for reason in reasons:
            self.progress.say(f"forced, although: {reason}")
        self.found += reasons
