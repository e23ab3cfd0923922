"""The stand-ins for Pulumi's plugins with the real engine and a real OpenSSH server."""

from __future__ import annotations

import ipaddress
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_public_key
from cryptography.x509.oid import NameOID

from emulator.instance import Instance
from tests.engine.pulumi_project import Project, processes_in
from tests.engine.sshd import HOST, Sshd

pytestmark = pytest.mark.engine

# The first lines of the project's program. Without them an interrupted program shows a traceback,
# as far as there is time for it.
QUIET = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
"""


def project(folder: Path, instance: Instance, program: str) -> Project:
    (folder / "project").mkdir()
    return Project(folder / "project", instance, program)


def remote(sshd: Sshd, opts: str = "None", **inputs: Any) -> str:
    """A program with one remote command, `it`."""
    connection = sshd.connection | inputs.pop("connection", {})
    return f"""
import pulumi
from pulumi_command import remote
it = remote.Command(
    "it",
    connection=remote.ConnectionArgs(**{connection!r}),
    opts={opts},
    **{inputs!r},
)
pulumi.export("stdout", it.stdout)
pulumi.export("stderr", it.stderr)
"""


# The language host


def test_a_program_runs_in_its_folder_with_its_settings(tmp_path: Path, instance: Instance) -> None:
    tested = project(
        tmp_path,
        instance,
        """
import os, sys
from pathlib import Path
import pulumi
import beside
config = pulumi.Config()
print("printed by the program")
print("printed as an error", file=sys.stderr)
pulumi.export("folder", os.getcwd())
pulumi.export("file", __file__)
pulumi.export("beside", beside.VALUE)
pulumi.export("plain", config.require("plain"))
pulumi.export("hidden", config.require_secret("hidden"))
pulumi.export("stack", pulumi.get_stack())
pulumi.export("process", Path("/proc/self/cmdline").read_text() + str(dict(os.environ)))
""",
    )
    (tested.folder / "beside.py").write_text("VALUE = 'imported'\n")
    tested.run("config", "set", "plain", "seen").ok()
    tested.run("config", "set", "--secret", "hidden", "a-hidden-setting").ok()

    shown = tested.run("preview").ok().text
    assert "printed by the program" in shown
    assert "printed as an error" in shown
    assert "a-hidden-setting" not in shown + tested.up().ok().text

    outputs = tested.outputs()
    assert outputs["folder"] == str(tested.folder)
    assert outputs["file"] == str(tested.folder / "__main__.py")
    assert (outputs["beside"], outputs["plain"], outputs["stack"]) == ("imported", "seen", "dev")
    assert outputs["hidden"] == "a-hidden-setting"
    assert "a-hidden-setting" not in outputs["process"]
    assert "a-hidden-setting" not in tested.stored()
    assert "1 unchanged" in tested.run("preview").ok().text
    tested.run("destroy", "--yes", "--skip-preview").ok()
    assert not tested.resources()


@pytest.mark.parametrize(
    ("program", "expected", "absent"),
    [
        (
            "import pulumi\nraise pulumi.RunError('set the thing')",
            ["error: set the thing", "Program exited with non-zero exit code: 1"],
            ["Traceback"],
        ),
        (
            "def broken():\n    return 1 / 0\nbroken()",
            ["Program failed with an unhandled exception:", "__main__.py", "ZeroDivisionError"],
            ["program.py", "exited with non-zero"],
        ),
        (
            "import sys\nsys.exit(7)",
            ["Program exited with non-zero exit code: 7"],
            ["Traceback"],
        ),
        (
            "import pulumi\npulumi.Config().require('absent')",
            ["Missing required configuration variable 'test:absent'"],
            ["Traceback"],
        ),
        (
            "import pulumi\npulumi.Output.from_input(1).apply(lambda one: one / 0)",
            ["Program failed with an unhandled exception:", "ZeroDivisionError"],
            ["exited with non-zero"],
        ),
    ],
    ids=["run-error", "exception", "exit", "missing-setting", "exception-in-apply"],
)
def test_how_a_program_fails(
    tmp_path: Path, instance: Instance, program: str, expected: list[str], absent: list[str]
) -> None:
    shown = project(tmp_path, instance, program).run("preview").failed().text
    assert all(text in shown for text in expected), shown
    assert not any(text in shown for text in absent), shown


@pytest.mark.long
def test_a_missing_program_and_a_missing_environment(tmp_path: Path, instance: Instance) -> None:
    tested = project(tmp_path, instance, "")
    (tested.folder / "__main__.py").unlink()
    assert "unable to find main python program" in tested.run("preview").failed().text
    manifest = tested.folder / "Pulumi.yaml"
    manifest.write_text(manifest.read_text().replace("virtualenv: ", "virtualenv: absent"))
    shown = tested.run("preview").failed().text
    assert "which is not a virtual environment: run `pulumi install`" in shown


@pytest.mark.long
def test_dependencies_are_installed_into_a_new_environment(
    tmp_path: Path, instance: Instance
) -> None:
    tested = project(tmp_path, instance, "")
    (tested.folder / "Pulumi.yaml").write_text(
        "name: test\nruntime:\n  name: python\n  options:\n    virtualenv: fresh\n"
    )
    package = tested.folder / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text('[project]\nname = "nothing"\nversion = "1"\n')
    (tested.folder / "requirements.txt").write_text("")
    tested.run("install").ok()
    assert (tested.folder / "fresh" / "bin" / "python").exists()
    assert "fresh/bin/python" in tested.run("about").ok().text


def test_ctrl_c_ends_a_program_that_waits(tmp_path: Path, instance: Instance) -> None:
    program = """
