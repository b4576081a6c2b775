"""Zone 2: which answers and which steps are right."""
