"""Reads what Pulumi's preview prints, as JSON and as text."""
