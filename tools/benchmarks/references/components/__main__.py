"""35 empty component resources."""

import pulumi


class Empty(pulumi.ComponentResource):
    """A component without children."""

    def __init__(self, name: str) -> None:
        super().__init__("reference:index:Empty", name)
        self.register_outputs({})


for number in range(35):
    Empty(f"empty-{number}")
