"""The Python behind the program: settings, catalog, sizing, and the commands of operators.

It knows nothing of Pulumi's resources; those are in components/.
"""
