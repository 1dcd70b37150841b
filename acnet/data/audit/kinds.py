"""Every kind of fault that the audit knows: how grave it is, what to do, what the cleaning does.

docs/data.md explains each; a test compares the two.
"""

from dataclasses import dataclass

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)


@dataclass(frozen=True)
class Kind:
    """One sort of finding.

    Args:
        name: what it is called in reports; findings are counted by it.
        severity: "error": training or evaluation goes wrong; "warning": a person should look;
            "info": good to know.
        remedy: what the user can do about it.
    """

    name: str
    severity: str
    remedy: str


_FIXED = "--fix does it in a copy"

KINDS = {
    kind.name: kind
    for kind in (
        # Files
        Kind("picture unreadable", ERROR, f"replace the file, or leave it out: {_FIXED}"),
        Kind("picture missing", ERROR, f"restore the file, or take it off the list: {_FIXED}"),
        Kind("annotation unreadable", ERROR, f"replace the file, or leave it out: {_FIXED}"),
        Kind("annotation missing", WARNING, f"annotate the photo, or leave it out: {_FIXED}"),
        Kind("file without partner", WARNING, "complete the pair and list it, or remove the file"),
        Kind("annotation not taken", WARNING, "look at the file; the reader left this out"),
        Kind("no boxes", INFO, "nothing where the skin is clear; else annotate the photo"),
        # Sizes
        Kind("size differs", WARNING, f"trust the picture's own size: {_FIXED}"),
        Kind("EXIF orientation", WARNING, f"store the picture upright: {_FIXED}"),
        # Boxes
        Kind("box not a number", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box inverted", ERROR, f"drop the box or swap its corners: {_FIXED}"),
        Kind("box without area", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box outside", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box partly outside", WARNING, f"clip the box: {_FIXED}"),
        Kind("box duplicated", WARNING, f"keep one of the two: {_FIXED}"),
        Kind("box nearly duplicated", WARNING, "look, and keep the better one of the two"),
        Kind("box with two names", WARNING, "decide which name is right"),
        Kind("very many boxes", WARNING, "check the annotation; near duplicates were not sought"),
        # Names and ids
        Kind("stray class", WARNING, "rename the object, or drop the class when importing"),
        Kind("annotation id 0", ERROR, f"number from 1: {_FIXED}"),
        Kind("annotation id duplicated", ERROR, f"number anew: {_FIXED}"),
        # Twins
        Kind("identical photos", WARNING, "keep one, or keep them in one part: acnet data split"),
        Kind("nearly identical photos", INFO, "keep them in one part: acnet data split"),
        Kind("photo in two parts", ERROR, f"take it out of the training part: {_FIXED}"),
        Kind("identical across parts", ERROR, f"take it out of the training part: {_FIXED}"),
        Kind("nearly identical across parts", WARNING, f"take it out of training: {_FIXED}"),
        Kind("twins labelled differently", WARNING, "decide which annotation is right"),
        # Grades and counts
        Kind("grade against count", WARNING, "correct the list; count lesions to grade"),
        Kind("prefix against grade", WARNING, "do not read the grade from the file's name"),
        Kind("count against boxes", WARNING, "correct the list, or annotate what is missing"),
        # The whole set
        Kind("coarse grid", INFO, "do not trust overlaps at high thresholds for small lesions"),
        Kind(
            "anchors miss boxes",
            WARNING,
            "train with the suggested anchor sizes, or a smaller stride",
        ),
    )
}
