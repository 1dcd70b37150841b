"""The texts in a .pt2 archive of torch.export, without loading the program in it."""

import json
import zipfile
import zlib
from pathlib import Path

from acnet.errors import UserError

FILE_NAME = "acnet.json"
PLACE = f"extra/{FILE_NAME}"  # below the archive's one folder, where torch puts what is added
MOST_TEXT_BYTES = 1 << 24


def read_pt2_metadata(path: Path) -> dict[str, str]:
    """Read the texts that `acnet export` put into a .pt2 archive.

    Args:
        path: of the file.

    Returns:
        Texts by name; none where it has none.

    Raises:
        UserError: there is no such file, or it is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            places = [one for one in archive.infolist() if one.filename.endswith(f"/{PLACE}")]
            if len(places) != 1:
                return {}
            if places[0].file_size > MOST_TEXT_BYTES:
                raise ValueError("its texts are too long")
            texts = json.loads(archive.read(places[0]))
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"A .pt2 file is an archive with a program of torch.export. Received {path}, which "
            f"cannot be read ({error}); copy it again, or export it again."
        ) from error
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        return {}
    return texts
