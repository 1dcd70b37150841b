"""Hayashi's severity grade of a face, from its number of lesions."""

import bisect

# Largest count of the grades mild, moderate and severe; more is very severe.
# Hayashi et al., "Establishment of grading criteria for acne severity", J. Dermatol. 2008.
HAYASHI_LIMITS = (5, 20, 50)


def hayashi_grade(count: int) -> int:
    """Returns the grade of a photo.

    Args:
        count: lesions on it, from 0.

    Returns:
        0 for at most 5 lesions, 1 for at most 20, 2 for at most 50, 3 for more.
    """
    return bisect.bisect_left(HAYASHI_LIMITS, count)
