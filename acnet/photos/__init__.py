"""Whole photos, whatever finds the lesions in them: nothing here imports torch or detectron2.

A photo is read (`read`), cut into tiles (`grid`), and what the tiles found becomes one list
(`merge`), a count and a grade (`results`), and pictures (`draw`). `folder` does that for many
photos and goes on where it was stopped; `sources` finds them, and `page` shows what was found.
"""
