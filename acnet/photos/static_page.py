"""The page of `acnet serve` as files for any web server: the visitor's browser finds the lesions.

index.html, detector.js   the page, and what acnet/photos does to a photo, in JavaScript
settings.json             what detector.js needs to know, and the SHA-256 of all other files
model.onnx                the exported model
onnxruntime/              what runs it, from the npm package onnxruntime-web
"""

import dataclasses
import hashlib
import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from acnet.errors import UserError
from acnet.evaluation.counting import GRADE_NAMES, HAYASHI_LIMITS
from acnet.files import FORMULA_SIGNS, check_output_folder, file_sha256, write_bytes, write_json
from acnet.photos import draw, grid, results
from acnet.photos.grid import PhotoSizing, TilingOptions
from acnet.photos.merge import MergeOptions
from acnet.photos.page import NOTED_FACTOR, gallery_page
from acnet.photos.results import CountRule, PhotoResult

PACKAGE = "onnxruntime-web"
LEAST_VERSION = (1, 20)  # which has the first file, and takes the second one as bytes
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
FOLDER = "onnxruntime"
MOST_BYTES = 128 << 20  # of a file of the package
MODEL, SETTINGS, FORMAT = "model.onnx", "settings.json", "acnet static page"
MOST_MEGAPIXELS = 64  # of a photo in a browser, where each takes 7 bytes
REMEDY = "Run `npm pack onnxruntime-web` and give --runtime the .tgz that it writes."


@dataclass(frozen=True)
class Runtime:
    """What runs a model in a browser: its version, and its files by their names in the package."""

    version: str
    files: Mapping[str, bytes]