import time
print("it waits", flush=True)
time.sleep(600)
"""
    tested = project(tmp_path, instance, QUIET + program)
    running = subprocess.Popen(
        tested.command("preview"),
        cwd=tested.folder,
        env=tested.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout
    shown = ""
    while "it waits" not in shown:
        shown += running.stdout.readline()
    running.send_signal(signal.SIGINT)
    shown += running.stdout.read()
    assert running.wait() != 0
    assert "Traceback" not in shown
    assert not processes_in(tested.folder)


def test_a_program_ends_quietly_when_a_resource_fails(tmp_path: Path, instance: Instance) -> None:
    """The engine interrupts it."""
    program = """
import pulumi
from pulumi_command import local
failing = local.Command("it", create="echo why; exit 3")
local.Command("next", create="true", opts=pulumi.ResourceOptions(depends_on=failing))
"""
    shown = project(tmp_path, instance, QUIET + program).up().failed().text
    assert 'exit status 3: running "echo why; exit 3":' in shown
    assert "Traceback" not in shown


@pytest.mark.long
def test_a_killed_engine_leaves_no_process(tmp_path: Path, instance: Instance) -> None:
    program = """
from pulumi_command import local
local.Command("it", create="touch begun; exec sleep 600")
"""
    tested = project(tmp_path, instance, program)
    running = subprocess.Popen(
        [*tested.command("up"), "--yes", "--skip-preview"],
        cwd=tested.folder,
        env=tested.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (tested.folder / "begun").exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()
    running.wait()
    while processes_in(tested.folder):
        time.sleep(0.05)


@pytest.mark.long
def test_a_component_package_runs(tmp_path: Path, instance: Instance) -> None:
    program = """
