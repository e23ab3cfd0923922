"""Pulumi's wire protocol for the emulated Azure; see docs/explanation/emulator.md."""
