"""The components as a package: started by the engine when a program declares a `PrivateChat`."""

from pathlib import Path

from pulumi.provider.experimental import component_provider_host

from ollamazure.settings import team_file
from provider.private_chat import PrivateChat

# The engine starts it in the folder of the program, whose files the settings name.
team_file.PROJECT = Path.cwd()

component_provider_host([PrivateChat], name="ollamazure", version="0.1.0")
