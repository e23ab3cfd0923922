"""Takes the pictures of README.md with Chromium and writes them to docs/pictures/.

python -m tools.pictures            both
python -m tools.pictures chat       the chat of the deployed stack `local` (`make up`)
python -m tools.pictures comment    a recorded comment on a pull request, rendered as HTML
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from markdown_it import MarkdownIt
from playwright.sync_api import Browser, Page, sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
PICTURES = PROJECT / "docs" / "pictures"
COMMENT = PROJECT / "tests/unit/ollamazure/review/recorded/resize-in-place.md"
QUESTION = "Write a friendly greeting for a new colleague, in two sentences."
# Open WebUI's pages wait for the model, which is slow on a busy machine.
TIMEOUT_MS = 120_000
# The chat is white, and so is the page around the picture.
DRAW_BORDER = """
const border = document.createElement("div");
border.style.cssText = "position: fixed; inset: 0; z-index: 9999; border: 1px solid #d1d9e0";
document.body.append(border);
"""

# What GitHub's light theme looks like, as far as a comment needs it.
STYLE = """
body { margin: 0; padding: 16px; width: 880px; background: #fff; color: #1f2328;
       font: 14px/1.5 "Noto Sans", "Liberation Sans", Helvetica, Arial, sans-serif; }
.comment { border: 1px solid #d1d9e0; border-radius: 6px; }
.head { padding: 8px 16px; background: #f6f8fa; border-bottom: 1px solid #d1d9e0;
        border-radius: 6px 6px 0 0; color: #59636e; }
.body { padding: 16px; }
.body > :first-child { margin-top: 0; }
.body > :last-child { margin-bottom: 0; }
h3 { margin: 0 0 16px; font-size: 17px; }
p, table, pre, details { margin: 0 0 16px; }
table { border-collapse: collapse; }
th, td { padding: 6px 13px; border: 1px solid #d1d9e0; text-align: left; }
tr:nth-child(2n) td { background: #f6f8fa; }
code { padding: .2em .4em; border-radius: 6px; background: #818b981f;
       font: 85% "Noto Sans Mono", "Liberation Mono", monospace; }
pre { padding: 12px; border-radius: 6px; background: #f6f8fa; white-space: pre-wrap; }
pre code { padding: 0; background: none; }
.caption { margin: 10px 2px 0; color: #59636e; font-size: 12px; }
"""


def main() -> int:
    """Take the pictures that the command line names."""
    takers: dict[str, Callable[[Browser, Path], None]] = {
        "chat": take_chat,
        "comment": take_comment,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="*", metavar="|".join(takers))
    names = parser.parse_args().pictures or list(takers)
    if unknown := set(names) - set(takers):
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell",
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        for name in names:
            path = PICTURES / f"{name}.png"
            takers[name](browser, path)
            print(f"{path.relative_to(PROJECT)}: {path.stat().st_size // 1000} KB")
        browser.close()
    return 0


def take_chat(browser: Browser, path: Path) -> None:
    """Sign in to the stack `local`, ask one question and photograph the answer."""
    outputs = stack_outputs("local")
    page = open_page(browser, width=960, height=420)
    # Open WebUI shows this to the first visitor of a new version.
    page.add_locator_handler(page.get_by_text("Okay, Let's Go!"), lambda news: news.click())
    page.goto(outputs["url"])
    page.locator("input[type=email]").fill(outputs["adminEmail"])
    page.locator("input[type=password]").fill(outputs["adminPassword"])
    page.locator("button[type=submit]").click()
    page.locator("#chat-input").click()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    # Appears when the answer is complete.
    page.get_by_label("Good Response").wait_for()
    page.get_by_text("You're now logged in.").wait_for(state="hidden")
    page.mouse.move(0, 0)
    page.evaluate(DRAW_BORDER)
    page.screenshot(path=path)


def take_comment(browser: Browser, path: Path) -> None:
    """Photograph a recorded comment on a pull request, rendered as GitHub shows Markdown."""
    page = open_page(browser, width=912, height=400)
    page.set_content(render_comment(COMMENT.read_text(encoding="utf-8")))
    page.screenshot(path=path, full_page=True)


def stack_outputs(stack: str) -> dict[str, str]:
    """The outputs of a stack on the emulated Azure, with its secrets."""
    command = ["stack", "output", "--json", "--show-secrets", "--stack", stack]
    printed = subprocess.run(
        [PROJECT / "bin" / "pulumi-local", *command], check=True, capture_output=True, text=True
    ).stdout
    outputs: dict[str, str] = json.loads(printed)
    return outputs


def open_page(browser: Browser, *, width: int, height: int) -> Page:
    """A page in light colours with two pixels for each one, so that text stays sharp."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2,
        color_scheme="light",
        locale="en-US",
        ignore_https_errors=True,
    )
    context.set_default_timeout(TIMEOUT_MS)
    return context.new_page()


def render_comment(markdown: str) -> str:
    """A page with the comment, and a caption that says who rendered it."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    return (
        f"<!doctype html><style>{STYLE}</style>"
        '<div class="comment"><div class="head"><b>github-actions</b> commented</div>'
        f'<div class="body">{body}</div></div>'
        '<p class="caption">Rendered by tools/pictures.py from the Markdown of a recorded comment; '
        "GitHub shows it in its own style.</p>"
    )


if __name__ == "__main__":
    raise SystemExit(main())
