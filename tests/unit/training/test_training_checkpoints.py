"""Checkpoints that are whole or not there, and the course of the learning rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_funnel.training.checkpoints import (
    appearing,
    checkpoint_folder,
    drop_old_checkpoints,
    learning_rate_at,
    newest_checkpoint,
    share_done,
)


def test_a_folder_that_failed_half_way_never_gets_its_name(tmp_path: Path) -> None:
    name = checkpoint_folder(tmp_path, step=5)

    def fail_half_way() -> None:
        with appearing(name) as made:
            (made / "weights").write_text("half", encoding="utf-8")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert newest_checkpoint(tmp_path) is None
    with appearing(name) as made:
        assert list(made.iterdir()) == []
        (made / "weights").write_text("whole", encoding="utf-8")
        assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path) == name
    assert (name / "weights").read_text(encoding="utf-8") == "whole"


def test_a_folder_that_is_there_is_replaced_and_nothing_is_left_over(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with appearing(tmp_path / "model") as made:
            (made / "weights").write_text(text, encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "weights").read_text(encoding="utf-8") == "second"


def test_the_newest_is_the_highest_step_and_two_are_kept(tmp_path: Path) -> None:
    for step in (900, 10_000, 9_000):
        checkpoint_folder(tmp_path, step=step).mkdir()
    assert newest_checkpoint(tmp_path) == checkpoint_folder(tmp_path, step=10_000)
    drop_old_checkpoints(tmp_path)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"step-0010000", "step-0009000"}


def test_a_run_ends_by_steps_or_by_time_whichever_is_first() -> None:
    assert share_done(step=1, steps=4, seconds=45, minutes=1) == 45 / 60
    assert share_done(step=3, steps=4, seconds=6, minutes=1) == 3 / 4
    assert share_done(step=3, steps=None, seconds=6, minutes=1) == 6 / 60
    assert share_done(step=3, steps=6, seconds=1e9, minutes=None) == 3 / 6


def test_the_rate_rises_to_the_peak_and_falls_to_nearly_nothing() -> None:
    course = [learning_rate_at(step / 100, peak=2.0, warmup=0.1) for step in range(101)]
    top = course.index(max(course))
    assert top in {9, 10}
    assert course[:top] == sorted(course[:top])
    assert course[top:] == sorted(course[top:], reverse=True)
    assert course[-1] == 2.0 * 0.002
    assert learning_rate_at(0.0, peak=2.0, warmup=0.0) == 2.0
