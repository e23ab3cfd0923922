"""Runs one Pulumi program, in the program's own Python: a script, started by `language_python`.

The engine's request arrives as one JSON object on standard input: settings may be secrets and must
not appear in a process list or an environment. Only the program's own packages can be imported.
The exit codes are those of pulumi-language-python: 0; 32 when the error was reported to the engine;
1 after a `RunError`, whose message was reported as well.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ERROR_REPORTED = 32

try:
    import pulumi
    from pulumi.runtime import run_in_stack
    from pulumi.runtime.config import set_all_config
    from pulumi.runtime.settings import Settings, configure
except ImportError:
    traceback.print_exc()
    print(
        "It looks like the Pulumi SDK has not been installed: run `pip install -r "
        f"requirements.txt` with {sys.executable}",
        file=sys.stderr,
    )
    sys.exit(1)


def main() -> int:
    # A program ends within seconds: looking for garbage while an SDK defines thousands of classes
    # takes longer than it is worth.
    gc.disable()
    request = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    configure(
        Settings(
            project=request["project"],
            stack=request["stack"],
            monitor=request["monitor"],
            engine=request["engine"],
            parallel=request["parallel"],
            dry_run=request["dry_run"],
            organization=request["organization"],
            root_directory=request["root_directory"],
        )
    )
    set_all_config(request["config"], request["config_secret_keys"])
    os.chdir(request["directory"])
    sys.argv = [request["program"], *request["args"]]
    # Tasks that no one awaited when a program failed do not matter to its author.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    return _run(Path(request["program"]), max(request["parallel"], 1) * 4)


def _run(program: Path, threads: int) -> int:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Not in a `with`: an interrupted program would wait for threads that wait for the engine.
    loop.set_default_executor(ThreadPoolExecutor(threads))
    try:
        loop.run_until_complete(run_in_stack(lambda: _run_path(program)))
        return 0
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception as error:
        pulumi.log.error(
            f"Program failed with an unhandled exception:\n{_traceback(error, program)}"
        )
        return ERROR_REPORTED
    finally:
        loop.close()


def _run_path(program: Path) -> None:
    if program.is_dir() and not (program / "__main__.py").exists():
        pulumi.log.error(f"unable to find main python program `__main__.py` in `{program}`")
        sys.exit(ERROR_REPORTED)
    runpy.run_path(str(program), run_name="__main__")


def _traceback(error: Exception, program: Path) -> str:
    """The traceback from the program's first line on, without the lines of this host."""
    main = program if program.suffix == ".py" else program / "__main__.py"
    frames = traceback.extract_tb(error.__traceback__)
    for index, frame in enumerate(frames):
        if Path(frame.filename) == main:
            return "".join(traceback.format_exception(error, limit=index - len(frames)))
    return "".join(traceback.format_exception(error))


if __name__ == "__main__":
    sys.exit(main())
