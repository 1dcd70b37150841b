"""Pure geometry of tiles, shared by data preparation and by inference."""
