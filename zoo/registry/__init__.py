"""Find plugins, look up what they provide, and import what a spec points at."""
