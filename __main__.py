"""One private chat on Azure: settings in, components, outputs out."""

import signal

import pulumi

from components.outputs import former_outputs, refuse_changes
from ollamazure.settings.load import load

# Pulumi interrupts the program when a resource fails: it ends without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

settings = load(pulumi.Config())
former = former_outputs()
refuse_changes(former, settings)
if settings.engine == "kubernetes":
    # Imported only here: a stack with a machine needs no pulumi-kubernetes.
    from components.kubernetes.deployment import deploy
else:
    from components.deployment import deploy
for name, value in deploy(settings, former).items():
    pulumi.export(name, value)
