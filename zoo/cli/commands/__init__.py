"""The core's commands, one file a command."""
