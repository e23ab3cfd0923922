"""Answers Pulumi's wire protocol where the official plugins cannot be had; see docs/emulator.md."""
