import os

import pytest

from acnet.layers.nms import compiled


def _double(number):
    return 2 * number


def test_a_function_is_compiled_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    assert compiled(_double)(21) == 42
    assert list(tmp_path.rglob("*.nbc"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "kept"))
    assert compiled(_double)(21) == 42


def test_without_a_folder_each_process_compiles_and_says_so(caplog):
    namespace = {}
    exec("def double(number): return 2 * number", namespace)  # in no file, so beside none
    assert compiled(namespace["double"])(21) == 42
    assert "double is compiled anew in each process" in caplog.text
    assert "Set NUMBA_CACHE_DIR" in caplog.text


def test_importing_the_layers_does_not_import_the_compiler(run_code):
    assert "numba" not in run_code("import acnet.layers")[1]
