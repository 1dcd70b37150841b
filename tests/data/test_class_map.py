"""Which names become which classes."""

import pytest

from acnet.data.clean import ClassMap, choose_classes
from acnet.errors import UserError


def choose(declared=(), found=(), **options):
    return choose_classes(declared, found, **{"format_name": "voc", **options})


def test_acne04s_name_becomes_acne_and_others_are_left_out():
    classes = choose(["fore"], ["fore", "cold_sore"], format_name="acne04")
    assert classes == ClassMap(("acne",), {"fore": 0}, is_chosen=True)


def test_other_formats_keep_declared_names_in_their_order():
    classes = choose(["scar", "acne", "scar"], ["acne", "7"])
    assert classes == ClassMap(("scar", "acne"), {"scar": 0, "acne": 1})


def test_without_declared_names_those_found_are_sorted():
    assert choose(found=["scar", "acne", "", "scar"]).class_names == ("acne", "scar")


def test_a_map_merges_keeps_and_leaves_out():
    wanted = {"papule": "lesion", "scar": "scar", "pustule": "lesion"}
    classes = choose(found=["papule", "pustule", "scar", "mole"], wanted=wanted)
    assert classes.class_names == ("lesion", "scar")
    assert dict(classes.index_of) == {"papule": 0, "scar": 1, "pustule": 0}


def test_one_class_takes_every_name():
    classes = choose(["a"], ["b", ""], one_class="acne")
    assert classes == ClassMap(("acne",), {"a": 0, "b": 0, "": 0})


def test_a_misspelt_name_is_told():
    with pytest.raises(UserError, match=r"'papul'; there are 'papule', 'scar'\. Correct"):
        choose(["papule"], ["scar"], wanted={"papul": "acne", "scar": "scar"})


def test_no_class_at_all():
    with pytest.raises(UserError, match=r"--one-class acne\.$"):
        choose()
    assert choose(one_class="acne").class_names == ("acne",)
