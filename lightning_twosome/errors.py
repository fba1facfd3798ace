"""The one exception for mistakes a user can mend, and the exit code of Ctrl-C."""

from __future__ import annotations

CTRL_C = 130  # as shells have it


class UserError(ValueError):
    """A mistake in configuration, environment, model or checkpoint that the user can mend.

    The message is one sentence that names the thing, its value and the way out. The command line prints it without a
    traceback and exits with
    code 2.
    """
