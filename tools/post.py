"""Posts the results of the workflows: comments on a pull request, and the issue about drift.

Code of a pull request, maybe from a fork, wrote these results. Here they are only data: the name of
a stack, and a text whose mentions of users are disabled. GitHub, asked by branch and commit, names
the pull request; a file never does. Needs only Python and `gh`.
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
# As ollamazure/names.py has it; this file imports nothing of the project.
STACK_NAME = r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_-])?"
LONGEST_NAME = 90
BOT = "github-actions[bot]"
DRIFT_TITLE = "What runs on Azure is not what was declared"
DRIFT_MARKER = "<!-- ollamazure drift -->"
# GitHub accepts 65536 characters; each disabled mention is one character longer.
MOST_CHARACTERS = 65_000


class PostError(Exception):
    """Nothing is posted; the message gives the reason."""


@dataclass(frozen=True)
class GitHub:
    """The REST API of one repository, with the token in GH_TOKEN."""

    repository: str

    def get(self, path: str) -> list[dict[str, Any]]:
        """All items of a list, from all its pages."""
        pages = self._call("--paginate", "--slurp", f"repos/{self.repository}/{path}")
        return [item for page in pages for item in page]

    def send(self, method: str, path: str, body: Mapping[str, str]) -> None:
        """Create or change something."""
        self._call(
            "--method",
            method,
            f"repos/{self.repository}/{path}",
            "--input",
            "-",
            stdin=json.dumps(body),
        )

    def _call(self, *arguments: str, stdin: str = "") -> Any:
        done = subprocess.run(
            ["gh", "api", *arguments], input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PostError(f"gh api {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def comment_marker(stack: str) -> str:
    """The first line of a stack's comment, by which the next run finds it."""
    return f"<!-- ollamazure preview: {stack} -->"


def disable_mentions(text: str) -> str:
    """The text without mentions of users, within GitHub's limit."""
    return re.sub(r"@(?=[A-Za-z0-9])", "@\N{ZERO WIDTH SPACE}", text)[:MOST_CHARACTERS]


def read_comments(folder: Path) -> dict[str, str]:
    """The comments in a folder of an artifact, by stack.

    Raises:
        PostError: a file is not a stack's comment.
    """
    found = {}
    for file in sorted(folder.glob("*")) if folder.is_dir() else ():
        stack = file.stem
        if file.suffix != ".md" or not re.fullmatch(STACK_NAME, stack) or len(stack) > LONGEST_NAME:
            raise PostError(f"{file.name!r} has not the name of a stack's comment")
        if file.is_symlink() or not file.is_file():
            raise PostError(f"{file.name} is not a regular file")
        text = file.read_bytes()[: 4 * MOST_CHARACTERS].decode(errors="replace")
        if text.partition("\n")[0].rstrip() != comment_marker(stack):
            raise PostError(f"{file.name} does not start with {comment_marker(stack)}")
        found[stack] = disable_mentions(text)
    return found


def find_pull_request(github: GitHub, head: str, sha: str) -> int | None:
    """The number of the open pull request from `head` (owner:branch) whose last commit is `sha`.

    None if it has a later commit or was closed: the next run posts its own comment.
    """
    pulls = github.get(f"pulls?state=open&head={quote(head, safe=':')}")
    numbers = [int(pull["number"]) for pull in pulls if pull["head"]["sha"] == sha]
    return numbers[0] if numbers else None


def post_comments(github: GitHub, folder: Path, head: str, sha: str) -> str:
    """Post each comment of `folder` on the pull request, or replace its former version."""
    texts = read_comments(folder)
    if not texts:
        return "The pull request touches no stack; nothing to post."
    number = find_pull_request(github, head, sha)
    if number is None:
        return f"No open pull request from {head} has the last commit {sha}; nothing to post."
    posted = [
        comment
        for comment in github.get(f"issues/{number}/comments?per_page=100")
        if comment["user"]["login"] == BOT
    ]
    for stack, text in texts.items():
        old = [one["id"] for one in posted if one["body"].startswith(comment_marker(stack))]
        if old:
            github.send("PATCH", f"issues/comments/{old[0]}", {"body": text})
        else:
            github.send("POST", f"issues/{number}/comments", {"body": text})
    return f"Pull request {number}: {', '.join(texts)}."


def post_drift(github: GitHub, folder: Path) -> str:
    """Open the issue about drift, update it, or close it when nothing differs any more.

    Raises:
        PostError: the folder has no report.
    """
    reports = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.md"))]
    if not reports:
        raise PostError(f"there is no report in {folder}")
    outcomes = {report.partition("\n")[0] for report in reports}
    open_issues = [
        issue["number"]
        for issue in github.get("issues?state=open&per_page=100")
        if issue["user"]["login"] == BOT and (issue["body"] or "").startswith(DRIFT_MARKER)
    ]
    if "<!-- drift: found -->" in outcomes:
        body = disable_mentions("\n\n".join([DRIFT_MARKER, *reports]))
        if open_issues:
            github.send("PATCH", f"issues/{open_issues[0]}", {"body": body})
            return f"Issue {open_issues[0]} is updated."
        github.send("POST", "issues", {"title": DRIFT_TITLE, "body": body})
        return "An issue is opened."
    if open_issues and outcomes == {"<!-- drift: none -->"}:
        github.send("PATCH", f"issues/{open_issues[0]}", {"state": "closed"})
        return f"Nothing differs any more; issue {open_issues[0]} is closed."
    return "Nothing to change."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Posts the results of the workflows.")
    what = parser.add_subparsers(dest="what", required=True)
    on_pull_request = what.add_parser("comments", help="on a pull request, one for each stack")
    on_pull_request.add_argument("--head", required=True, help="owner:branch of the pull request")
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
