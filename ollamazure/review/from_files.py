"""`python -m review --stack NAME --preview FILE --diff FILE`: the comment about a preview.

pulumi preview --json --show-sames --stack dev > output.json
pulumi preview --diff --stack dev > diff.txt
python -m review --stack dev --preview output.json --diff diff.txt --output comment.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ollamazure.preview import output
from ollamazure.review import comment
from ollamazure.review.changes import review


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the comment; 2 when there is no preview to tell of, which the comment then says."""
    parser = argparse.ArgumentParser(
        prog="python -m review", description="A preview as a comment for a pull request."
    )
    parser.add_argument("--stack", required=True, help="for example dev")
    parser.add_argument(
        "--preview",
        required=True,
        metavar="FILE",
        help="what `pulumi preview --json --show-sames` printed; - is standard input",
    )
    parser.add_argument(
        "--diff", type=Path, metavar="FILE", help="what `pulumi preview --diff` printed"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")
    options = parser.parse_args(arguments)
    printed = sys.stdin.read() if options.preview == "-" else _text(Path(options.preview))
    code, text = write(options.stack, printed, _text(options.diff) if options.diff else "")
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return code


def write(stack: str, printed: str, diff: str) -> tuple[int, str]:
    """The exit code and the comment about what the engine printed."""
    try:
        return 0, comment.of_review(stack, review(output.read(printed, diff)))
    except output.PreviewError as error:
        return 2, comment.of_failure(stack, "There is no preview to tell of.", str(error))


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    sys.exit(main())
