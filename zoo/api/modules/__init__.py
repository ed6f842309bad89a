"""Modules that no plugin declares: live ones, and those that a function of the user returns."""
