"""Checks on what the package depends on, each a command such as ``python -m supply.audit`` (docs/dependencies.md).

They start with the standard library and pip alone, and are not installed with the package.
"""
