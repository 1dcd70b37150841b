"""The paper's Fig. 5 for any two models: the same photos as each sees them, chosen by a rule."""

from acnet.visualization.figure5.write import SaliencyModel, write_figure5

__all__ = ["SaliencyModel", "write_figure5"]
