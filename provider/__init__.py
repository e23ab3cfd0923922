"""The components as a package for other languages."""
