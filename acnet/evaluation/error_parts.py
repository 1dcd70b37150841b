"""What costs average precision: TIDE's kinds of errors."""

from acnet.evaluation.matches import Matches


def error_parts(
    matches: Matches, *, iou: float = 0.5, background_iou: float = 0.1
) -> dict[str, float]:
    """Compute how much AP would be gained by mending one kind of error alone.

    Args:
        matches: Of all photos.
        iou: From which a detection is right; one of the match's thresholds.
        background_iou: Below which a detection is on no lesion.

    Returns:
        Gains in percent of AP at `iou`: "localisation", "duplicate", "background", "missed" and,
        for several classes, "class" and "class and localisation". Empty without ground truth.

    Reference:
        Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020.
    """
    raise NotImplementedError
