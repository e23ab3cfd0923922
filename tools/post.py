"""Posts the results of the workflows: comments and issues, and a pull request with new digests.

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
TITLES = {
    "drift": "What runs on Azure is not what was declared",
    "audit": "A pinned Python package has a known vulnerability",
}
DIGESTS = "ollamazure/catalog/digests.yaml"
BRANCH = "ollamazure-image-digests"
ABOUT_DIGESTS = """\
The registries serve other images than those that the catalog pins, or there is a digest for a
version that had none. An image is usually built again for newer packages of its system. After the
merge, the next `pulumi up` pulls what is new and restarts what runs from it.

GitHub starts no checks for a pull request of a workflow: close it and open it again to start them.
"""
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

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Create or change something; returns GitHub's answer."""
        return self._call(
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


def issue_marker(topic: str) -> str:
    """The first line of the issue about a topic of TITLES, by which the next run finds it."""
    return f"<!-- ollamazure {topic} -->"


def post_issue(github: GitHub, folder: Path, topic: str) -> str:
    """Open the issue about a topic, update it, or close it when nothing is found any more.

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
        if issue["user"]["login"] == BOT and (issue["body"] or "").startswith(issue_marker(topic))
    ]
    if f"<!-- {topic}: found -->" in outcomes:
        body = disable_mentions("\n\n".join([issue_marker(topic), *reports]))
        if open_issues:
            github.send("PATCH", f"issues/{open_issues[0]}", {"body": body})
            return f"Issue {open_issues[0]} is updated."
        github.send("POST", "issues", {"title": TITLES[topic], "body": body})
        return "An issue is opened."
    if open_issues and outcomes == {f"<!-- {topic}: none -->"}:
        github.send("PATCH", f"issues/{open_issues[0]}", {"state": "closed"})
        return f"Nothing is found any more; issue {open_issues[0]} is closed."
    return "Nothing to change."


def post_digests(github: GitHub, folder: Path, commit: str) -> str:
    """Open a pull request with the digests that were read, or update it.

    Args:
        folder: has the new digests.yaml.
        commit: of the main branch; what is checked out.

    Raises:
        PostError: the file is not one of digests.
    """
    text = (folder / Path(DIGESTS).name).read_text(encoding="utf-8")
    line = r"#.*|[a-z-]+:( \{\})?|  [\w.\'-]+: sha256:[0-9a-f]{64}"
    if wrong := [one for one in text.splitlines() if not re.fullmatch(line, one)]:
        raise PostError(f"this is no line of {DIGESTS}: {wrong[0]!r}")
    if text == (PROJECT / DIGESTS).read_text(encoding="utf-8"):
        return "The catalog has these digests; nothing to post."
    owner = github.repository.partition("/")[0]
    pulls = github.get(f"pulls?state=open&head={owner}:{BRANCH}")
    body = f"{ABOUT_DIGESTS}\n```yaml\n{text}```\n"
    if pulls and pulls[0]["body"] == body:
        return f"Pull request {pulls[0]['number']} has these digests; nothing to post."
    file = {"path": DIGESTS, "mode": "100644", "type": "blob", "content": text}
    tree = github.send("POST", "git/trees", {"base_tree": commit, "tree": [file]})
    title = "Catalog: digests of the container images"
    made = {"message": title, "tree": tree["sha"], "parents": [commit]}
    sha = github.send("POST", "git/commits", made)["sha"]
    if github.get(f"git/matching-refs/heads/{BRANCH}"):
        github.send("PATCH", f"git/refs/heads/{BRANCH}", {"sha": sha, "force": True})
    else:
        github.send("POST", "git/refs", {"ref": f"refs/heads/{BRANCH}", "sha": sha})
    if pulls:
        github.send("PATCH", f"pulls/{pulls[0]['number']}", {"body": body})
        return f"Pull request {pulls[0]['number']} is updated."
    github.send("POST", "pulls", {"title": title, "head": BRANCH, "base": "main", "body": body})
    return "A pull request is opened."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Posts the results of the workflows.")
    what = parser.add_subparsers(dest="what", required=True)
    on_pull_request = what.add_parser("comments", help="on a pull request, one for each stack")
    on_pull_request.add_argument("--head", required=True, help="owner:branch of the pull request")
    on_pull_request.add_argument("--sha", required=True, help="the commit that was previewed")
    issue = what.add_parser("issue", help="the one about a topic")
    issue.add_argument("--about", choices=TITLES, default="drift")
    digests = what.add_parser("digests", help="a pull request with the images' digests")
    digests.add_argument("--sha", required=True, help="the commit of main that is checked out")
    for parser_of_one in (on_pull_request, issue, digests):
        parser_of_one.add_argument("--folder", required=True, type=Path, help="what to post")
    options = parser.parse_args(arguments)
    github = GitHub(os.environ["GITHUB_REPOSITORY"])
    try:
        if options.what == "comments":
            print(post_comments(github, options.folder, options.head, options.sha))
        elif options.what == "digests":
            print(post_digests(github, options.folder, options.sha))
        else:
            print(post_issue(github, options.folder, options.about))
    except PostError as error:
        print(f"post: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
