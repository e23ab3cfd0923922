"""The component package; Pulumi's engine starts it for a program that declares a `PrivateChat`."""

from pathlib import Path

from pulumi.provider.experimental import component_provider_host

from ollamazure.settings import team_file
from provider.private_chat import PrivateChat

# The engine starts the package in the folder of the program, and the settings name files there.
team_file.PROJECT = Path.cwd()

component_provider_host([PrivateChat], name="ollamazure", version="0.1.0")
