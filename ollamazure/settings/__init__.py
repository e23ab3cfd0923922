"""The settings of a stack: fields, loading, checks, and the words of their problems."""
