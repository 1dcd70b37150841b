"""Which names of an annotation become which classes, and which are left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from acnet.errors import UserError

# ACNE04 calls its one class "fore", for foreground; its stray other names are left out.
DEFAULT_MAPS: Mapping[str, Mapping[str, str]] = {"acne04": {"fore": "acne"}}


@dataclass(frozen=True)
class ClassMap:
    """The classes of a prepared set.

    Args:
        class_names: in the order of their indices.
        index_of: the class index by name as it is annotated; other names are left out.
    """

    class_names: tuple[str, ...]
    index_of: Mapping[str, int]


def choose_classes(
    declared: Iterable[str],
    found: Iterable[str],
    *,
    format_name: str,
    wanted: Mapping[str, str] | None = None,
    one_class: str | None = None,
) -> ClassMap:
    """Decides the classes of a data set.

    Args:
        declared: names that the set declares, in their order; may be none.
        found: names of its objects.
        format_name: of the set, for the default.
        wanted: class by name as annotated; names that it lacks are left out.
        one_class: takes every name into this one class.

    Returns:
        The classes in the order of `wanted`, else as declared, else sorted by name. A set that
        declares its names leaves objects of other names out.

    Raises:
        UserError: `wanted` has a name that does not occur, or no class is left.
    """
    declared, found = list(dict.fromkeys(declared)), sorted(set(found))
    if one_class is not None:
        return ClassMap((one_class,), dict.fromkeys([*declared, *found], 0))
    found = [name for name in found if name]  # objects may lack a name
    if wanted is None:
        wanted = DEFAULT_MAPS.get(format_name, {name: name for name in declared or found})
    else:
        _check_names(wanted, {*declared, *found})
    class_names = tuple(dict.fromkeys(wanted.values()))
    if not class_names:
        raise UserError(
            "A data set has at least one class. Received one without objects or names of classes. "
            "Name the class by --one-class acne."
        )
    return ClassMap(class_names, {name: class_names.index(to) for name, to in wanted.items()})


def _check_names(wanted: Mapping[str, str], known: Iterable[str]) -> None:
    missing = sorted(set(wanted) - set(known))
    if missing:
        raise UserError(
            "A class map takes names that the annotations have. Received "
            f"{', '.join(map(repr, missing))}; there are {', '.join(map(repr, sorted(known)))}. "
            "Correct --class-map."
        )
