"""The host side: networks, disks and machines made real on this computer."""
