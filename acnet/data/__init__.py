"""Data sets: readers of public formats, COCO writers, tiles, registration and generated photos."""
