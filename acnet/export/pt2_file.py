"""Writing a program of `torch.export` with its texts."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.export import ExportedProgram

from acnet.export.pt2_metadata import FILE_NAME
from acnet.files import atomic_write


def write_pt2(path: Path, program: ExportedProgram, texts: Mapping[str, str]) -> None:
    """Write a .pt2 archive, whole or not at all.

    Args:
        path: of the file.
        program: of `to_program`.
        texts: by name.
    """
    with atomic_write(path) as temporary:
        torch.export.save(program, temporary, extra_files={FILE_NAME: json.dumps(dict(texts))})
