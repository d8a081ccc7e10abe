"""`dualsight`, or `python -m dualsight`: the command line's door. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys

from dualsight.interface.interrupt import INTERRUPTED, handle_interrupts


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    handle_interrupts()
    try:
        from dualsight.interface.cli.app import app
        from dualsight.interface.cli.exits import speak_any_name

        speak_any_name()
        app(prog_name="dualsight")
    except KeyboardInterrupt:  # before or after a command, which has its own answer to it
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
