"""ACNet as a stage of Ray Data: by its protocol, and in a local Ray where that is installed."""

import os
from pathlib import Path

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.inference import load
from acnet.integrations.ray import NEW_COLUMNS, FindLesions

PHOTOS = sorted(Path(__file__).parents[2].glob("datasets/sample_photos/*.jpg"))
OPTIONS = {"engine": "onnxruntime"}


@pytest.fixture(scope="module")
def find():
    pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    return FindLesions(**OPTIONS)


def test_rows_are_the_boxes_of_their_photos(find, tmp_path):
    (tmp_path / "empty.jpg").touch()
    paths = [PHOTOS[0], tmp_path / "empty.jpg", PHOTOS[1]]
    batch = {"path": np.array([str(path) for path in paths]), "patient": np.arange(3)}
    rows = find(batch)
    assert list(rows) == ["path", "patient", *NEW_COLUMNS]
    of_first, of_second, of_third = (rows["patient"] == index for index in range(3))
    assert of_second.sum() == 1
    assert np.isnan(rows["score"][of_second]).all()
    assert "empty.jpg" in rows["error"][of_second][0]
    for chosen, path in ((of_first, PHOTOS[0]), (of_third, PHOTOS[1])):
        expected = load(**OPTIONS)(path)
        boxes = np.stack([rows[name][chosen] for name in ("x0", "y0", "x1", "y1")], axis=1)
        np.testing.assert_array_equal(boxes, np.asarray(expected.pred_boxes.tensor))
        np.testing.assert_array_equal(rows["score"][chosen], np.asarray(expected.scores))
        assert set(rows["class_name"][chosen]) == {"acne"}
        assert set(rows["path"][chosen]) == {str(path)}
    contents = np.array([path.read_bytes() for path in PHOTOS], dtype=object)
    of_bytes = find({"bytes": contents})
    np.testing.assert_array_equal(of_bytes["x0"], rows["x0"][~of_second])


def test_odd_batches(find):
    rows = find({"path": np.array([], object)})
    assert {name: len(column) for name, column in rows.items()} == dict.fromkeys(
        ["path", *NEW_COLUMNS], 0
    )
    with pytest.raises(UserError, match="columns image; rename"):
        find({"image": np.zeros(2)})


class DiesOnce(FindLesions):
    """Kill the worker on the first batch of all, after its work."""

    def __init__(self, marker: str, **options):
        super().__init__(**options)
        self._marker = Path(marker)

    def __call__(self, batch):
        rows = super().__call__(batch)
        try:
            self._marker.touch(exist_ok=False)
        except FileExistsError:
            return rows
        os._exit(1)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(find, tmp_path, monkeypatch):
    pytest.importorskip("ray.data", reason="needs the extra [ray]")
    import ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = (
            ray.data.read_binary_files([str(path) for path in PHOTOS], include_paths=True)
            .map_batches(
                DiesOnce,
                batch_size=1,
                fn_constructor_kwargs={"marker": str(tmp_path / "died"), **OPTIONS},
                compute=ray.data.ActorPoolStrategy(size=1),
            )
            .to_pandas()
        )
    finally:
        ray.shutdown()
    assert (tmp_path / "died").exists()
    expected = find({"path": np.array([str(path) for path in PHOTOS])})
    rows = rows.sort_values(["path", "score"], ascending=[True, False], kind="stable")
    for name in ("x0", "score"):
        np.testing.assert_array_equal(rows[name], expected[name])
