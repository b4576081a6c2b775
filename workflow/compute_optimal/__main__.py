"""``python -m compute_optimal VERB``: see ``cli``."""

import os
import sys

# Snakemake tells a job its threads by the variables of BLAS and OpenMP, which Polars does not know:
# without this it would start a thread for every core of a machine that others work on.
if "OMP_NUM_THREADS" in os.environ:
    os.environ.setdefault("POLARS_MAX_THREADS", os.environ["OMP_NUM_THREADS"])

from compute_optimal.cli import main

sys.exit(main())
