"""Writes the comment about a preview that Pulumi has printed into files.

pulumi preview --json --show-sames --stack dev > preview.json
pulumi preview --diff --stack dev > diff.txt
python -m ollamazure.review.from_files --stack dev --preview preview.json --diff diff.txt
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ollamazure.preview import output as preview_output
from ollamazure.review import comment
from ollamazure.review.changes import review_preview


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the comment; returns 2 if the files contain no preview, which the comment explains."""
    options = _parse(arguments)
    printed = sys.stdin.read() if options.preview == "-" else _read(Path(options.preview))
    code, text = write_comment(options.stack, printed, _read(options.diff) if options.diff else "")
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return code


def write_comment(stack: str, printed: str, diff: str) -> tuple[int, str]:
    """The exit code and the comment about what the engine printed."""
    try:
        review = review_preview(preview_output.read(printed, diff))
    except preview_output.PreviewError as error:
        return 2, comment.format_failure(stack, comment.NO_PREVIEW, str(error))
    return 0, comment.format_review(stack, review)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ollamazure.review.from_files",
        description="Write a preview as a comment for a pull request.",
    )
    parser.add_argument("--stack", required=True, help="for example dev")
    parser.add_argument(
        "--preview",
        required=True,
        metavar="FILE",
        help="the output of `pulumi preview --json --show-sames`; - is standard input",
    )
    parser.add_argument(
        "--diff", type=Path, metavar="FILE", help="the output of `pulumi preview --diff`"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write here; default: standard output"
    )
    return parser.parse_args(arguments)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    sys.exit(main())
