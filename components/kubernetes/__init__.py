"""The chat on Kubernetes: a cluster, what Azure operates beside it, and what runs in it.

Imported only for `engine: kubernetes`, because pulumi-kubernetes takes a second to import.
"""
