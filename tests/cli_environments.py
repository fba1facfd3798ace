"""Environments with mistakes in them, for the tests of messages."""

from tests.toys import Buttons


class Silent(Buttons):
    """Offers no actions."""

    def reset(self, **options):
        prompt, _ = super().reset(**options)
        return prompt, {}
