"""Compute-optimal test-time scaling: the library behind the Snakemake study.

Data flows one way: problems -> generate -> judge -> analyse -> present.
"""

__version__ = "0.1.0"
