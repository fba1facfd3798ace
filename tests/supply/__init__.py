"""Checks on what the package depends on, each a command: ``python -m tests.supply.audit`` (docs/dependencies.md).

They start with the standard library and pip alone, and are not installed with the package.
"""
