"""Write the configuration's schemas and reference tables anew; run in the repository's root."""

import sys
from pathlib import Path

from compute_optimal.errors import StudyError
from compute_optimal.study.config.documentation import write_documentation

try:
    for path in write_documentation(Path.cwd()):
        print(f"wrote {path.relative_to(Path.cwd())}")
except StudyError as error:
    sys.exit(str(error))
