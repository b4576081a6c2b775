"""Zone 4: figures, tables, verdicts, notebooks and pages: each a query on the database."""
