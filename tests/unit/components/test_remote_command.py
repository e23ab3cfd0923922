"""Commands on the machine: their text, how they run, and how they are registered."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pulumi
import pytest
from pulumi_command.remote import ConnectionArgs

from components import remote_command
from ollamazure import manifest
from tests.unit.components.recorder import record


def target(vm: pulumi.Resource) -> remote_command.Target:
    connection = ConnectionArgs(host="127.0.0.1", user="admin", private_key="key", host_key="ssh")
    ready = pulumi.CustomResource("test:index:Ready", "machine-ready")
    return remote_command.Target(connection, pulumi.Output.from_input("vm-1"), vm, ready=[ready])


def vm() -> pulumi.Resource:
    return pulumi.CustomResource("test:index:Vm", "vm")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that stands for the machine's root, with a `sudo` that needs no rights."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (tools / "sudo").chmod(0o755)
    return tmp_path


def command(machine: Path, unless: str = "") -> str:
    """The text of a command, its lock and its memory in the folder of this machine."""
    (machine / "memory").mkdir(exist_ok=True)
    text = remote_command.command("step", unless).replace("/dev/shm", str(machine / "memory"))
    return text.replace("/run/ollamazure", str(machine / "run"))


def script(text: str, *files: tuple[remote_command.File, str], **changes: Any) -> str:
    """What goes in by standard input."""
    contents = [(file, content.encode()) for file, content in files]
    known = {"purpose": "test", "machine": "vm-1", **changes}
    return remote_command.render_script("step", text, contents, **known)


def installed(machine: Path) -> Path:
    """Where the machine records what the command of these tests did."""
    return machine / remote_command.INSTALLED.removeprefix("/") / "step"


def in_folder(machine: Path, text: str) -> str:
    """A script that keeps its record in the folder of this machine and uses the tools of guest/."""
    text = text.replace(remote_command.INSTALLED, str(installed(machine).parent))
    text = text.replace("/run/ollamazure", str(machine / "run"))
    return text.replace(
        f"{remote_command.TOOLS}/", f"{remote_command.GUEST}{remote_command.TOOLS}/"
    )


def execute(machine: Path, text: str, unless: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script as sshd does: the command as one argument of the login shell."""
    text = in_folder(machine, text)
    environment = {**os.environ, "PATH": f"{machine / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["/bin/sh", "-c", command(machine, unless)],
        input=text,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def file_at(path: Path, mode: str = "0644") -> remote_command.File:
    return remote_command.File(str(path), mode)


def test_writes_files_and_runs_the_script(machine: Path) -> None:
    configuration = machine / "etc" / "some" / "thing.conf"
    content = "line 'one' $HOME `x` \\ \"\"\n\nlast\n"
    done = execute(
        machine, script(f"cat {configuration}", (file_at(configuration, "0640"), content))
    )

    assert (done.returncode, done.stdout) == (0, content), done.stderr
    assert configuration.read_text() == content
    assert configuration.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in configuration.parent.iterdir()] == ["thing.conf"]


def test_writes_a_staged_file_beside_the_one_in_use(machine: Path) -> None:
    used = machine / "nginx.conf"
    used.write_text("old")
    staged = remote_command.File(str(used), suffix=".next")

    execute(machine, script("true", (staged, "new\n")))

    assert used.read_text() == "old"
    assert (machine / "nginx.conf.next").read_text() == "new\n"


def test_the_machine_keeps_the_manifest_of_the_last_run(machine: Path) -> None:
    tool = machine / "tool"
    execute(machine, script("true", (file_at(machine / "former"), "x\n")))
    (installed(machine) / "files").touch()  # the record of earlier versions

    text = script("true", (file_at(tool, "0755"), "x\n"))
    execute(machine, text)

    assert (installed(machine) / "manifest.json").read_text() == manifest.split(text)[0] + "\n"
    assert not (installed(machine) / "files").exists()


def test_only_the_machine_records_the_digest_of_a_secret(machine: Path) -> None:
    key = machine / "a key"
    file = remote_command.File(str(key), "0600", key="word")
    text = script("true", (file, ""), secrets=True)
    done = execute(machine, remote_command.add_secrets(text, '{"word": "xyzzy\\n"}'))

    assert done.returncode == 0, done.stderr
    sha256 = hashlib.sha256(b"xyzzy\n").hexdigest()
    record = installed(machine) / "secret-files"
    assert record.read_text() == f"{sha256}  {key}\n"
    assert record.stat().st_mode & 0o777 == 0o600
    assert sha256 not in text


@pytest.mark.parametrize("ending", ["false", "exit 3", "kill -KILL $$"])
def test_records_that_it_did_not_finish_until_it_does(machine: Path, ending: str) -> None:
    unfinished = installed(machine) / "unfinished"
    execute(machine, script("true"))
    execute(machine, script(f"test -e {unfinished} && {ending}"))
    assert unfinished.exists()

    assert execute(machine, script("true")).returncode == 0
    assert not unfinished.exists()


