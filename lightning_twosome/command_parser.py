"""argparse for the subcommands that are no Trainer's, with mistakes as the rest of the command line tells them."""

from __future__ import annotations

import argparse
from typing import NoReturn

from lightning_twosome.errors import UserError


class CommandParser(argparse.ArgumentParser):
    """An argument parser that raises where argparse prints its usage and exits."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UserError: Always; the command line makes one sentence of it.
        """
        raise UserError(message)
