"""Settings for all tests."""

from hypothesis import settings

# A deadline would make tests fail on a busy machine, and says nothing about correctness.
settings.register_profile("study", deadline=None)
settings.load_profile("study")
