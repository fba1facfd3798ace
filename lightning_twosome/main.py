"""The command line: what can be answered at once, mistakes told in one sentence, and the subcommands on use.

::

    lightning-twosome fit      --config quickstart.yaml     train; a resumed run goes on with --ckpt_path last
    lightning-twosome validate --config ... --ckpt_path ... evaluation episodes with intervals
    lightning-twosome predict  --config ... --ckpt_path ... transcripts of played episodes
    lightning-twosome export   --config ... --ckpt_path ... --output folder
    lightning-twosome play     --agent folder           a person and the agent in the terminal
    lightning-twosome report   runs/run                one HTML page of one or several runs
    lightning-twosome study    studies/x.yaml          a grid of runs and seeds, its table and figures
    lightning-twosome check    --env twosome/TomatoSalad-v0 is the environment ready for training? also with --config

``python cli.py`` in a checkout is the same program.
"""

from __future__ import annotations

import os
import re
import sys

from lightning_twosome import __version__
from lightning_twosome.cli_errors import COMMANDS, check_command, one_sentence, out_of_memory
from lightning_twosome.command_parser import CommandParser
from lightning_twosome.config_files import check_config_files
from lightning_twosome.errors import CTRL_C, UserError


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; ``None`` takes them from the command line.

    Returns:
        The exit code: 0; 2 after a mistake in the arguments, the environment, the model or a checkpoint; 75 or 130
        where a signal or Ctrl-C ended it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if arguments[:1] == ["check"]:  # which asks about an environment: its name alone will do
        arguments = [re.sub(r"^--env(?=$|=|_kwargs)", "--data.env", argument) for argument in arguments]
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # class_path: my_module.MyEnv, beside the config
    try:
        check_command(arguments)
        if arguments[0].startswith("-"):
            overview().parse_args(arguments)
        return subcommand(arguments, debug)
    except KeyboardInterrupt:
        print("Stopped by Ctrl-C.", file=sys.stderr)
        return CTRL_C
    except Exception as error:
        if debug or not is_mistake(error):
            raise
        print(f"error: {one_sentence(error)}", file=sys.stderr)
        return 2


def overview() -> CommandParser:
    """The parser of the options that stand before any subcommand; each of these has a parser of its own."""
    parser = CommandParser(prog="lightning-twosome", description="Align a language model with an environment.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subcommands = parser.add_subparsers(title="subcommands; --help after one lists its options", metavar="SUBCOMMAND")
    for name, text in COMMANDS.items():
        subcommands.add_parser(name, help=text)
    return parser


def subcommand(arguments: list[str], debug: bool) -> int:
    """Carry out a subcommand, importing no more than it takes."""
    name, *rest = arguments
    if name == "report":
        from lightning_twosome.report.command import report_command

        return report_command(rest)
    if name == "generalization":
        from lightning_twosome.generalization_command import generalization_command

        return generalization_command(rest)
    if name == "study":
        from lightning_twosome.study.command import study_command

        return study_command(rest, debug)
    if name == "play":
        from lightning_twosome.play_command import play_command

        return play_command(rest, debug)
    check_config_files(arguments)
    from lightning_twosome.command_line import run_command

    return run_command(arguments, debug)


def is_mistake(error: Exception) -> bool:
    """Whether the user can mend what an exception reports; its text then says all there is to say."""
    if isinstance(error, (UserError, OSError)) or out_of_memory(error):
        return True
    from jsonargparse import ArgumentError

    if isinstance(error, ArgumentError) or (isinstance(error, ValueError) and "Does not validate" in str(error)):
        return True
    if "lightning" not in sys.modules:  # whose import takes seconds
        return False
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    return isinstance(error, MisconfigurationException)


if __name__ == "__main__":
    sys.exit(main())
