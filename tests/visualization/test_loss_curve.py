"""The loss curve: a picture of the rows that have losses."""

import numpy as np
from PIL import Image

from acnet.visualization.loss_curve import draw_losses


def draw(rows, path):
    draw_losses(rows, path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_losses_are_drawn_and_other_rows_skipped(tmp_path):
    rows = [{"iteration": i, "total_loss": 3.0 / (i + 1), "loss_cls": 1.0} for i in range(5)]
    with_losses = draw(rows, tmp_path / "a.png")
    np.testing.assert_array_equal(
        draw([*rows, {"iteration": 9, "bbox/AP": 5.0}], tmp_path / "b.png"), with_losses
    )
    other = draw([{**row, "total_loss": 1.0} for row in rows], tmp_path / "c.png")
    assert np.abs(other - with_losses).max() > 100


def test_run_that_was_killed_early_has_an_empty_curve(tmp_path):
    assert draw([], tmp_path / "a.png").shape == (540, 960, 3)