def read_runtime(path: Path | None) -> Runtime:
    """Read what is needed of onnxruntime-web, from its package's folder or `npm pack`'s archive.

    Raises:
        UserError: It is neither, or of a version without these files.
    """
    if path is None:
        raise _unusable("nothing", "")
    read = _read_folder if path.is_dir() else _read_archive
    try:
        files = read(path, ["package.json", f"dist/{SCRIPT}", f"dist/{WASM}"])
        about = json.loads(files.pop("package.json"))
        name, version = about["name"], str(about["version"])
        numbers = tuple(int(part) for part in version.split(".")[:2])
    except (OSError, EOFError, tarfile.TarError) as error:
        fault = getattr(error, "strerror", None) or error
        raise _unusable(f"{path}", f", which cannot be read ({fault})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(f"{path}", ", which is not that package") from error
    if name != PACKAGE or numbers < LEAST_VERSION or len(files) < 2:
        missing = f"; it needs {PACKAGE} {'.'.join(map(str, LEAST_VERSION))} or later"
        raise _unusable(f"{path}", f", which is {name} {version}{missing}"[:300])
    return Runtime(version, {Path(name).name: content for name, content in files.items()})


def _read_folder(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in names if (path / name).is_file()}


def _read_archive(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read files into memory; nothing is unpacked, so no name in the archive leads anywhere."""
    found = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            place = PurePosixPath(member.name)
            if place.is_absolute() or ".." in place.parts or member.size > MOST_BYTES:
                raise ValueError("no package of npm")
            name = member.name.removeprefix("package/")
            if name in names and member.isfile():
                found[name] = archive.extractfile(member).read()
    return found


def _unusable(received: str, fault: str) -> UserError:
    return UserError(
        f"A page without a program behind it runs the model by {PACKAGE}, whose files are not part "
        f"of acnet. Received {received}{fault}. {REMEDY}"
    )


def write_static_page(
    folder: Path,
    runtime: Runtime,
    model: Path,
    *,
    batch: int,
    input_format: str,
    class_names: Sequence[str],
    tiling: TilingOptions,
    sizing: PhotoSizing,
    rule: CountRule,
) -> int:
    """Write the page and all that it needs; return the bytes of its files.

    Args:
        folder: New, or with an earlier page, whose files are replaced.
        model: The .onnx file of `acnet export`.
        batch: Tiles that it takes at once, 0 for any number.
        input_format: "RGB" or "BGR".

    Raises:
        UserError: The folder holds something else by one of the names, or the model takes pictures
            in another way than as tiles of one size.
    """
    if not tiling.exact or tiling.tile_px is None:
        raise UserError(
            "The page cuts photos into tiles, as models are trained on. Received "
            f"{model}, whose config resizes photos; serve it by `acnet serve` without --static."
        )
    names = {SCRIPT: f"{FOLDER}/{Path(SCRIPT).stem}.js", WASM: f"{FOLDER}/{WASM}"}
    detector = resources.files("acnet.templates").joinpath("detector.js").read_bytes()
    # Some servers do not know that .mjs is JavaScript, and browsers take it for nothing else.
    contents = {names[name]: content for name, content in runtime.files.items()}
    contents |= {MODEL: model.read_bytes(), "detector.js": detector}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents["index.html"] = _index(rule, sizing, runtime, files).encode()
    files["index.html"] = hashlib.sha256(contents["index.html"]).hexdigest()
    settings = {
        **_settings(rule, sizing),
        "files": files,
        "model": MODEL,
        "runtime": {"version": runtime.version, "script": names[SCRIPT], "wasm": names[WASM]},
        "class_names": list(class_names),
        "input_format": input_format,
        "tiling": {**dataclasses.asdict(tiling), "batch": batch},
    }
    check_output_folder(folder)
    _check_own(folder, files)
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / name, content)
    write_json(folder / SETTINGS, settings, indent=1)  # last, so that it tells of what is there
    return sum(map(len, contents.values()))


def _check_own(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse to replace what is neither of an earlier page nor the same already."""
    path = folder / SETTINGS
    try:
        known = json.loads(path.read_bytes())
        is_own = known["format"] == FORMAT
        earlier = dict(known["files"])
    except FileNotFoundError:
        is_own, earlier = True, {}
    except (OSError, KeyError, TypeError, ValueError):
        is_own, earlier = False, {}
    strange = [] if is_own else [SETTINGS]
    for name, sha256 in files.items():
        if not _may_replace(folder / name, {sha256, earlier.get(name)}):
            strange.append(name)
    if strange:
        raise UserError(
            "A page replaces the files of an earlier one as they were written, and no others. "
            f"Received {folder}, where {', '.join(strange)} cannot be replaced; choose another "
            "folder, or remove what is not needed."
        )


def _may_replace(path: Path, known_sha256: Collection[str | None]) -> bool:
    if path.is_symlink() or path.parent.is_symlink():
        return False
    return not path.exists() or (path.is_file() and file_sha256(path) in known_sha256)


def _index(rule: CountRule, sizing: PhotoSizing, runtime: Runtime, files: Mapping[str, str]) -> str:
    """Return the page with one empty card, which is filled for each photo."""
    empty = {"name": "", "image_hw": (1, 1), "rows": [], "seconds": 0.0, "photo_size_px": 1}
    card = PhotoResult(image_id=1, count=rule([]), files={"photo": "#"}, **empty)
    return gallery_page(
        [card],
        (),
        rule=rule,
        files=results.RESULT_TABLES,
        trained_px=sizing.size_px,
        template="static.html.j2",
        more_script="static.js",
        runtime_version=runtime.version,
        parts=files,
    )


def _settings(rule: CountRule, sizing: PhotoSizing) -> dict:
    """Return the numbers by which photos are sized, merged and counted, for detector.js."""
    model = rule.model
    return {
        "format": FORMAT,
        "sizing": {
            **dataclasses.asdict(sizing),
            "name": sizing.name,
            "follows": sizing.follows,
            "largest_factor": grid.LARGEST_FACTOR,
            "largest_growth": grid.LARGEST_GROWTH,
            "kept_factor": grid.KEPT_FACTOR,
            "steps": grid.STEPS,
            "passes": grid.PASSES,
            "lowest_score": grid.LOWEST_SCORE,
            "prior": grid.PRIOR,
        },
        "merge": dataclasses.asdict(MergeOptions()),
        "threshold": rule.threshold,
        "count_model": model and json.loads(model.to_json()),
        "counted": model and model.counted,
        "graded": bool(model and model.has_grade),
        "grade_limits": HAYASHI_LIMITS,
        "grade_names": GRADE_NAMES,
        "unlike": results.UNLIKE,
        "noted_factor": NOTED_FACTOR,
        "traits": {
            "long_side_px": results.TRAIT_PX,
            "percentiles": results.PERCENTILES,
            "blurs_px": results.BLURS_PX,
        },
        "crops": {
            "crop_px": draw.CROP_PX,
            "columns": draw.COLUMNS,
            "context": draw.CONTEXT,
            "largest_share": draw.LARGEST_SHARE,
            "most": draw.MOST_CROPS,
        },
        "thumbnail_px": draw.THUMBNAIL_PX,
        "most_megapixels": MOST_MEGAPIXELS,
        "formula_signs": "".join(FORMULA_SIGNS),
        "tables": {"counts.csv": results.COUNTS_HEADER, "lesions.csv": results.LESIONS_HEADER},
        "info": results.images_info(sizing.merge_name, sizing, threshold=rule.threshold),
    }
