"""Azure's rules and state in ARM's own shapes; see README.md in this folder."""
