"""Plain English: no file contains a word from the list below."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# What to write instead. Parts of names count as well: `said_by_git` holds `said`.
INSTEAD = {
    "anew": "again",
    "begin with": "start with, default to",
    "begins with": "starts with, defaults to",
    "besides": "in addition to, also",
    "in vain": "without success",
    "lie in": "be in",
    "lies in": "is in",
    "mend": "fix",
    "mended": "fixed",
    "mends": "fixes",
    "nobody": "no user, no one",
    "said": "reported, printed, stated",
    "shall": "must, will",
    "somebody": "a user, someone",
    "take away": "remove",
    "taken away": "removed",
    "takes away": "removes",
    "told": "reported, printed, stated",
    "way out": "fix",
    "whoever": "anyone who",
}
WORDS = re.compile(
    rf"(?<![A-Za-z])({'|'.join(word.replace(' ', '[ _]') for word in INSTEAD)})(?![A-Za-z])", re.I
)
# Texts that are not ours, and this list itself.
NOT_OURS = ("LICENSE", "tests/unit/test_words.py")
EXCEPT = {
    # Debian's account, in the list of names that an administrator cannot have.
    ("ollamazure/settings/types.py", "nobody"),
    # Azure's own message.
    ("emulator/azure/names.py", "begin with"),
}


def test_plain_words() -> None:
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    found = [
        f"{name}:{number}: {match[0]}: write {INSTEAD[match[0].lower().replace('_', ' ')]}"
        for name in names
        if (PROJECT / name).is_file() and name not in NOT_OURS
        if not name.endswith((".png", ".xz"))
        for number, line in enumerate((PROJECT / name).read_text("utf-8").splitlines(), 1)
        for match in WORDS.finditer(line)
        if (name, match[0]) not in EXCEPT
    ]
    assert not found, f"{len(found)} words:\n" + "\n".join(found)
