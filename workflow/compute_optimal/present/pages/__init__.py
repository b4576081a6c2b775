"""Pages of the study: self-contained HTML files that need no network."""
