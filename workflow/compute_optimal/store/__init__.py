"""What is kept, where it lies, and how it travels."""
