"""What operators do with a running chat: look at it, read its logs, sign in, find drift."""
