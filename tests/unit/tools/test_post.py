"""tools/post.py with a stand-in for `gh` that accepts only the expected requests.

The paths are those of GitHub's REST interface; `--paginate --slurp` gives a list of pages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stand_in import Program
from tools import post

SHA = "a" * 40
DRIFT_MARKER = post.issue_marker("drift")


class GitHub(Program):
    """What the stand-in answers, and what it receives."""

    unknown = "gh: Not Found (HTTP 404)"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "gh")
        self.pulls(pull(7))
        self.list_of("issues/7/comments?per_page=100")
        self.list_of("issues?state=open&per_page=100")
        for method, path in (
            ("POST", "issues/7/comments"),
            ("PATCH", "issues/comments/31"),
            ("POST", "issues"),
            ("PATCH", "issues/9"),
        ):
            self.answer(f"api --method {method} repos/team/chat/{path} --input -", {})

    def pulls(self, *found: dict[str, Any], head: str = "ada:more-models") -> None:
        self.list_of(f"pulls?state=open&head={head}", *found)

    def list_of(self, path: str, *items: dict[str, Any]) -> None:
        """A list on two pages, the second of them empty."""
        self.answer(f"api --paginate --slurp 'repos/team/chat/{path}'", [list(items), []])

    def sent(self) -> list[tuple[str, str, dict[str, str]]]:
        """Method, path and body of everything that changed something."""
        return [
            (words[2], words[3].removeprefix("repos/team/chat/"), json.loads(body))
            for words, body in self.calls()
            if words[1] == "--method"
        ]


def pull(number: int, sha: str = SHA) -> dict[str, Any]:
    return {"number": number, "head": {"sha": sha}}


def text_of(stack: str, text: str = "| added | 1 |") -> str:
    return f"<!-- ollamazure preview: {stack} -->\n{text}\n"


def written(number: int, body: str, login: str = post.BOT) -> dict[str, Any]:
    """A comment or an issue on GitHub."""
    return {"id": number, "number": number, "body": body, "user": {"login": login}}


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/chat")
    return GitHub(folder)


Files = dict[str, str]
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(what: str, files: Files, *more: str) -> tuple[int, str]:
        folder = tmp_path / "artifact"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        github.install()
        code = post.main([what, "--folder", str(folder), *more])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.fixture
def comment(run: Run) -> Callable[..., tuple[int, str]]:
    def comment(files: Files, head: str = "ada:more-models") -> tuple[int, str]:
        return run("comments", files, "--head", head, "--sha", SHA)

    return comment


def test_a_first_comment_is_posted_for_each_stack(comment: Run, github: GitHub) -> None:
    code, printed = comment({"dev.md": text_of("dev"), "prod.md": text_of("prod")})

    assert code == 0, printed
    assert github.sent() == [
        ("POST", "issues/7/comments", {"body": text_of("dev")}),
        ("POST", "issues/7/comments", {"body": text_of("prod")}),
    ]


def test_a_stack_may_have_any_allowed_name(comment: Run, github: GitHub) -> None:
    names = ["Prod_EU", "dev", "eu.west"]
    code, printed = comment({f"{name}.md": text_of(name) for name in names})

    assert code == 0, printed
    assert [body["body"] for _, _, body in github.sent()] == [text_of(name) for name in names]


def test_a_later_comment_replaces_the_former(comment: Run, github: GitHub) -> None:
    github.list_of(
        "issues/7/comments?per_page=100",
        written(30, text_of("prod")),
        written(31, text_of("dev", "older")),
    )
    code, printed = comment({"dev.md": text_of("dev")})

    assert code == 0, printed
    assert github.sent() == [("PATCH", "issues/comments/31", {"body": text_of("dev")})]


def test_a_comment_of_another_user_stays(comment: Run, github: GitHub) -> None:
    github.list_of("issues/7/comments?per_page=100", written(31, text_of("dev"), login="mallory"))
    comment({"dev.md": text_of("dev")})

    assert github.sent() == [("POST", "issues/7/comments", {"body": text_of("dev")})]


def test_a_pull_request_with_a_later_commit_gets_no_comment(comment: Run, github: GitHub) -> None:
    github.pulls(pull(7, sha="b" * 40))
    code, printed = comment({"dev.md": text_of("dev")})

    assert code == 0
    assert "nothing to post" in printed
    assert github.sent() == []


def test_a_branch_may_have_any_name(comment: Run, github: GitHub) -> None:
    github.pulls(pull(7), head="ada:a%26state%3Dall%23")
    code, printed = comment({"dev.md": text_of("dev")}, head="ada:a&state=all#")

    assert code == 0, printed
    assert len(github.sent()) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"dev.md": "no marker\n"},
        {"dev.md": text_of("prod")},
        {"a b.md": text_of("a b")},
        {"dev..md": text_of("dev.")},
        {f"{'a' * 91}.md": text_of("a" * 91)},
        {"dev.sh": text_of("dev")},
        {"dev.md": text_of("dev"), "7": "8"},
    ],
)
def test_one_invalid_file_stops_all_comments(files: Files, comment: Run, github: GitHub) -> None:
    code, printed = comment(files)

    assert code == 1, printed
    assert not github.log.exists()


def test_a_link_out_of_the_folder_is_refused(comment: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(text_of("dev"))
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "dev.md").symlink_to(secret)

    assert comment({})[0] == 1


def test_a_comment_mentions_no_user(comment: Run, github: GitHub) -> None:
    comment({"dev.md": text_of("dev", "@team/everybody, mail ada@example.com")})

    ((_, _, body),) = github.sent()
    assert "@team" not in body["body"]
    assert "@\N{ZERO WIDTH SPACE}team/everybody" in body["body"]


def test_a_comment_fits_the_limit_of_github(comment: Run, github: GitHub) -> None:
    comment({"dev.md": text_of("dev", "@a" * 60_000)})

    ((_, _, body),) = github.sent()
    assert len(body["body"]) <= 65_536


def test_no_artifact_is_nothing_to_post(github: GitHub, tmp_path: Path) -> None:
    github.install()
    missing = str(tmp_path / "none")

    assert post.main(["comments", "--folder", missing, "--head", "a:b", "--sha", SHA]) == 0
    assert not github.log.exists()


def test_an_error_of_github_is_printed(comment: Run, github: GitHub) -> None:
    github.answers.clear()
    code, printed = comment({"dev.md": text_of("dev")})

    assert code == 1
    assert "HTTP 404" in printed


def report(outcome: str, stack: str) -> Files:
    return {f"{stack}.md": f"<!-- drift: {outcome} -->\n## {stack}\n"}


def test_drift_opens_an_issue(run: Run, github: GitHub) -> None:
    code, printed = run("issue", report("found", "dev") | report("none", "prod"))

    assert code == 0, printed
    ((method, path, body),) = github.sent()
    assert (method, path, body["title"]) == ("POST", "issues", post.TITLES["drift"])
    assert body["body"].startswith(DRIFT_MARKER)
    assert "## dev" in body["body"] and "## prod" in body["body"]


def test_there_is_only_one_issue(run: Run, github: GitHub) -> None:
    github.list_of(
        "issues?state=open&per_page=100",
        written(8, f"{DRIFT_MARKER}\n", login="mallory"),
        written(9, f"{DRIFT_MARKER}\nolder"),
    )
    run("issue", report("found", "dev"))

    ((method, path, _),) = github.sent()
    assert (method, path) == ("PATCH", "issues/9")


@pytest.mark.parametrize(
    ("outcomes", "sent"),
    [
        (("none", "none"), [("PATCH", "issues/9", {"state": "closed"})]),
        (("none", "unknown"), []),
    ],
)
def test_the_issue_is_closed_only_when_no_stack_differs(
    outcomes: tuple[str, str], sent: list[Any], run: Run, github: GitHub
) -> None:
    github.list_of("issues?state=open&per_page=100", written(9, DRIFT_MARKER))
    dev, prod = outcomes
    run("issue", report(dev, "dev") | report(prod, "prod"))

    assert github.sent() == sent


def test_an_audit_has_an_issue_of_its_own(run: Run, github: GitHub) -> None:
    github.list_of("issues?state=open&per_page=100", written(9, DRIFT_MARKER))
    code, printed = run(
        "issue", {"audit.md": "<!-- audit: found -->\n| a 1 |\n"}, "--about", "audit"
    )

    assert code == 0, printed
    ((method, path, body),) = github.sent()
    assert (method, path, body["title"]) == ("POST", "issues", post.TITLES["audit"])
    assert body["body"].startswith(post.issue_marker("audit"))


def test_without_a_report_the_issue_stays(run: Run) -> None:
    code, printed = run("issue", {})

    assert code == 1
    assert "there is no report" in printed


DIGESTS = f"# Digests.\nopen-webui: {{}}\nnginx:\n  1.30.3: sha256:{'0' * 64}\n"
REF = f"git/refs/heads/{post.BRANCH}"


@pytest.fixture
def with_git(github: GitHub) -> GitHub:
    """GitHub with a tree and a commit for what is sent."""
    github.list_of(f"pulls?state=open&head=team:{post.BRANCH}")
    github.list_of(f"git/matching-refs/heads/{post.BRANCH}")
    for method, path, answer in (
        ("POST", "git/trees", {"sha": "t"}),
        ("POST", "git/commits", {"sha": "c"}),
        ("POST", "git/refs", {}),
        ("PATCH", REF, {}),
        ("POST", "pulls", {}),
        ("PATCH", "pulls/5", {}),
    ):
        github.answer(f"api --method {method} repos/team/chat/{path} --input -", answer)
    return github


def test_new_digests_become_a_pull_request(run: Run, with_git: GitHub) -> None:
    code, printed = run("digests", {"digests.yaml": DIGESTS}, "--sha", SHA)

    assert code == 0, printed
    tree, commit, ref, pull_request = [(method, path) for method, path, _ in with_git.sent()]
    assert (tree[1], commit[1]) == ("git/trees", "git/commits")
    assert (ref, pull_request) == (("POST", "git/refs"), ("POST", "pulls"))
    bodies: list[Any] = [body for _, _, body in with_git.sent()]
    assert bodies[0]["tree"][0] | {"mode": ""} == {
        "path": post.DIGESTS, "mode": "", "type": "blob", "content": DIGESTS,
    }  # fmt: skip
    assert (bodies[0]["base_tree"], bodies[1]["parents"], bodies[1]["tree"]) == (SHA, [SHA], "t")
    assert bodies[2] == {"ref": f"refs/heads/{post.BRANCH}", "sha": "c"}
    assert DIGESTS in bodies[3]["body"] and bodies[3]["base"] == "main"


def test_a_pull_request_with_digests_is_updated(run: Run, with_git: GitHub) -> None:
    with_git.list_of(f"git/matching-refs/heads/{post.BRANCH}", {"ref": "x"})
    older = {"number": 5, "body": "older"}
    with_git.list_of(f"pulls?state=open&head=team:{post.BRANCH}", older)
    run("digests", {"digests.yaml": DIGESTS}, "--sha", SHA)

    *_, (_, _, ref), (method, path, body) = with_git.sent()
    assert ref == {"sha": "c", "force": True}
    assert (method, path) == ("PATCH", "pulls/5")

    with_git.log.unlink()
    with_git.list_of(f"pulls?state=open&head=team:{post.BRANCH}", older | body)
    assert "nothing to post" in run("digests", {}, "--sha", SHA)[1]
    assert with_git.sent() == []


def test_known_digests_are_nothing_to_post(run: Run, with_git: GitHub) -> None:
    known = (post.PROJECT / post.DIGESTS).read_text()
    code, printed = run("digests", {"digests.yaml": known}, "--sha", SHA)
    assert (code, with_git.sent()) == (0, []) and "nothing to post" in printed


def test_only_digests_become_a_pull_request(run: Run, with_git: GitHub) -> None:
    code, printed = run("digests", {"digests.yaml": f"{DIGESTS}run: [evil]\n"}, "--sha", SHA)
    assert (code, with_git.sent()) == (1, []) and "'run: [evil]'" in printed
