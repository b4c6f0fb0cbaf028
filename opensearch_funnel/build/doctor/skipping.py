"""The findings of checks that had nothing to look at."""

from __future__ import annotations

from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.fixes import DOCTOR_ROLE, Fixes
from opensearch_funnel.build.doctor.reading import Unread


def not_read(
    check: str, what: Unread, *, fixes: Fixes, subject: str = "", index: str = ""
) -> Finding:
    """Return the finding of a check whose facts could not be read.

    Args:
        check: its name.
        what: why.
        fixes: writes the command that gives a missing right.
        subject: what would have been looked at.
        index: what the right is for.
    """
    if not what.rights:
        return Finding(
            check=check, level="skipped", finding=f"not looked at: {what.why}", subject=subject
        )
    return Finding(
        check=check,
        level="skipped",
        finding=f"not looked at: {what.why}",
        subject=subject,
        fix=fixes.granting(what.rights, index=index),
        advice=f"an administrator grants it; {DOCTOR_ROLE} stands for a role of "
        f"{what.user or 'the user'} (docs/roles.yml)",
    )


def after(check: str, first: str, *, subject: str = "") -> Finding:
    """Return the finding of a check that says nothing as long as another one is bad.

    Args:
        check: its name.
        first: the check to put right before it.
        subject: what would have been looked at.
    """
    return Finding(
        check=check, level="skipped", finding=f"not looked at: first {first}", subject=subject
    )
