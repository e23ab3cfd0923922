"""The policies for every stack: `pulumi preview --policy-pack policy`."""
