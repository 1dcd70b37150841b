"""Photos in tiles: which there are, how they are written, and how a loader cuts them itself."""