import pulumi
class Pair(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("pairs:index:Pair", "it", {"length": 5, "one": None}, remote=True)
pulumi.export("one", Pair().one)
"""
    tested = project(tmp_path, instance, program)
    manifest = tested.folder / "Pulumi.yaml"
    plugins = "plugins:\n  providers:\n    - name: pairs\n      path: ./pairs\n"
    runtime = manifest.read_text()
    manifest.write_text(runtime + plugins)
    package = tested.folder / "pairs"
    package.mkdir()
    (package / "PulumiPlugin.yaml").write_text(runtime.replace("name: test\n", ""))
    (package / "__main__.py").write_text("""
from typing import TypedDict
import pulumi
import pulumi_random as random
from pulumi.provider.experimental import component_provider_host
class PairArgs(TypedDict):
    length: pulumi.Input[int]
class Pair(pulumi.ComponentResource):
    one: pulumi.Output[str]
    def __init__(self, name: str, args: PairArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("pairs:index:Pair", name, {}, opts)
        made = random.RandomString(
            f"{name}-one", length=args["length"], opts=pulumi.ResourceOptions(parent=self)
        )
        self.one = made.result
        self.register_outputs({"one": self.one})
component_provider_host(name="pairs", components=[Pair])
""")
    tested.up().ok()
    assert len(tested.outputs()["one"]) == 5
    assert "it-one" in tested.resources()


# tls and random


_CERTIFICATE = """
import pulumi
import pulumi_tls as tls
key = tls.PrivateKey("key", algorithm="RSA", rsa_bits=2048)
host = tls.PrivateKey("host", algorithm="ED25519")
curve = tls.PrivateKey("curve", algorithm="ECDSA", ecdsa_curve="P256")
certificate = tls.SelfSignedCert(
    "certificate",
    private_key_pem=key.private_key_pem,
    allowed_uses=["digital_signature", "key_encipherment", "server_auth"],
    validity_period_hours=HOURS,
    early_renewal_hours=EARLY,
    set_subject_key_id=True,
    subject=tls.SelfSignedCertSubjectArgs(
        common_name="chat.example.org", country="FR", province="France", locality="Paris",
        organization="Company",
    ),
    dns_names=["chat.example.org"],
    ip_addresses=["127.20.0.4"],
)
pulumi.export("certificate", certificate.cert_pem)
pulumi.export("start", certificate.validity_start_time)
pulumi.export("end", certificate.validity_end_time)
pulumi.export("key", key.private_key_pem)
pulumi.export("host", host.private_key_openssh)
pulumi.export("hostPublic", host.public_key_openssh)
"""


@pytest.mark.long
def test_keys_and_a_certificate(tmp_path: Path, instance: Instance) -> None:
    hours = 365 * 24
    first = _CERTIFICATE.replace("HOURS", str(hours)).replace("EARLY", "0")
    tested = project(tmp_path, instance, first)
    assert "5 to create" in tested.run("preview").ok().text.replace("+ ", "")
    shown = tested.up().ok().text
    outputs = tested.outputs()

    certificate = x509.load_pem_x509_certificate(outputs["certificate"].encode())
    key = load_pem_private_key(outputs["key"].encode(), None)
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(certificate)
    assert [(a.oid, a.value) for a in certificate.subject] == [
        (NameOID.COUNTRY_NAME, "FR"),
        (NameOID.ORGANIZATION_NAME, "Company"),
        (NameOID.LOCALITY_NAME, "Paris"),
        (NameOID.STATE_OR_PROVINCE_NAME, "France"),
        (NameOID.COMMON_NAME, "chat.example.org"),
    ]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["chat.example.org"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.20.0.4")]
    length = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert length == timedelta(hours=hours)
    assert outputs["end"] == certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    load_ssh_public_key(outputs["hostPublic"].encode())

    for secret in (outputs["key"], outputs["host"]):
        line = secret.splitlines()[1]
        assert line not in shown
        assert line not in tested.stored()

    # Nothing is renewed by itself. Another early renewal replaces nothing; another period does.
    tested.write(_CERTIFICATE.replace("HOURS", str(hours)).replace("EARLY", str(hours)))
    assert "1 updated" in tested.up().ok().text
    assert tested.outputs()["certificate"] == outputs["certificate"]
    assert "unchanged" in tested.run("preview", "--expect-no-changes").ok().text
    tested.write(_CERTIFICATE.replace("HOURS", str(hours + 1)).replace("EARLY", str(hours)))
    assert "1 replaced" in tested.up().ok().text
    assert tested.outputs()["certificate"] != outputs["certificate"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("tls.PrivateKey('it', algorithm='DSA')", "'DSA' is not one of RSA, ECDSA, ED25519"),
        (
            "tls.SelfSignedCert('it', private_key_pem='nonsense', validity_period_hours=1, "
            "allowed_uses=['server_auth'])",
            "privateKeyPem: not an unencrypted private key in PEM",
        ),
        (
            "tls.SelfSignedCert('it', private_key_pem='x', validity_period_hours=1, "
            "allowed_uses=['serve'])",
            "'serve' is not a key usage that is known",
        ),
        (
            "tls.CertRequest('it', private_key_pem='x')",
            "privateKeyPem: not an unencrypted private key in PEM",
        ),
        ("random.RandomPassword('it', length=2, min_upper=3)", "2 is less than 3"),
        ("random.RandomPet('it')", "is not a resource type of this stand-in"),
    ],
)
def test_what_tls_and_random_refuse(
    tmp_path: Path, instance: Instance, program: str, expected: str
) -> None:
    imports = "import pulumi_tls as tls\nimport pulumi_random as random\n"
    assert expected in project(tmp_path, instance, imports + program).up().failed().text


@pytest.mark.long
def test_a_password_stays_until_a_keeper_changes(tmp_path: Path, instance: Instance) -> None:
    program = """
import pulumi
import pulumi_random as random
password = random.RandomPassword("it", length=24, special=False, keepers={"a": KEEPER})
pulumi.export("password", password.result)
pulumi.export("hash", password.bcrypt_hash)
"""
    tested = project(tmp_path, instance, program.replace("KEEPER", "'1'"))
    shown = tested.up().ok().text
    first = tested.outputs()["password"]
    assert len(first) == 24
    assert first.isalnum()
    assert first not in shown
    assert first not in tested.stored()
    assert tested.outputs()["hash"] not in tested.stored()
    tested.up().ok()
    assert tested.outputs()["password"] == first
    tested.write(program.replace("KEEPER", "'2'"))
    assert "1 replaced" in tested.up().ok().text
    assert tested.outputs()["password"] != first


# command


def test_a_remote_command_from_create_to_delete(
    tmp_path: Path, instance: Instance, sshd: Sshd
) -> None:
    log = tmp_path / "log"
    inputs: dict[str, Any] = {
        "create": f"echo created; echo created >>{log}",
        "delete": f"echo deleted by 1 >>{log}",
        "triggers": ["machine 1"],
        "add_previous_output_in_env": False,
    }
    tested = project(tmp_path, instance, remote(sshd, **inputs))
    assert not log.exists()
    tested.run("preview").ok()
    assert not log.exists()
    assert "created" in tested.up().ok().text
    assert tested.outputs()["stdout"] == "created"
    assert log.read_text() == "created\n"
    tested.run("preview", "--expect-no-changes").ok()
    tested.run("refresh", "--yes", "--skip-preview").ok()
    tested.run("preview", "--expect-no-changes").ok()

    # Any other change is an update, which runs `update`, or `create` again if there is none.
    inputs |= {"create": f"echo again; echo again >>{log}", "stdin": "something"}
    tested.write(remote(sshd, **inputs))
    shown = tested.run("preview", "--diff").ok().text
    assert "~ create: " in shown
    # As with the official plugin, the preview of an update knows only the former output.
    assert "[unknown]" not in shown
    assert "1 updated" in tested.up().ok().text
    assert tested.outputs()["stdout"] == "again"
    inputs |= {"update": f"echo updated >>{log}"}
    tested.write(remote(sshd, **inputs))
    assert "1 updated" in tested.up().ok().text
    assert log.read_text() == "created\nagain\nupdated\n"

    # Triggers replace: first the new `create`, then the `delete` in the state.
    inputs |= {"triggers": ["machine 2"], "delete": f"echo deleted by 2 >>{log}"}
    tested.write(remote(sshd, **inputs))
    assert "1 to replace" in tested.run("preview").ok().text.replace("+-", "")
    assert "1 replaced" in tested.up().ok().text
    assert log.read_text() == "created\nagain\nupdated\nagain\ndeleted by 1\n"
    tested.run("destroy", "--yes", "--skip-preview").ok()
    assert log.read_text().endswith("again\ndeleted by 1\ndeleted by 2\n")


@pytest.mark.long
def test_a_failing_remote_command_is_shown_with_its_output(
    tmp_path: Path, instance: Instance, sshd: Sshd
) -> None:
    tested = project(
        tmp_path, instance, remote(sshd, create='echo "one"; echo two >&2; exit 3', logging="none")
    )
    shown = tested.up().failed().text
    assert (
        'error: Process exited with status 3: running "echo \\"one\\"; echo two >&2; exit 3":'
        in shown
    )
    assert "one" in shown
    assert "two" in shown
    assert "it" not in tested.resources()


def test_secrets_of_a_remote_command(tmp_path: Path, instance: Instance, sshd: Sshd) -> None:
    program = remote(
        sshd,
        opts="pulumi.ResourceOptions(additional_secret_outputs=['stdout'])",
        create="cat",
        logging="none",
    ).replace("**{'create'", "stdin=pulumi.Output.secret('a-secret-' + 'given'), **{'create'")
    tested = project(tmp_path, instance, program)
    shown = tested.run("preview", "--diff").ok().text + tested.up().ok().text
    assert tested.outputs()["stdout"] == "a-secret-given"
    key = sshd.private_key.splitlines()[2]
    for secret in ("a-secret-given", key):
        assert secret not in shown
        assert secret not in tested.stored()
    assert "ciphertext" in str(tested.resources()["it"]["inputs"]["connection"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("logging", "seen"),
    [(None, {"to-out", "to-err"}), ("none", set()), ("stdout", {"to-out"}), ("stderr", {"to-err"})],
)
def test_logging(
    tmp_path: Path, instance: Instance, sshd: Sshd, logging: str | None, seen: set[str]
) -> None:
    # The machine builds the words, so that the command itself does not contain them.
    create = "w=to; echo $w-out; echo $w-err >&2"
    tested = project(
        tmp_path,
        instance,
        remote(sshd, create=create, logging=logging).split("pulumi.export")[0],
    )
    shown = tested.up().ok().text
    assert {word for word in ("to-out", "to-err") if word in shown} == seen


def test_a_host_key_that_is_not_the_pinned_one_is_refused(
    tmp_path: Path, instance: Instance, sshd: Sshd
) -> None:
    other = (tmp_path / "sshd" / "client.pub").read_text()
    touched = tmp_path / "touched"
    program = remote(
        sshd, create=f"touch {touched}", connection={"host_key": other, "dial_error_limit": 1}
    )
    shown = project(tmp_path, instance, program).up().failed().text
    assert "after 1 failed attempts: ssh: handshake failed: ssh: host key mismatch" in shown
    assert not touched.exists()


@pytest.mark.long
def test_dials_go_on_until_the_machine_answers(
    tmp_path: Path, instance: Instance, sshd: Sshd
) -> None:
    sshd.stop()
    tested = project(
        tmp_path,
        instance,
        remote(sshd, create="echo there", connection={"dial_error_limit": -1}),
    )
    running = subprocess.Popen(
        [*tested.command("up"), "--yes", "--skip-preview"],
        cwd=tested.folder,
        env=tested.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout
    shown = ""
    while "Dial 3/inf failed: retrying" not in shown:
        shown += running.stdout.readline()
    sshd.start()
    shown += running.stdout.read()
    assert running.wait() == 0, shown
    assert tested.outputs()["stdout"] == "there"


@pytest.mark.long
def test_a_machine_that_never_answers(tmp_path: Path, instance: Instance, sshd: Sshd) -> None:
    sshd.stop()
    program = remote(
        sshd,
        opts="pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create='1s'))",
        create="true",
        connection={"dial_error_limit": -1},
    )
    tested = project(tmp_path, instance, program)
    assert "did not end within its timeout of 1 s" in tested.up().failed().text
    tested.write(remote(sshd, create="true", connection={"dial_error_limit": 2}))
    shown = tested.up().failed().text
    assert f"after 2 failed attempts: dial tcp {HOST}:{sshd.port}: connect: connection" in shown


@pytest.mark.long
def test_a_connection_lost_while_a_command_runs(
    tmp_path: Path, instance: Instance, sshd: Sshd
) -> None:
    running = tmp_path / "running"
    tested = project(
        tmp_path, instance, remote(sshd, create=f"echo begun; touch {running}; sleep 600")
    )
    up = subprocess.Popen(
        [*tested.command("up"), "--yes", "--skip-preview"],
        cwd=tested.folder,
        env=tested.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not running.exists():
        assert up.poll() is None
        time.sleep(0.01)
    sshd.drop_sessions()
    shown, _ = up.communicate()
    assert up.returncode != 0
    assert f"the connection to {HOST} was lost" in shown
    assert "Run the update again once the machine answers" in shown


def test_ctrl_c_ends_the_waiting_for_a_remote_command(
    tmp_path: Path, instance: Instance, sshd: Sshd
) -> None:
    running = tmp_path / "running"
    tested = project(tmp_path, instance, remote(sshd, create=f"touch {running}; sleep 600"))
    up = subprocess.Popen(
        [*tested.command("up"), "--yes", "--skip-preview"],
        cwd=tested.folder,
        env=tested.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not running.exists():
        assert up.poll() is None
        time.sleep(0.01)
    up.send_signal(signal.SIGINT)
    shown, _ = up.communicate()
    assert up.returncode != 0
    assert "no longer waited for: the update was cancelled" in shown
    assert not processes_in(tested.folder)


@pytest.mark.long
def test_environment_needs_the_servers_leave(
    tmp_path: Path, instance: Instance, sshd: Sshd
) -> None:
    tested = project(
        tmp_path, instance, remote(sshd, create="echo $GIVEN_A", environment={"GIVEN_A": "a b"})
    )
    tested.up().ok()
    assert tested.outputs()["stdout"] == "a b"
    # The former output is sent as well; if the server refuses it, that is only a warning.
    tested.write(remote(sshd, create="echo $GIVEN_A again", environment={"GIVEN_A": "a b"}))
    assert "Unable to set 'PULUMI_COMMAND_STDOUT'" in tested.up().ok().text
    tested.write(remote(sshd, create="true", environment={"REFUSED": "1"}))
    shown = tested.up().failed().text
    assert 'could not set environment variable "REFUSED"' in shown
    assert "AcceptEnv" in shown


@pytest.mark.long
def test_an_agent_that_is_gone(tmp_path: Path, instance: Instance, sshd: Sshd) -> None:
    tested = project(tmp_path, instance, remote(sshd, create="true"))
    shown = tested.up(SSH_AUTH_SOCK="/nowhere/agent").failed().text
    assert "dial unix /nowhere/agent: connect: no such file or directory" in shown


@pytest.mark.long
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("{'connection': {'host': 'h', 'hostkey': 'x'}}", "unexpected argument 'hostkey'"),
        ("{'connection': {'user': 'u'}}", "missing required property 'host'"),
        ("{'connection': {'host': 'h'}, 'creat': 'x'}", "unexpected argument 'creat'"),
        ("{'connection': {'host': 'h'}, 'logging': 'all'}", "logging"),
        ("{'connection': {'host': 'h', 'port': 'ssh'}}", "a number is expected, not a string"),
    ],
)
def test_what_a_remote_command_refuses(
    tmp_path: Path, instance: Instance, call: str, expected: str
) -> None:
    program = f"""
import pulumi
class Raw(pulumi.CustomResource):
    def __init__(self, name, props):
        opts = pulumi.ResourceOptions(version="1.2.1")
        super().__init__("command:remote:Command", name, props, opts)
Raw("it", {call})
"""
    assert expected in project(tmp_path, instance, program).run("preview").failed().text


@pytest.mark.long
def test_a_local_command_with_a_secret_on_its_standard_input(
    tmp_path: Path, instance: Instance
) -> None:
    program = """
import pulumi
from pulumi_command import local
it = local.Command(
    "it",
    create="import os, sys; print(os.getcwd(), os.environ['GIVEN'], len(sys.stdin.read()))",
    delete="print('the end', file=open('deleted', 'w'))",
    interpreter=["/usr/bin/env", "python3", "-c"],
    dir=DIR,
    environment={"GIVEN": "given"},
    stdin=pulumi.Output.secret("a-secret-given"),
)
pulumi.export("stdout", it.stdout)
bad = local.Command("bad", create="echo shown; exit 4", opts=pulumi.ResourceOptions(depends_on=it))
""".replace("DIR", repr(str(tmp_path)))
    tested = project(tmp_path, instance, program)
    shown = tested.up().failed().text
    assert 'error: exit status 4: running "echo shown; exit 4":' in shown
    tested.write(program.replace("exit 4", "exit 0"))
    shown += tested.up().ok().text
    assert tested.outputs()["stdout"] == f"{tmp_path} given 14"
    assert "a-secret-given" not in shown + tested.stored()
    tested.run("destroy", "--yes", "--skip-preview").ok()
    assert (tmp_path / "deleted").read_text() == "the end\n"
