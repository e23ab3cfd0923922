"""The host side: real networks, disks and machines on this computer."""
