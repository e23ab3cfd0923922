"""Azure on this machine, for the few resource types the program uses; see docs/emulator.md."""
