"""Policies: prompts, chat templates and steps. No engine here."""
