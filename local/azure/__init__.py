"""An Azure in memory that answers like the real one: ARM, sign-in, and controls to break things.

Its behaviour follows recordings of live traffic; where none exists, the code says "an assumption". It
imports nothing of `shared/`, which it is there to check.
"""
