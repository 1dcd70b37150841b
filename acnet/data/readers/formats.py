"""The formats that can be read, and how each is recognised; a new one adds a line to `FORMATS`."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from acnet.data.readers.acne04 import is_acne04, is_acne04_v2, open_acne04, open_acne04_v2
from acnet.data.readers.coco_set import is_coco, is_results, open_coco, open_results
from acnet.data.readers.safe_files import is_text, list_files, member
from acnet.data.readers.source import Source
from acnet.data.readers.voc import is_voc, open_voc
from acnet.data.readers.yolo import is_yolo, open_yolo
from acnet.data.records import Note
from acnet.errors import UserError, shown
from acnet.file_names import OTHER_PICTURE_SUFFIXES, RAW_SUFFIXES
from acnet.photos.read import RAW_REMEDY

AUTO = "auto"
RAW_PICTURE = "raw photos are not read"
OTHER_PICTURE = "pictures of such an ending are not read"


@dataclass(frozen=True)
class Format:
    """One format."""

    open: Callable[..., Source]
    # Whether a folder or file has it, from names and the first bytes alone.
    recognises: Callable[[Path], bool]
    looked_for: str  # what `recognises` looks for, in words


# In the order in which they are tried: an earlier one is more particular.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "acne04": Format(open_acne04, is_acne04, "NNEW_{trainval,test}_{0..4}.txt and XML files"),
        "acne04_v2": Format(open_acne04_v2, is_acne04_v2, "JSON with `images` and `radius`"),
        "results": Format(open_results, is_results, "images.json and predictions.json of results"),
        "coco": Format(open_coco, is_coco, "JSON with `images` and `annotations`"),
        "yolo": Format(open_yolo, is_yolo, "data.yaml, or pictures and labels/*.txt"),
        "voc": Format(open_voc, is_voc, "pictures and XML files"),
    }
)
ARCHIVE_SUFFIXES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip")
FORMATS_OF_ONE_FILE = ("acne04_v2", "coco")


def open_source(
    src: str | Path,
    format: str = AUTO,
    *,
    image_root: str | Path | None = None,
    annotation_root: str | Path | None = None,
) -> Source:
    """Open a data set as its makers left it; lists files and reads no picture.

    Args:
        src: its folder, or the one file that annotates it.
        format: a key of `FORMATS`, or "auto" to recognise it.
        image_root, annotation_root: where pictures or annotations are, if elsewhere.
    """
    src = Path(src).expanduser()
    roots = {"image_root": image_root, "annotation_root": annotation_root}
    roots = {name: Path(root).expanduser() for name, root in roots.items() if root is not None}
    for path in roots.values():
        _check_place(path, is_place=path.is_dir())
    _check_place(src, is_place=src.is_dir() or (src.is_file() and src.suffix.lower() == ".json"))
    if format == AUTO:
        format = detect_format(src)
    if format not in FORMATS:
        raise UserError(
            f"A data set has one of the formats {', '.join(FORMATS)}. Received {format!r}. "
            f"Choose one of them, or {AUTO!r} to recognise it."
        )
    if src.is_file() and format not in FORMATS_OF_ONE_FILE:
        raise UserError(
            f"A data set of the format {format} is a folder. Received {src}, a file. Give its "
            "folder."
        )
    source = FORMATS[format].open(src, **roots)
    notes = [*source.notes, *_other_pictures(source.image_root)]
    return dataclasses.replace(source, notes=notes)


def _other_pictures(root: Path) -> list[Note]:
    """Name pictures that no reader takes, or they would be missed without a word."""
    names = list_files(root, OTHER_PICTURE_SUFFIXES)
    raw = [name for name in names if name.lower().endswith(RAW_SUFFIXES)]
    found = {
        (RAW_PICTURE, RAW_REMEDY): raw,
        (OTHER_PICTURE, "Save them as JPEG or PNG."): sorted(set(names) - set(raw)),
    }
    return [
        Note(kind, of[0], f"the first of {len(of)}. {remedy}", len(of))
        for (kind, remedy), of in found.items()
        if of
    ]


def detect_format(src: Path) -> str:
    """Recognise the format of a folder or file: a key of `FORMATS`."""
    for name, known in FORMATS.items():
        if known.recognises(src):
            return name
    _refuse_other_tools(src)
    looked_for = "".join(f"\n  {name}: {known.looked_for}" for name, known in FORMATS.items())
    for note in _other_pictures(src):
        looked_for += f"\n{note.kind}: {note.file_name}, {note.detail}"
    raise UserError(
        f"The format of a data set shows in its files. Received {src}, where none of these was "
        f"found:{looked_for}\nGive the folder that holds them, or name the format."
    )


# By tool: what the name and the first 64 KiB of its files hold, all of one row; and the export to
# choose.
_JSON, _XML, _CSV = (".json", ".ndjson", ".jsonl"), (".xml",), (".csv", ".tsv")
_OTHERS = (".txt", ".tfrecord")
_LABELME = (
    "convert them by `labelme2coco`, or labelme's examples/instance_segmentation/labelme2coco.py"
)
_COCO, _COCO_OR_YOLO = "export as COCO format", "export as COCO or YOLO"
_TO_COCO = "convert the annotations to COCO's JSON"
_OF_SUPERVISELY = "export by the app `Export to COCO`"
_OF_CVAT = "export the task as COCO 1.0 or YOLO 1.1"
_OF_ROBOFLOW = "export a project of boxes as COCO or YOLOv8"
OTHER_TOOLS = (
    ("Roboflow", _JSON, ("_annotations.createml.json",), _OF_ROBOFLOW),
    ("Roboflow", _JSON, ('"prefix"', '"suffix"'), _OF_ROBOFLOW),
    ("Roboflow", _CSV, ("filename,width,height,class,xmin",), _OF_ROBOFLOW),
    ("Roboflow", _CSV, ("_annotations.csv",), _OF_ROBOFLOW),
    ("Roboflow", _CSV, ("_classes.csv",), _OF_ROBOFLOW),
    ("Roboflow", _OTHERS, ("_annotations.txt",), _OF_ROBOFLOW),
    ("Roboflow", _OTHERS, (".tfrecord",), _OF_ROBOFLOW),
    ("labelme", _JSON, ('"shapes"', '"imagePath"'), _LABELME),
    ("labelme", _JSON, ('"imageData"',), _LABELME),  # which may fill the first 64 KiB
    ("labelme", _JSON, ('"shape_type"',), _LABELME),
    ("Label Studio", _JSON, ('rectanglelabels"',), "export as COCO or as YOLO with images"),
    ("Label Studio", _CSV, ('rectanglelabels"',), "export as COCO or as YOLO with images"),
    ("Label Studio", _JSON, ('"annotations"', '"result"', '"data"'), "export as COCO or as YOLO"),
    ("VIA", _JSON, ('"shape_attributes"',), _COCO),
    ("VIA", _JSON, ('"_via_settings"',), _COCO),
    ("VIA", _JSON, ("VGG Image Annotator",), _COCO),
    ("VIA", _CSV, ("region_shape_attributes",), _COCO),
    ("VIA", _CSV, ("VGG Image Annotator",), _COCO),
    ("CreateML", _JSON, ('"annotations"', '"coordinates"', '"label"'), _COCO_OR_YOLO),
    ("CreateML", _JSON, ('"imagefilename"',), _COCO_OR_YOLO),
    ("Supervisely", _JSON, ('"classTitle"',), _OF_SUPERVISELY),
    ("Supervisely", _JSON, ('"tags"', '"size"', '"objects"'), _OF_SUPERVISELY),
    ("Supervisely", _JSON, ('"projectType"', '"classes"'), _OF_SUPERVISELY),
    ("Supervisely", _JSON, ('"tags"', '"classes"', '"shape"'), _OF_SUPERVISELY),
    ("CVAT", _XML, ("<annotations",), _OF_CVAT),
    ("CVAT", _JSON, ('"categories"', '"items"'), _OF_CVAT),
    ("Labelbox", _JSON, ('"data_row"',), "convert the export to COCO by Labelbox's SDK"),
    ("V7 Darwin", _JSON, ('"slots"', '"bounding_box"'), "export as COCO"),
    ("VoTT", _JSON, ('"asset"', '"regions"'), "export as Pascal VOC"),
    ("FiftyOne", _JSON, ('"samples"', '"_cls"'), "export as COCODetectionDataset"),
    ("MMDetection", _JSON, ('"metainfo"', '"data_list"'), _TO_COCO),
    ("SuperAnnotate", _JSON, ('"instances"', '"classId"', '"className"'), _TO_COCO),
    ("Hugging Face", _JSON, ("metadata.jsonl", '"file_name"', '"objects"'), _TO_COCO),
    ("Azure or Vision AI", _JSON, ('"boundingBoxAnnotations"',), "export as COCO"),
)
HEAD_BYTES = 1 << 16
MAX_LOOKED_AT = 20  # files of each sort: a set has many of the same form


def _refuse_other_tools(src: Path) -> None:
    """Name the tool that wrote a set which has none of the formats, and the export to choose."""
    for suffixes in (_JSON, _XML, _CSV, _OTHERS):
        files = [src] if src.is_file() else [member(src, n) for n in list_files(src, suffixes)]
        for path in files[:MAX_LOOKED_AT]:
            if not path.is_file():
                continue
            with path.open("rb") as file:
                head = f"{path.name}\n{file.read(HEAD_BYTES).decode('utf-8', 'replace')}"
            for tool, of, words, remedy in OTHER_TOOLS:
                if of == suffixes and all(word in head for word in words):
                    raise UserError(
                        f"A data set has one of the formats {', '.join(FORMATS)}. Received {src} "
                        f"with {path.name}, which looks like a file of {tool}. In {tool}, {remedy}."
                    )


def _check_place(path: Path, *, is_place: bool) -> None:
    if not is_text(str(path.absolute())):
        raise UserError(
            "The path of a data set is written into JSON, so it must be Unicode. Received "
            f"{shown(str(path))}. Rename its folder."
        )
    if not is_place:
        remedy = "Correct the path."
        if path.is_file():
            is_archive = path.suffix.lower() in ARCHIVE_SUFFIXES
            remedy = "Unpack it, and give its folder." if is_archive else "Give its folder."
        raise UserError(
            "A data set is read from a folder, or from a JSON file, that exists. Received "
            f"{path}. {remedy}"
        )
