"""The progress of a prediction, with the time that is left."""

from acnet.files import progress_bar


class PhotoBar:
    """A progress bar over photos, in which a large photo advances by its tiles.

    Args:
        total: Photos of the run.
        finished: Photos that are done already.
        visible: Whether to show it.
    """

    def __init__(self, total: int, finished: int, *, visible: bool):
        self._photos = finished
        self._bar = progress_bar(
            total=total,
            initial=finished,
            desc="predicting",
            unit="photo",
            bar_format="{l_bar}{bar}| {n:.4g}/{total_fmt} [{elapsed}<{remaining}]",
            delay=1 if total == 1 else 0,  # one small photo needs no bar
            disable=not visible,
        )

    def __enter__(self) -> "PhotoBar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def tiles(self, done: int, total: int) -> None:
        """Show how far the photo under way is."""
        self._bar.update(self._photos + 0.99 * done / total - self._bar.n)

    def photo(self) -> None:
        """Show that one more photo is done."""
        self._photos += 1
        self._bar.update(self._photos - self._bar.n)
