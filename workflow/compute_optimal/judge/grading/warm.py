"""Imported once by the process that workers are forked from; see ``workers``.

The first comparison of a process costs a second or two: imports, grammar tables, caches.
"""

from compute_optimal.judge.grading.equivalence import equal_to_gold, fingerprint

equal_to_gold((r"\frac{1}{2}", r"x^2+\sqrt{2}"))
fingerprint(r"(1,\frac{\pi}{2})")
