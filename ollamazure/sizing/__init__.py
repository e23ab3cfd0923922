"""What a model needs, which size has room for it, how fast it is and what it costs: pure functions.

`plan.make_plan` puts all of it together.
"""
