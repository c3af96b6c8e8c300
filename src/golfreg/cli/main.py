"""The program ``golfreg``. Every error that a user can act on ends here as one message and an exit code."""

from __future__ import annotations

import os
import sys

from golfreg.api.errors import EXIT_BUG, GolfregError
from golfreg.cli.out import Out


def main() -> None:
    """Run the command line and exit: 0 done, 1 the answer is no, 2 usage, 130/143 interrupted, 70 a bug."""
    sys.exit(_run())


def _run() -> int:
    out = Out()
    try:
        from golfreg.cli.app import app

        if os.environ.get("_GOLFREG_COMPLETE") == "complete_bash":
            from golfreg.cli.complete import joined_colons

            with joined_colons(os.environ):
                app()
        app()
    except GolfregError as error:
        out.error(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        out.error("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output is gone; say nothing, and keep the interpreter from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f" `{error.filename}`" if error.filename else ""
        out.error(f"{error.strerror or error}{where}", "is the disk full, or the path not yours to read or write?")
        return 2
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 2
    except Exception:
        import traceback

        traceback.print_exc()
        out.error("this is a bug in golfreg", "please report it with the lines above")
        return EXIT_BUG
    return 0


if __name__ == "__main__":
    main()
