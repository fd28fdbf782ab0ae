"""Guards: intents that stay enforced, or audited, while everybody else changes the network.

An event or the sweep says that something may have changed; the state is read again and restored. What
came of it is an outcome, in the guard's history and on the outcome topic.
"""
