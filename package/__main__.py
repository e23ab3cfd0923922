"""The components as a package: started by the engine when a program declares a `PrivateChat`."""

import sys
from pathlib import Path

# A package is started by its folder; the components it offers lie beside it.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pulumi.provider.experimental import component_provider_host  # noqa: E402

from components import team_file  # noqa: E402
from package.private_chat import PrivateChat  # noqa: E402

# The engine starts it in the folder of the program, whose files the settings name.
team_file.PROJECT = Path.cwd()

component_provider_host([PrivateChat], name="ollamazure", version="0.1.0")
