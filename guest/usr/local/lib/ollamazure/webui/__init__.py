"""Sets up the Open WebUI of this machine as the settings declare it, through its interface."""
