"""A generated set in ACNE04's layout with the faults that the real one has."""

import re
from pathlib import Path

from acnet.data.toy import toy_set
from acnet.data.toy.toy_photo import ToyOptions
from acnet.evaluation.counting import hayashi_grade

SMALL = {"photos": 60, "prefixes": 5, "twins": 4, "conflicts": 2}
ACNE04 = {"photos": 1457, "prefixes": 42, "twins": 38, "conflicts": 14}
OPTIONS = ToyOptions(seed=11, sizes_px=(72,), lesion_px=(4.0, 12.0))
OBJECT = re.compile(r"\t<object>.*?</object>\n", re.DOTALL)


def plant(dst: Path, *, photos, prefixes, twins, conflicts, workers=1) -> dict[str, set[tuple]]:
    """Write the set: names that state a wrong grade, pairs of one picture in two folds, some of
    them with other boxes or another number of boxes, and one stray object.

    Returns:
        What the audit has to find: by kind, the names of the photos of each finding.
    """
    written = toy_set.write_toy_set(dst, OPTIONS, photos=photos, workers=workers)
    images = dst / "Classification" / "JPEGImages"
    boxes = dst / "Detection" / "VOC2007" / "Annotations"

    def change(index: int, *, like: int, xml: str, grade: int | None = None) -> str:
        """Give a photo another one's picture, new boxes, and a name by their number or `grade`."""
        picture, count = (images / f"{written[like].name}.jpg").read_bytes(), xml.count("<object>")
        (images / f"{written[index].name}.jpg").unlink()
        (boxes / f"{written[index].name}.xml").unlink()
        name = f"levle{hayashi_grade(count) if grade is None else grade}_{index}"
        (images / f"{name}.jpg").write_bytes(picture)
        (boxes / f"{name}.xml").write_text(xml)
        written[index] = toy_set.WrittenPhoto(name, count)
        return f"{name}.jpg"

    xml_of = [(boxes / f"{photo.name}.xml").read_text() for photo in written]
    bare = {(f"{photo.name}.jpg",) for photo in written if not photo.count}
    full = [index for index, photo in enumerate(written) if photo.count > 1]
    pairs = zip(full[: 2 * twins : 2], full[1 : 2 * twins : 2], strict=True)
    stray, *others = full[2 * twins :]
    found = []
    for number, (like, index) in enumerate(pairs):
        xml = xml_of[like]
        if number < conflicts:  # another number of boxes, or another box
            moved = re.sub(r"<xmax>(\d+)", lambda m: f"<xmax>{int(m[1]) - 1}", xml, count=1)
            xml = OBJECT.sub("", xml, count=1) if number % 2 else moved
        found.append(
            tuple(sorted((f"{written[like].name}.jpg", change(index, like=like, xml=xml))))
        )
    wrong = set()
    for index in others[:prefixes]:
        grade = (hayashi_grade(written[index].count) + 1 + index % 3) % 4
        wrong.add((change(index, like=index, xml=xml_of[index], grade=grade),))
    xml = xml_of[stray].replace("fore", "cold_sore", 1)
    strays = {(change(stray, like=stray, xml=xml),)}
    toy_set._write_lists(dst, written)
    return {
        "identical across parts": set(found),
        "stray class": strays,
        "identical photos": set(found),
        "twins labelled differently": set(found[:conflicts]),
        "prefix against grade": wrong,
        **({"no boxes": bare} if bare else {}),
    }
