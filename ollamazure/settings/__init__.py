"""The settings of a stack: fields, loading, checks, and the wording of problems."""
