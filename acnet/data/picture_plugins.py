"""What Pillow can read beyond its own formats, where the user has installed it."""

import functools

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
HEIF_REMEDY = "Install pillow-heif (`pip install pillow-heif`), or save the photo as JPEG."


@functools.cache
def register_plugins() -> bool:
    """Let Pillow read HEIC, the photos of iPhones, where pillow-heif is installed.

    Returns:
        Whether it is.
    """
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
