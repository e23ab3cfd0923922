"""The policy pack, as the engine starts it: `pulumi preview --policy-pack policy`.

Here and nowhere else is it constructed, because that serves policies until the engine ends it.
"""

import sys
from pathlib import Path

# A policy pack is started by its folder; the catalog it asks lies beside it.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pulumi_policy import PolicyPack  # noqa: E402

from policy.policies import POLICIES  # noqa: E402

PolicyPack("ollamazure", POLICIES)
