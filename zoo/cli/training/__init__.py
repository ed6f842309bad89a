"""From the options of `zoo train` to a recipe, and what a training prints."""
