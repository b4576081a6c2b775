"""Difficulty of a problem for a policy (section 3.2 of the paper): the names, from easy to hard."""

from __future__ import annotations

BUCKETS = ("easy", "medium", "hard")
