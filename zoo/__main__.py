"""`python -m zoo` is `zoo`, for launchers such as torchrun that start a module."""

from zoo.cli.main import main

main()
