"""What computes the detections of tiles: one module an engine."""
