"""What every stack has to hold to: `pulumi preview --policy-pack policy`."""
