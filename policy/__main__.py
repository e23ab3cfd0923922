"""The policy pack, as the engine starts it: `pulumi preview --policy-pack policy`.

Only this module constructs the pack, because that serves policies until the engine ends it.
"""

from pulumi_policy import PolicyPack

from policy.policies import POLICIES

PolicyPack("ollamazure", POLICIES)
