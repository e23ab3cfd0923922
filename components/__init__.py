"""The program's building blocks: settings, sizing, and one component per concern."""
