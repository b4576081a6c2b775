"""Zone 1: samples, step scores and searches; what is missing is made and stored."""
