"""Stand-ins for official plugins of Pulumi, for machines that cannot download them."""
