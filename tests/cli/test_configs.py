"""`acnet configs` lists every config with its size, fast and without importing torch."""

from acnet.cli.main import main
from acnet.cli.train import config_summary, read_sizes
from acnet.config import CONFIG_ROOT, available_configs


def test_every_config_has_its_line(capsys) -> None:
    assert main(["configs"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["config", "parameters", "GMACs"]
    assert [line.split()[0] for line in lines] == available_configs()
    row_d = next(line for line in lines if line.startswith("acne04/table2/cb_dce "))
    assert row_d.split(maxsplit=1)[1] == "98.6 M  503.7  Table II (d): CB and DCE. Paper: 16.2 mAP"


def test_every_config_has_a_size_and_says_what_it_is() -> None:
    assert sorted(read_sizes()) == available_configs()
    for name in available_configs():
        assert len(config_summary(CONFIG_ROOT / f"{name}.py")) > 20, name


def test_a_prefix_chooses(capsys) -> None:
    assert main(["configs", "voc07/"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 17
    assert main(["configs", "coco"]) == 2
    assert "Names begin with acne04, demo, toy, voc07." in capsys.readouterr().err


def test_it_imports_nothing_heavy(run_code) -> None:
    shown, imported = run_code("from acnet.cli.main import main; main(['configs'])")
    assert shown
    assert imported.isdisjoint({"cv2", "detectron2", "numpy", "torch"})
