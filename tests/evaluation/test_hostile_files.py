"""Ground truth, predictions and count models of strangers: never a traceback."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acnet.cli.main import main
from tests.evaluation.coco_content import content_of, row_of
from tests.evaluation.count_models import count_model

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 12),
    st.integers(),
    st.sampled_from([10**18, 2**63, 10**400, 1e308, float("nan"), float("inf"), -0.0]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["1.jpg", "1.JPG", "x/1.jpg", "../1.jpg", "1", "acne", "\ud800", "\x1b[31m"]),
    st.lists(st.floats(0, 9) | st.none(), max_size=5),
    st.just({}),
)


def sound_set() -> tuple[dict, list]:
    box, ids = [1.0, 2.0, 30.0, 40.0], range(1, 9)
    lesions = [{"image_id": i, "bbox": box, "area": 9.0, "iscrowd": 0} for i in ids]
    truth = content_of(lesions, num_photos=8, class_names=("acne", "scar"))
    return truth, [row_of(box, i / 9, i) | {"file_name": f"{i}.jpg"} for i in ids]


@st.composite
def spoilt(draw, content):
    """Replace, remove or add something in one to three places."""
    for _ in range(draw(st.integers(1, 3))):
        holder, key = None, None
        node = content
        while isinstance(node, dict | list) and node and (holder is None or draw(st.booleans())):
            holder = node
            key = draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
            node = node[key]
        if holder is None:
            return draw(ODD)
        if draw(st.integers(0, 3)):
            holder[key] = draw(ODD)
        else:
            del holder[key]
    return content


def run(folder: Path, truth: object, rows: object, model: object) -> None:
    """Run the three commands; what is wrong ends in one sentence and the exit status 2."""
    for name, content in (("gt", truth), ("p", rows), ("count", model)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    gt, p, count = (str(folder / f"{name}.json") for name in ("gt", "p", "count"))
    few = ["--replicates", "2", "--quiet", "--json", str(folder / "out.json")]
    options = ["--merge", "nms", "--coverage", "0.5", "--output", str(folder / "new.json")]
    assert main(["evaluate", gt, p, *few]) in (0, 2)
    assert main(["evaluate", gt, p, *few, "--count-model", count]) in (0, 2)
    assert main(["compare", gt, p, p, *few]) in (0, 2)
    assert main(["calibrate", gt, p, *options]) in (0, 2)


@pytest.mark.parametrize("what", ["truth", "rows", "model"])
@pytest.mark.parametrize("examples", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_spoilt_files_end_in_a_sentence(tmp_path, what, examples):
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data())
    def spoil_and_run(data):
        truth, rows = sound_set()
        files = {"truth": truth, "rows": rows, "model": json.loads(count_model().to_json())}
        files[what] = data.draw(spoilt(files[what]))
        run(tmp_path, **files)

    spoil_and_run()
