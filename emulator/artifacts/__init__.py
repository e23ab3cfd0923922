"""What the emulator needs and cannot simply install: built once, kept in the user's cache.

`python -m emulator.artifacts build` makes what is missing; see README.md in this folder.
"""
