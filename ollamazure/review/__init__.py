"""What a pull request would change, told to somebody who does not know Pulumi."""