def test_a_script_that_put_back_what_it_changed_has_its_former_record(machine: Path) -> None:
    """If the settings are then changed back, Pulumi runs nothing, and `drift` names nothing."""
    execute(machine, script("true", (file_at(machine / "former"), "x\n")))
    before = {path: path.read_text() for path in installed(machine).iterdir()}
    for ending, restored in (("exit 75", True), ("exit 1", False), ("exit 75", False)):
        execute(machine, script(ending, (file_at(machine / "new"), "x\n")))
        now = {path: path.read_text() for path in installed(machine).iterdir()}
        assert (now == before) == restored, ending


def test_a_command_that_fails_on_a_full_disk_names_the_disk(machine: Path) -> None:
    tools = machine / "tools"
    tools.mkdir()
    (tools / "disks.py").write_text("#!/bin/sh\necho The data disk is full.\n")
    (tools / "disks.py").chmod(0o755)
    text = script("echo No space left on device >&2; false", fix="Run it again.")
    done = execute(machine, text.replace(f"{remote_command.TOOLS}/disks.py", f"{tools}/disks.py"))
    assert done.stderr.splitlines() == [
        "No space left on device",
        "The data disk is full.",
        "ollamazure: step failed (code 1). Run it again.",
    ]


def test_forgets_what_failed_the_first_time(machine: Path) -> None:
    assert execute(machine, script("false")).returncode == 1
    assert not installed(machine).exists()


def test_an_update_with_the_same_script_does_not_run(machine: Path) -> None:
    """Pulumi updates every command when the SSH key is another one."""
    ran = machine / "ran"
    once, other = script(f"echo x >>{ran}"), script(f"echo y >>{ran}")
    execute(machine, once, unless="done")  # the first run after a new machine
    again = execute(machine, once, unless="done")
    assert (again.returncode, ran.read_text()) == (0, "x\n"), again.stderr
    assert (installed(machine) / "script").stat().st_mode & 0o777 == 0o600

    execute(machine, once)  # `pulumi up --replace`
    execute(machine, other, unless="done")
    execute(machine, once, unless="done")
    assert ran.read_text() == "x\nx\ny\nx\n"


def test_an_update_runs_again_what_did_not_finish(machine: Path) -> None:
    stop, ran = machine / "stop", machine / "ran"
    text = script(f"echo x >>{ran}; test ! -e {stop}")
    execute(machine, text, unless="done")
    stop.touch()
    assert execute(machine, text).returncode == 1
    stop.unlink()
    assert execute(machine, text, unless="done").returncode == 0
    assert ran.read_text() == "x\nx\nx\n"


def test_a_file_that_is_right_keeps_its_time_and_gets_its_mode_back(machine: Path) -> None:
    """Services are started again when a file has another time than when they were started."""
    configuration = machine / "thing.conf"
    text = script("true", (file_at(configuration), "as declared\n"))
    execute(machine, text)
    os.utime(configuration, (1, 1))
    configuration.chmod(0o666)

    execute(machine, text)
    assert configuration.stat().st_mtime == 1
    assert configuration.stat().st_mode & 0o777 == 0o644

    configuration.write_text("by hand\n")
    os.utime(configuration, (1, 1))
    execute(machine, text)
    assert configuration.read_text() == "as declared\n"
    assert configuration.stat().st_mtime > 1


def test_leaves_nothing_behind_and_keeps_the_exit_code(machine: Path) -> None:
    done = execute(machine, script("exit 7", fix="Do this next."))

    assert done.returncode == 7
    assert done.stderr.splitlines()[-1] == "ollamazure: step failed (code 7). Do this next."
    assert list((machine / "memory").iterdir()) == []


def test_stops_at_the_first_error(machine: Path) -> None:
    done = execute(machine, script("false | true\necho reached"))

    assert done.returncode != 0
    assert "reached" not in done.stdout


def test_secrets_come_with_the_script(machine: Path) -> None:
    secret = "s3cret 'with' \"quotes\" $and\nlines\n"
    kept = machine / "key"
    file = remote_command.File(str(kept), "0600", key="key")
    text = script("secret other", (file, ""), secrets=True)

    done = execute(
        machine, remote_command.add_secrets(text, json.dumps({"key": secret, "other": "two"}))
    )

    assert (done.returncode, done.stdout) == (0, "two"), done.stderr
    assert kept.read_text() == secret
    assert kept.stat().st_mode & 0o777 == 0o600


def test_one_step_waits_for_the_run_before_it(machine: Path) -> None:
    """The connection of a run may break while it goes on; its successor must not overtake it."""
    begun, go_on, order = machine / "begun", machine / "go-on", machine / "order"
    os.mkfifo(begun)
    os.mkfifo(go_on)
    slow = script(f"echo > {begun}; cat {go_on}; echo first >> {order}")
    quick = script(f"echo second >> {order}")
    environment = {**os.environ, "PATH": f"{machine / 'bin'}:{os.environ['PATH']}"}

    def start(text: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command(machine)], env=environment, stdin=subprocess.PIPE
        )
        assert process.stdin
        process.stdin.write(in_folder(machine, text).encode())
        process.stdin.close()
        return process

    first = start(slow)
    begun.read_text()  # it holds the lock now
    second = start(quick)
    go_on.write_text("")

    assert (first.wait(), second.wait()) == (0, 0)
    assert order.read_text() == "first\nsecond\n"


