"""Conformance checks for plugins.

Each check takes the name of an installed spec, and optionally a registry. It raises `AssertionError` if the plugin
violates the contract:

    from zoo.testing import check_architecture, check_plugin

    def test_plugin():
        check_plugin("zoo_tiny.plugin")
        check_architecture("tiny_cnn")
"""

from zoo.testing.architectures import check_architecture
from zoo.testing.datasets import check_dataset
from zoo.testing.formats import check_format
from zoo.testing.losses import check_loss
from zoo.testing.plugin import check_plugin

__all__ = ["check_architecture", "check_dataset", "check_format", "check_loss", "check_plugin"]
