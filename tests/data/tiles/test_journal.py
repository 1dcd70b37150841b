"""The journal: what it believes after a kill, and what makes it begin anew."""

from acnet.data.tiles.tile_files import CutPhoto, Journal

A = CutPhoto("a.jpg", "00", {"a_1.jpg": 10, "a_2.jpg": 20})
B = CutPhoto("b é.jpg", "01", {})


def test_what_was_added_is_known_to_the_next_run(tmp_path):
    path = tmp_path / "tiles.jsonl"
    journal = Journal(path, {"tile_px": 640})
    assert journal.known == {}
    journal.add(B)
    journal.add(A)
    assert Journal(path, {"tile_px": 640}).known == {"a.jpg": A, "b é.jpg": B}


def test_half_a_line_is_forgotten_and_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "tiles.jsonl"
    Journal(path, {}).add(A)
    whole = path.read_bytes()
    Journal(path, {}).add(B)
    for end in range(len(whole), path.stat().st_size):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(path.read_bytes()[:end])
        journal = Journal(torn, {})
        assert journal.known == {"a.jpg": A}
        journal.add(B)
        assert Journal(torn, {}).known == {"a.jpg": A, "b é.jpg": B}


def test_other_options_begin_anew(tmp_path):
    path = tmp_path / "tiles.jsonl"
    Journal(path, {"tile_px": 640}).add(A)
    assert Journal(path, {"tile_px": 320}).known == {}
    assert Journal(path, {"tile_px": 640}).known == {}  # the tiles of 640 may be overwritten


def test_lines_of_others_are_skipped(tmp_path):
    path = tmp_path / "tiles.jsonl"
    Journal(path, {}).add(A)
    with path.open("a") as file:
        file.write('[1]\n{"photo": "c.jpg"}\nnonsense\n')
    assert Journal(path, {}).known == {"a.jpg": A}


def test_at_the_end_the_order_is_that_of_the_photos(tmp_path):
    journals = [Journal(tmp_path / name, {}) for name in ("one", "two")]
    for journal, photos in zip(journals, ([A, B], [B, A]), strict=True):
        for photo in photos:
            journal.add(photo)
        journal.finish(photos)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
