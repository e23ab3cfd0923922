"""What the emulator needs and no package manager installs: built once, kept in the cache.

`python -m emulator.artifacts build` makes what is missing; see README.md in this folder.
"""
