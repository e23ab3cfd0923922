"""The Python language host: starts programs and plugins written in Python for the engine.

A stand-in for `pulumi-language-python` with the same protocol and the same results, for machines
without the official one. It supports only the pip toolchain.
"""

# ruff: noqa: N802 -- the methods are called as the engine calls them

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

_PROGRAM = Path(__file__).with_name("program.py")
# The exit code of a program that has reported its error to the engine itself.
_ERROR_REPORTED = 32
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class OptionError(Exception):
    """The project's `runtime.options` need something that this host does not support."""


@dataclass(frozen=True)
class Toolchain:
    """The Python that a project's `runtime.options` name."""

    python: str
    virtualenv: Path | None

    @classmethod
    def of(cls, info: language_pb2.ProgramInfo) -> Toolchain:
        """The Python of this project. Raises OptionError if its options are not supported."""
        options = json_format.MessageToDict(info.options)
        if options.get("toolchain", "pip") != "pip":
            raise OptionError(
                f"Pulumi.yaml: runtime.options.toolchain is {options['toolchain']!r}; the stand-in "
                "language host supports only `pip`: remove the option or install Pulumi's own "
                "pulumi-language-python"
            )
        if "typechecker" in options:
            raise OptionError(
                "Pulumi.yaml: runtime.options.typechecker is not supported by the stand-in "
                "language host: remove it and run the type checker yourself"
            )
        if "virtualenv" not in options:
            return cls(os.environ.get("PULUMI_PYTHON_CMD", "python3"), None)
        virtualenv = Path(info.root_directory) / str(options["virtualenv"])
        return cls(str(virtualenv / "bin" / "python"), virtualenv)

    def require(self) -> Toolchain:
        """This toolchain. Raises OptionError if its virtual environment does not exist."""
        if self.virtualenv and not Path(self.python).is_file():
            raise OptionError(
                f"The 'virtualenv' option in Pulumi.yaml is set to \"{self.virtualenv}\", which is "
                "not a virtual environment: run `pulumi install`, or make it with "
                f"`python3 -m venv {self.virtualenv}` and install requirements.txt into it"
            )
        return self

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the virtual environment activated."""
        environment = dict(os.environ)
        if self.virtualenv:
            environment.pop("PYTHONHOME", None)
            environment["VIRTUAL_ENV"] = str(self.virtualenv)
            environment["PATH"] = f"{self.virtualenv / 'bin'}{os.pathsep}{environment['PATH']}"
        return environment

    def output_of(self, *arguments: str) -> str:
        """Run this Python; returns what it prints. Raises CalledProcessError."""
        return subprocess.run(
            [self.python, *arguments],
            env=self.environment,
            check=True,
            text=True,
            capture_output=True,
        ).stdout


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine; each program runs in a process of its own."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._cancelled = False

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def RuntimeOptionsPrompts(
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        return language_pb2.RuntimeOptionsResponse()

    def About(
        self, request: language_pb2.AboutRequest, context: grpc.ServicerContext
    ) -> language_pb2.AboutResponse:
        script = "import platform, sys; print(sys.executable); print(platform.python_version())"
        with _report_errors(context):
            executable, release = Toolchain.of(request.info).output_of("-c", script).splitlines()
        return language_pb2.AboutResponse(
            executable=executable, version=release, metadata={"toolchain": "Pip"}
        )

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        every = [] if request.transitiveDependencies else ["--not-required"]
        with _report_errors(context):
            listed = Toolchain.of(request.info).output_of(
                "-m", "pip", "list", "--format=json", *every
            )
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=package["name"], version=package["version"])
                for package in json.loads(listed)
            ]
        )

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        with _report_errors(context):
            found = list(_plugins(Toolchain.of(request.info).require()))
        return language_pb2.GetRequiredPackagesResponse(
            packages=[
                plugin_pb2.PackageDependency(
                    kind="resource",
                    name=plugin["name"],
                    version=f"v{plugin['version'].removeprefix('v')}",
                    server=plugin.get("server", ""),
                )
                for plugin in found
            ]
        )

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        with _report_errors(context):
            toolchain = Toolchain.of(request.info)
        requirements = Path(request.directory) / "requirements.txt"
        commands: list[list[str]] = []
        if toolchain.virtualenv and not Path(toolchain.python).is_file():
            commands.append(["python3", "-m", "venv", str(toolchain.virtualenv)])
        if requirements.is_file():
            commands.append([toolchain.python, "-m", "pip", "install", "-r", str(requirements)])
        for command in commands:
            installing = subprocess.Popen(
                command,
                cwd=request.directory,
                env=toolchain.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            with self._child(installing):
                for line in installing.stdout or ():
                    yield language_pb2.InstallDependenciesResponse(stdout=line)
                if code := installing.wait():
                    context.abort(
                        grpc.StatusCode.UNKNOWN,
                        f"`{' '.join(command)}` ended with exit code {code}",
                    )

    def Run(
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        with _report_errors(context):
            toolchain = Toolchain.of(request.info).require()
        running = subprocess.Popen(
            [toolchain.python, "-uP", str(_PROGRAM)],
            env=toolchain.environment,
            stdin=subprocess.PIPE,
        )
        with self._child(running):
            running.communicate(json.dumps(self._message(request)).encode())
        if running.returncode == _ERROR_REPORTED:
            return language_pb2.RunResponse(bail=True)
        if running.returncode and not self._cancelled:
            return language_pb2.RunResponse(
                error=f"Program exited with non-zero exit code: {running.returncode}"
            )
        return language_pb2.RunResponse()

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        with _report_errors(context):
            toolchain = Toolchain.of(request.info).require()
        program = Path(request.info.program_directory) / request.info.entry_point
        variables = dict(entry.split("=", 1) for entry in request.env)
        running = subprocess.Popen(
            [toolchain.python, "-u", str(program), *request.args],
            cwd=request.pwd,
            env=variables | {"PATH": toolchain.environment["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(running.terminate)
        with self._child(running):
            yield from _output(running)
            yield language_pb2.RunPluginResponse(exitcode=running.wait())

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self.end(signal.SIGINT)
        return empty_pb2.Empty()

    def end(self, how: signal.Signals) -> None:
        """End all running programs; their exit codes then count as a cancellation.

        The official host interrupts them when a resource has failed, so a program that does not
        handle that shows a traceback.
        """
        with self._lock:
            self._cancelled = True
            for child in self._children:
                child.send_signal(how)

    @contextlib.contextmanager
    def _child(self, child: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._lock:
            self._children.add(child)
        try:
            yield
        finally:
            with self._lock:
                self._children.discard(child)
            if child.poll() is None:
                child.kill()

    def _message(self, request: language_pb2.RunRequest) -> Mapping[str, Any]:
        program = Path(request.info.program_directory) / request.info.entry_point
        return {
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "monitor": request.monitor_address,
            "engine": self._engine,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "config": dict(request.config),
            "config_secret_keys": list(request.configSecretKeys),
            "root_directory": request.info.root_directory,
            "directory": request.pwd,
            "program": str(program),
            "args": list(request.args),
        }


def _plugins(toolchain: Toolchain) -> Iterator[Mapping[str, Any]]:
    """The plugins that the packages of the program declare."""
    paths = json.loads(
        toolchain.output_of("-c", "import json, sys; print(json.dumps(sys.path[1:]))")
    )
    for described in (file for path in paths for file in Path(path).glob("*/pulumi-plugin.json")):
        plugin = json.loads(described.read_text())
        if plugin.get("resource") and plugin.get("name") and plugin.get("version"):
            yield plugin


def _output(process: subprocess.Popen[bytes]) -> Iterator[language_pb2.RunPluginResponse]:
    """Both output streams of a process, in the order of arrival."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout or 1, selectors.EVENT_READ, "stdout")
        selector.register(process.stderr or 2, selectors.EVENT_READ, "stderr")
        while selector.get_map():
            for key, _ in selector.select():
                text = os.read(key.fd, 65536)
                if not text:
                    selector.unregister(key.fileobj)
                elif key.data == "stdout":
                    yield language_pb2.RunPluginResponse(stdout=text)
                else:
                    yield language_pb2.RunPluginResponse(stderr=text)


@contextlib.contextmanager
def _report_errors(context: grpc.ServicerContext) -> Iterator[None]:
    """Report errors to the engine by their message, without the name of a Python exception."""
    try:
        yield
    except OptionError as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", None) or ""
        context.abort(
            grpc.StatusCode.UNKNOWN, f"cannot run the program's Python: {error}\n{output}"
        )


def main(arguments: Iterable[str]) -> NoReturn:
    # The engine's address is the last argument; options of the official host come before it.
    host = LanguageHost(engine=[*arguments, ""][-2])
    server = grpc.server(ThreadPoolExecutor(16), options=_UNLIMITED)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    print(port, flush=True)
    engine = os.getppid()
    while not ended.wait(1) and os.getppid() == engine:
        pass
    host.end(signal.SIGTERM)
    # Threads may still wait for an engine that is gone; there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
