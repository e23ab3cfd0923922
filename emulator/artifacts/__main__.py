"""`python -m emulator.artifacts build [NAME…]` makes what is missing; `paths` shows where it is."""

from __future__ import annotations

import argparse
import json
import sys

from emulator.artifacts.build import Builds
from emulator.artifacts.inventory import ALL
from emulator.artifacts.work import BuildError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m emulator.artifacts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="make what is missing")
    build.add_argument("names", nargs="*", metavar="NAME", help=", ".join(a.name for a in ALL))
    commands.add_parser("paths", help="print as JSON where each artifact is")
    options = parser.parse_args(arguments)
    if options.command == "paths":
        print(json.dumps({a.name: [str(target) for target in a.targets] for a in ALL}, indent=2))
        return 0
    if unknown := sorted(set(options.names) - {artifact.name for artifact in ALL}):
        parser.error(f"no artifact is called {', '.join(unknown)}")
    chosen = [a for a in ALL if a.name in options.names or not (options.names or a.optional)]
    try:
        Builds().make(chosen)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the next run continues from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
