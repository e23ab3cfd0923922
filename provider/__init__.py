"""The component package for other languages."""
