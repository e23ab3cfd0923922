"""What the maintainers and the workflows of this project run."""
