"""What operators do with a chat that runs."""
