"""What a pull request would change, explained to readers who do not know Pulumi."""
