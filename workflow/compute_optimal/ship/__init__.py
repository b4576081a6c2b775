"""What ships with the repository, and whether it is what it claims to be."""
