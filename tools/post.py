"""Posts what the workflows found out: comments on a pull request, and the one issue about drift.

What it posts was made by the code of a pull request, a stranger's perhaps, and is data here: the
name of a stack, and text that mentions nobody. Which pull request it belongs to is asked of GitHub
by branch and commit, never taken from a file. Needs nothing but Python and `gh`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent
BOT = "github-actions[bot]"
DRIFT_TITLE = "What runs on Azure is not what was declared"
DRIFT_MARKER = "<!-- ollamazure drift -->"
# GitHub takes 65536 characters; a mention takes one more when it is made harmless.
MOST_CHARACTERS = 65_000


class PostError(Exception):
    """Nothing is posted; the message says why."""


@dataclass(frozen=True)
class GitHub:
    """The REST interface of one repository, as the token in GH_TOKEN sees it."""

    repository: str

    def get(self, path: str) -> list[dict[str, Any]]:
        """All items of a list, of every page of it."""
        pages = self._ask("--paginate", "--slurp", f"repos/{self.repository}/{path}")
        return [item for page in pages for item in page]

    def send(self, method: str, path: str, body: Mapping[str, str]) -> None:
        """Create or change something."""
        self._ask(
            "--method",
            method,
            f"repos/{self.repository}/{path}",
            "--input",
            "-",
            stdin=json.dumps(body),
        )

    def _ask(self, *arguments: str, stdin: str = "") -> Any:
        done = subprocess.run(
            ["gh", "api", *arguments], input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PostError(f"gh api {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def comment_marker(stack: str) -> str:
    """The first line of a stack's comment, by which it is found again (`review/` writes it)."""
    return f"<!-- ollamazure preview: {stack} -->"


def harmless(text: str) -> str:
    """The same text, mentioning nobody and within GitHub's limit."""
    return re.sub(r"@(?=[A-Za-z0-9])", "@\N{ZERO WIDTH SPACE}", text)[:MOST_CHARACTERS]


def comments(folder: Path) -> dict[str, str]:
    """The comments in a folder of an artifact, by stack.

    Raises:
        PostError: a file is not a stack's comment.
    """
    found = {}
    for file in sorted(folder.glob("*")) if folder.is_dir() else ():
        stack = file.stem
        if file.suffix != ".md" or not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", stack):
            raise PostError(f"{file.name!r} is not named like the comment of a stack")
        if file.is_symlink() or not file.is_file():
            raise PostError(f"{file.name} is not a plain file")
        text = file.read_bytes()[: 4 * MOST_CHARACTERS].decode(errors="replace")
        if text.partition("\n")[0].rstrip() != comment_marker(stack):
            raise PostError(f"{file.name} does not begin with {comment_marker(stack)}")
        found[stack] = harmless(text)
    return found


def pull_request(github: GitHub, head: str, sha: str) -> int | None:
    """The number of the open pull request from `head` (owner:branch) that stands at commit `sha`.

    None when it has moved on or was closed: its next run has its own comment.
    """
    pulls = github.get(f"pulls?state=open&head={quote(head, safe=':')}")
    numbers = [int(pull["number"]) for pull in pulls if pull["head"]["sha"] == sha]
    return numbers[0] if numbers else None


def post_comments(github: GitHub, folder: Path, head: str, sha: str) -> str:
    """Put each comment of `folder` on the pull request, in the place of its last version."""
    texts = comments(folder)
    if not texts:
        return "No stack is touched; nothing to post."
    number = pull_request(github, head, sha)
    if number is None:
        return f"No open pull request from {head} stands at {sha}; nothing to post."
    there = [
        comment
        for comment in github.get(f"issues/{number}/comments?per_page=100")
        if comment["user"]["login"] == BOT
    ]
    for stack, text in texts.items():
        old = [one["id"] for one in there if one["body"].startswith(comment_marker(stack))]
        if old:
            github.send("PATCH", f"issues/comments/{old[0]}", {"body": text})
        else:
            github.send("POST", f"issues/{number}/comments", {"body": text})
    return f"Pull request {number}: {', '.join(texts)}."


def post_drift(github: GitHub, folder: Path) -> str:
    """Open the issue about drift, bring it up to date, or close it when nothing differs any more.

    Raises:
        PostError: there is no report, so that nothing is known.
    """
    reports = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.md"))]
    if not reports:
        raise PostError(f"there is no report in {folder}")
    outcomes = {report.partition("\n")[0] for report in reports}
    there = [
        issue["number"]
        for issue in github.get("issues?state=open&per_page=100")
        if issue["user"]["login"] == BOT and (issue["body"] or "").startswith(DRIFT_MARKER)
    ]
    if "<!-- drift: found -->" in outcomes:
        body = harmless("\n\n".join([DRIFT_MARKER, *reports]))
        if there:
            github.send("PATCH", f"issues/{there[0]}", {"body": body})
            return f"Issue {there[0]} is up to date."
        github.send("POST", "issues", {"title": DRIFT_TITLE, "body": body})
        return "An issue is opened."
    if there and outcomes == {"<!-- drift: none -->"}:
        github.send("PATCH", f"issues/{there[0]}", {"state": "closed"})
        return f"Nothing differs any more; issue {there[0]} is closed."
    return "Nothing new to say."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Posts what the workflows found out.")
    what = parser.add_subparsers(dest="what", required=True)
    on_pull_request = what.add_parser("comments", help="on a pull request, one for each stack")
    on_pull_request.add_argument("--head", required=True, help="owner:branch it comes from")
    on_pull_request.add_argument("--sha", required=True, help="the commit that was previewed")
    issue = what.add_parser("issue", help="the one about drift")
    for parser_of_one in (on_pull_request, issue):
        parser_of_one.add_argument("--folder", required=True, type=Path, help="what to post")
    options = parser.parse_args(arguments)
    github = GitHub(os.environ["GITHUB_REPOSITORY"])
    try:
        if options.what == "comments":
            print(post_comments(github, options.folder, options.head, options.sha))
        else:
            print(post_drift(github, options.folder))
    except PostError as error:
        print(f"post: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
