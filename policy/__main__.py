"""The policy pack, as the engine starts it: `pulumi preview --policy-pack policy`.

Here and nowhere else is it constructed, because that serves policies until the engine ends it.
"""

from pulumi_policy import PolicyPack

from policy.policies import POLICIES

PolicyPack("ollamazure", POLICIES)
