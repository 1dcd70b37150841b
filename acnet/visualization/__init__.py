"""Pictures for people: boxes, saliency, pages of photos."""
