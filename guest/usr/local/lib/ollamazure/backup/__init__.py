"""Backups of the chat with restic: made, checked and restored on the machine itself."""
