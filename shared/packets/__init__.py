"""Exact sets of packets: which box of several holds a packet that no other holds?

A *packet* is a point: one value on each of several axes (an address, a port, a protocol). A *box* is
a set of packets that is a set of values on each axis, as a firewall rule is. Everything that is
asked about rules comes down to one question:

    find: is there a packet of this box that none of those boxes holds? Show one.

**The idea.** On each axis, values that no box tells apart are the same: they form an *atom*. With

    A: addresses 10-19, ports 0-99        atoms of addresses:  10-14         15-19   20-29   the rest
    B: addresses 10-14, ports 50-79       who holds them:      A B           A       C       nobody
    C: addresses 20-29, any port          atoms of ports:      0-49, 80-99   50-79   the rest
                                          who holds them:      A C           A B C   C

every atom carries a *bit set of the boxes that hold it*: one integer. Is
there a packet of A outside B and C? Choose coordinates one at a time, and keep the bit set of the
boxes that may still hold the packet, beginning with {B, C}: address 10-14 leaves {B}; port 0-49 then
leaves {}. Found: address 10, port 0. Is there one of B outside A? Address 10-14 leaves {A}, and every
port of B leaves {A}: none. No box is ever cut into pieces, and a choice is one `&` of integers.

**What makes it fast.** The atoms of an axis come from one walk along it: whatever begins or ends at a
boundary is toggled in the bit set (`^`), and stretches with the same bit set are one atom, wherever
they lie. Boxes that say the same of an axis share a *span* there, and
those that say the same of all axes but the first share a *tail*; whatever is worked out about either
serves them all. Most questions end before any search: nobody else holds the very first packet of the
box, or one other box holds all of it. In a search, a box that holds all that is left of the question
ends that branch at once, and a bit set that was met before on the same axis is not followed again.

**Not everything is known.** What a set holds may be known within bounds only: *sure* values, which it
holds in any case, and *maybe* values, which it may hold. Atoms carry a bit set for each, a *view* is
one of the two, and callers say which counts. Then "no packet was found" and "this packet" are both true
whatever is so.

`intervals` has sets of numbers; `axis` cuts a line into atoms, `background` one that named sets of
thousands of runs have cut before; `region` has the box that is asked about, and views; `space` asks.
Nothing here knows of Azure.
"""
