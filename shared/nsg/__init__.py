"""What a network security group (NSG) means: its rules, service tags and locations.

Pure: nothing here reads a clock, the environment or the network; the only files it reads are its
own, in `data/`.
"""
