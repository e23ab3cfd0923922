"""An emulated Azure on this machine, for the resource types that the program uses.

See docs/explanation/emulator.md.
"""
