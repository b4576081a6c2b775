"""``python -m compute_optimal VERB``: see ``cli``."""

import sys

from compute_optimal.cli import main

sys.exit(main())
