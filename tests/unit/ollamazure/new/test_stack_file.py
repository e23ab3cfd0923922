"""The stack file: valid for the program, without an avoidable warning, never overwritten."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from ollamazure.new import stack_file
from ollamazure.new.proposals import propose
from ollamazure.new.wishes import Wishes
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.stack import Settings
from ollamazure.settings.warnings import warnings_of
from ollamazure.sizing.plan import make_plan
from tests.tiers import first_of
from tests.unit.ollamazure.new.test_proposals import WISHES

pytestmark = pytest.mark.unit

TODAY = date(2026, 11, 30)


def texts(stack: str, **wishes: Any) -> list[str]:
    wanted = Wishes(**wishes)
    return [stack_file.render(stack, wanted, each, TODAY) for each in propose(wanted)]


@pytest.mark.parametrize("wishes", first_of(WISHES))
def test_the_program_accepts_the_file_with_no_warning_of_its_own(wishes: dict[str, Any]) -> None:
    wanted = Wishes(**wishes)
    # Those of every stack of this version, such as an image without a digest.
    unavoidable = {*warnings_of(Settings(ssh_clients=("203.0.113.7/32",)))}
    for each in propose(wanted):
        settings = stack_file.check("team", stack_file.render("team", wanted, each, TODAY))
        assert settings == each.settings.model_copy(update={"ssh_clients": settings.ssh_clients})
        plan = make_plan(settings, TODAY)
        assert {*warnings_of(settings), *plan.warnings} <= unavoidable


def test_the_address_is_written_or_its_command() -> None:
    without = texts("team", **WISHES[0])[0]
    assert "ollamazure:sshClients" not in yaml.safe_load(without)["config"]
    assert "config set --path 'ollamazure:sshClients[0]' <your address> --stack team" in without
    given = texts("team", **WISHES[0], ssh_client="203.0.113.7")[0]
    assert yaml.safe_load(given)["config"]["ollamazure:sshClients"] == ["203.0.113.7/32"]
    assert "<your address>" not in given


def test_comments_state_the_wishes_the_estimates_and_the_licences() -> None:
    text = texts("team", **WISHES[0])[0]
    assert text.startswith(
        "# A chat for 20 people, 2 at once, in French, with a search in documents"
    )
    words = " ".join(text.replace("\n# ", " ").split())
    assert "Written by `bin/ollamazure new team` on 2026-11-30." in words
    assert "Estimated: about " in words and " USD a month (pay as you go" in words
    assert "tokens/s for one person" in words
    assert "Licence of bge-m3:567m: MIT" in words
    assert max(map(len, text.splitlines())) <= 100


def test_only_one_language_for_all_is_that_of_the_interface() -> None:
    key = "ollamazure:language"
    wishes = {key: value for key, value in WISHES[0].items() if key != "languages"}
    for languages, written in ((["fr"], "fr-FR"), (["de", "fr"], None), (["en"], "en-US")):
        text = texts("team", **wishes, languages=languages)[0]
        assert yaml.safe_load(text)["config"].get(key) == written


def test_only_a_search_in_documents_lets_users_upload() -> None:
    key = "ollamazure:defaultPermissions"
    assert yaml.safe_load(texts("a", **WISHES[0])[0])["config"][key] == {
        "chat": {"file_upload": True}
    }
    assert key not in yaml.safe_load(texts("a", **WISHES[1])[0])["config"]


def test_a_text_that_the_program_would_refuse_is_refused() -> None:
    text = texts("team", **WISHES[0])[0]
    with pytest.raises(SettingsError):
        stack_file.check("team", text.replace("francecentral", "mars"))


@pytest.mark.parametrize(
    "name",
    first_of([".hidden", "-x", "a/b", "../up", "a b", "", "x.", "a" * 74, "t\n"]),
)
def test_a_name_that_no_stack_can_have(name: str) -> None:
    problem = stack_file.problem_of_name(name)
    assert problem and problem.where == "The stack's name"
    assert stack_file.problem_of_name("team-2.eu_1") is None


def test_a_file_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    file = stack_file.file_of("team", tmp_path)
    assert stack_file.problem_of_existing("team", tmp_path) is None
    stack_file.write(file, "first")
    with pytest.raises(FileExistsError):
        stack_file.write(file, "second")
    assert file.read_text() == "first"
    assert [*tmp_path.iterdir()] == [file], "no part is left"
    assert stack_file.problem_of_existing("team", tmp_path)


def test_a_link_that_leads_nowhere_exists_too(tmp_path: Path) -> None:
    file, target = stack_file.file_of("team", tmp_path), tmp_path / "elsewhere"
    file.symlink_to(target)
    assert stack_file.problem_of_existing("team", tmp_path)
    with pytest.raises(FileExistsError):
        stack_file.write(file, "text")
    assert not target.exists()


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(OSError, match="No space"):
        stack_file.write(tmp_path / "Pulumi.team.yaml", "text")
    assert not [*tmp_path.iterdir()]
