"""Text worlds, registered with gymnasium under the namespace ``twosome``."""

from __future__ import annotations


def register_environments() -> None:
    """Register every environment of this package with gymnasium; harmless when called twice."""
