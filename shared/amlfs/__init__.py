"""What an AMLFS file system needs of its network: intent, catalogue, requirements, advice.

Pure: nothing here reads a clock, the environment or the network; the only files it reads are its
own, in `catalogue/`.
"""