def test_templates_need_every_value() -> None:
    with pytest.raises(jinja2.UndefinedError):
        remote_command.render_file("/etc/systemd/system/ollama.service", context_length=1)


@pytest.mark.parametrize(
    "content",
    [
        b"Twelve weeks.\n",
        b"no end of line",
        b"",
        b"\x89PNG\r\n\x1a\n\0",
        b"END_OF_FILE\n",
        b"$(reboot) `reboot`\n",
        b"line\x0b\x0c\x85 \xe2\x80\xa8 separators\n\n",
        bytes(range(256)) * 9,
    ],
)
def test_a_file_arrives_as_it_is(content: bytes, machine: Path) -> None:
    path = machine / "it's here" / "a.md"
    file = remote_command.File(str(path), content=content)
    text = remote_command.render_script(
        "step", "true", [(file, content)] * 2, purpose="test", machine="vm-1"
    )
    done = execute(machine, text)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == content
    contents, own = manifest.contents(manifest.read(text), text)
    assert (contents, own) == ({str(path): content}, "true\n")


def test_registers_a_command_that_can_be_repeated() -> None:
    def program() -> None:
        machine = vm()
        remote_command.run_on_machine(
            "step", target(machine), purpose="test", script="true", delete="undo"
        )

    step = record(program).named("step")

    assert step.type == "command:remote:Command"
    assert "triggers" not in step.inputs  # a new machine is an update
    assert manifest.read(step.inputs["stdin"]).machine == "vm-1"
    assert "environment" not in step.inputs
    assert step.inputs["addPreviousOutputInEnv"] is False
    assert step.inputs["logging"] == "stdoutAndStderr"
    folder, undo, forget = step.inputs["delete"].split(" && ")
    assert folder == "sudo install -d -m 0755 /run/ollamazure"  # gone after a restart
    assert undo == "sudo flock --close /run/ollamazure/step.lock undo"
    assert forget == "sudo rm -rf /etc/ollamazure/installed/step"
    assert step.inputs["update"] == remote_command.command("step", unless="done")
    assert step.deleted_with == "vm"
    assert step.dependencies == {"machine-ready"}
    assert step.timeouts["create"] == "1800s"


def test_another_word_runs_every_command_again() -> None:
    def program() -> None:
        for number, word in enumerate((None, "2027-01-31", "two\nlines")):
            again = dataclasses.replace(target(vm()), reapply=word)
            remote_command.run_on_machine(f"step-{number}", again, purpose="test", script="true")

    recorder = record(program)
    scripts = [recorder.named(f"step-{number}").inputs["stdin"] for number in range(3)]

    assert [manifest.read(script).reapply for script in scripts] == [
        None,
        "2027-01-31",
        "two\nlines",
    ]
    assert len({script.count("\n") for script in scripts}) == 1


def test_names_of_commands_are_words_for_the_shell(machine: Path) -> None:
    name = "user-o'neill@example.com"
    text = in_folder(
        machine, remote_command.render_script(name, "true", purpose="test", machine="vm-1")
    )
    outer = remote_command.command(name).replace("/run/ollamazure", str(machine / "run"))
    (machine / "script").write_text(text)
    done = subprocess.run(["bash", machine / "script"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert (installed(machine).parent / name / "manifest.json").exists()
    assert "/user-o'\"'\"'neill@example.com.lock" in outer


def test_registers_secrets_as_secrets() -> None:
    def program() -> None:
        remote_command.run_on_machine(
            "step", target(vm()), purpose="test", script="secret word", secrets={"word": "xyzzy"}
        )

    step = record(program).named("step")

    assert '{"word": "xyzzy"}' in step.inputs["stdin"]
    assert "stdin" in step.secrets
    assert "environment" not in step.secrets
    shown = step.inputs["environment"][manifest.VARIABLE]
    assert shown == manifest.split(step.inputs["stdin"])[0]
    assert manifest.Manifest.parse(shown).secrets
    assert "xyzzy" not in step.inputs["create"] + shown
    assert step.inputs["logging"] == "none"
    assert step.secret_outputs >= {"stdout", "stderr"}


def test_digest_follows_the_content_and_nothing_else() -> None:
    digests: list[str] = []

    def program() -> None:
        first = remote_command.run_on_machine("a", target(vm()), purpose="test", script="true")
        for script in ("true", "false"):
            other = remote_command.run_on_machine(
                f"b-{script}", target(vm()), purpose="test", script=script
            )
            remote_command.digest_of([first, other]).apply(digests.append)
        remote_command.digest_of([first, first]).apply(lambda _: None)

    record(program)
    record(program)

    assert len(set(digests)) == 2
