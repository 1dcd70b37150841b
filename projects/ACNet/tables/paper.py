"""The paper's numbers: mAP in percent, on ACNE04 (Tables I to III) and on VOC 2007 (Table IV).

Which parts a row of Table II has follows from section IV-A.2, which says what each adds to which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PARTS = ("CB", "FRM", "DCE", "MAMA")
TABLES = (1, 2, 3, 4)
TITLES = MappingProxyType(
    {
        1: "Table I: detectors",
        2: "Table II: parts of ACNet",
        3: "Table III: levels, with and without DCE",
        4: "Table IV: PASCAL VOC 2007",
    }
)


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """One row of a table of the paper.

    Args:
        table: 1 to 4.
        key: name of our config without the depth of its ResNet, such as "cb_frm"; "" for a row
            that is somebody else's published number, which we do not train.
        label: what our table calls the row.
        map_percent: the paper's mAP, in percent.
        parts: of `PARTS`, those that the row has; None where the table is not about them.
    """

    table: int
    key: str
    label: str
    map_percent: float
    parts: tuple[str, ...] | None = None


def _part_row(letter: str, key: str, map_percent: float, parts: tuple[str, ...]) -> PaperRow:
    name = " + ".join(parts) if parts else "baseline"
    return PaperRow(
        table=2,
        key=key,
        label=f"({letter}) {name}" if letter else name,
        map_percent=map_percent,
        parts=parts,
    )


def _level_row(levels: str, key: str, map_percent: float) -> PaperRow:
    return PaperRow(table=3, key=key, label=levels, map_percent=map_percent)


def _other_row(table: int, label: str, map_percent: float, key: str = "") -> PaperRow:
    return PaperRow(table=table, key=key, label=label, map_percent=map_percent)


PAPER_ROWS = (
    _other_row(1, "Faster R-CNN, ResNet101", 10.3, "faster_rcnn"),
    _other_row(1, "R-FCN, ResNet101", 14.0, "rfcn"),
    _other_row(1, "Rashataprucksa et al., ResNet101", 14.7),
    _other_row(1, "ACNet, dual ResNet101", 20.5, "acnet"),
    _part_row("", "baseline", 10.3, ()),
    _part_row("a", "frm_dce_mama", 15.1, ("FRM", "DCE", "MAMA")),
    _part_row("b", "cb", 15.2, ("CB",)),
    _part_row("c", "cb_frm", 15.7, ("CB", "FRM")),
    _part_row("d", "cb_dce", 16.2, ("CB", "DCE")),
    _part_row("e", "cb_mama", 16.7, ("CB", "MAMA")),
    _part_row("f", "cb_frm_dce", 17.9, ("CB", "FRM", "DCE")),
    _part_row("g", "cb_frm_mama", 18.5, ("CB", "FRM", "MAMA")),
    _part_row("h", "acnet", 20.5, ("CB", "FRM", "DCE", "MAMA")),
    _level_row("L1-L4, sum", "l1_l4_sum", 18.1),
    _level_row("L1-L4, DCE", "l1_l4", 20.0),
    _level_row("L2-L4, sum", "l2_l4_sum", 18.5),
    _level_row("L2-L4, DCE", "l2_l4", 20.5),
    _level_row("L3-L4, sum", "l3_l4_sum", 18.2),
    _level_row("L3-L4, DCE", "l3_l4", 20.2),
    _other_row(4, "SSD300, VGG16, 300x300", 77.2),
    _other_row(4, "DSSD321, ResNet101, 321x321", 78.6),
    _other_row(4, "DES300, ResNet101, 300x300", 79.7),
    _other_row(4, "RefineDet300, VGG16, 300x300", 80.0),
    _other_row(4, "RFBNet300, VGG16, 300x300", 80.5),
    _other_row(4, "SSD512, VGG16, 512x512", 79.5),
    _other_row(4, "DSSD513, ResNet101, 513x513", 81.5),
    _other_row(4, "DES512, VGG16, 512x512", 81.7),
    _other_row(4, "RefineDet512, VGG16, 512x512", 81.8),
    _other_row(4, "RFBNet512, VGG16, 512x512", 82.1),
    _other_row(4, "Faster R-CNN, ResNet101, 1000x600", 76.4, "faster_rcnn"),
    _other_row(4, "R-FCN, ResNet101, 1000x600", 80.5, "rfcn"),
    _other_row(4, "ACNet, dual ResNet101, 1000x600", 81.8, "acnet"),
    _other_row(4, "CoupleNet, ResNet101, 1000x600", 82.7),
)


def paper_row(table: int, key: str) -> PaperRow | None:
    """Find a row of the paper that we train.

    Args:
        table: 1 to 4.
        key: see `PaperRow`.

    Returns:
        The row; None where the paper has none of this name.
    """
    return _BY_KEY.get((table, key))


_BY_KEY: Mapping[tuple[int, str], PaperRow] = {(r.table, r.key): r for r in PAPER_ROWS if r.key}
