"""An evaluation as one page that a person reads and a file that a program reads.

index.html     everything in one file: text, tables, figures, and photos where they are asked for
results.json   the same numbers
"""

from acnet.visualization.report.write import write_report

__all__ = ["write_report"]
