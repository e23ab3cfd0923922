"""The program's building blocks: one component per concern."""

from components import azure_native

azure_native.install()
