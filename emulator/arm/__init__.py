"""Azure Resource Manager over HTTPS: the emulated Azure for clients that are not ours."""
