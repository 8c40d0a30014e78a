"""Pairing heaps whose members are rows of one table: adding is constant, taking the least and removing any are logarithmic on average.

Fredman, Sedgewick, Sleator, Tarjan (1986), The pairing heap: a new form of self-adjusting heap, Algorithmica 1: the variant in two passes.
"""

from typing import Any

from openbell.model.alerts import NOBODY, node_at
from openbell.model.jit import kernel


@kernel
def meld(nodes: int, first: int, second: int) -> int:
    """The root of two heaps as one; either may be NOBODY."""
    if first < 0:
        return second
    if second < 0:
        return first
    if node_at(nodes, second).key < node_at(nodes, first).key:
        first, second = second, first
    parent, child = node_at(nodes, first), node_at(nodes, second)
    child.next = parent.child
    child.previous = first
    if parent.child >= 0:
        node_at(nodes, parent.child).previous = second
    parent.child = second
    return first


@kernel
def without_root(nodes: int, root: int) -> int:
    """The root of a heap after its least member is gone, NOBODY when it was the only one."""
    rest = node_at(nodes, root).child
    node_at(nodes, root).child = NOBODY
    pairs = NOBODY  # roots of pairs, the latest first
    while rest >= 0:
        first, second = rest, node_at(nodes, rest).next
        rest = NOBODY
        if second >= 0:
            rest = node_at(nodes, second).next
            separate(node_at(nodes, second))
        separate(node_at(nodes, first))
        pair = meld(nodes, first, second)
        node_at(nodes, pair).next = pairs
        pairs = pair
    result = NOBODY
    while pairs >= 0:
        node = node_at(nodes, pairs)
        after = node.next
        node.next = NOBODY
        result = meld(nodes, result, pairs)
        pairs = after
    return result


@kernel
def without(nodes: int, root: int, index: int) -> int:
    """The root of a heap after any one member is gone."""
    if index == root:
        return without_root(nodes, root)
    node = node_at(nodes, index)
    before = node_at(nodes, node.previous)
    if before.child == index:
        before.child = node.next
    else:
        before.next = node.next
    if node.next >= 0:
        node_at(nodes, node.next).previous = node.previous
    separate(node)
    return meld(nodes, root, without_root(nodes, index))


@kernel
def separate(node: Any) -> None:
    """It is a root."""
    node.next = NOBODY
    node.previous = NOBODY
