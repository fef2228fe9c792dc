"""A detector's network in two: what bf16 may compute, and the end of the head, which has to be exact.

Rounded to bf16, which keeps eight bits of each number, a whole network loses up to two boxes in a hundred.
Half of that comes from the last few layers, where a score and the edges of a box are read off. They are a
tenth of the work, so they alone stay in fp32 (figures in ``docs/decisions.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def split_at_head(openvino: Any, model: Any) -> tuple[Any, Any] | None:
    """A network as two in a row.

    Known are heads that give an edge of a box as the mean over a Softmax (distribution focal loss, Li et al.
    2020) beside the Sigmoid of the classes: those of YOLOv8, YOLO11 and their pose networks. The second
    network holds every layer that only the classes need, and for the edges the last convolutions and what
    follows them.

    Args:
        openvino: the package.
        model: an ``openvino.Model``, which is of no use afterwards.

    Returns:
        ``openvino.Model`` from the picture to feature maps, and another from those to the outputs of the
        whole, in the order of its inputs; None for a network with another head.
    """
    nodes = model.get_ordered_ops()
    pixels = _of_pixels(nodes)
    exact = _exact_layers(nodes, pixels)
    if exact is None:
        return None

    outside = pixels - exact - {result.get_name() for result in model.get_results()}
    cut: dict[tuple[str, int], list[Any]] = {}
    for node in _before(model.get_results(), end=lambda node: node.get_name() in outside):
        if node.get_name() in outside:
            continue
        for entry in node.inputs():
            source = entry.get_source_output()
            name = source.get_node().get_name()
            if name in outside:
                cut.setdefault((name, source.get_index()), []).append(entry)
    operations = openvino.opset13
    sources = [entries[0].get_source_output() for entries in cut.values()]
    results = [operations.result(source) for source in sources]
    # A copy, since the edges that it ends with are cut next.
    body = openvino.Model(results, model.get_parameters()).clone()
    maps = []
    for source, entries in zip(sources, cut.values(), strict=True):
        maps.append(operations.parameter(source.get_partial_shape(), source.get_element_type()))
        for entry in entries:
            entry.replace_source_output(maps[-1].output(0))
    return body, openvino.Model(model.get_results(), maps)


def _exact_layers(nodes: list[Any], pixels: set[str]) -> set[str] | None:
    """Names of the layers that stay in fp32; None where the head is another one."""
    found = _scores_and_edges(nodes)
    if found is None:
        return None
    sigmoid, softmax = found
    exact = (_names_before([sigmoid]) - _names_before([softmax])) & pixels
    # The convolutions before the Softmax that no other stands behind.
    near = _before([softmax], end=_is_convolution)
    exact |= {node.get_name() for node in near if _is_convolution(node)}
    for node in nodes:
        if node.get_name() in pixels and any(parent.get_name() in exact for parent in _parents(node)):
            exact.add(node.get_name())
    return exact


def _scores_and_edges(nodes: list[Any]) -> tuple[Any, Any] | None:
    """The Sigmoid of the classes and the Softmax of the edges: what meets in one Concat."""
    for join in (node for node in nodes if node.get_type_name() == "Concat"):
        sigmoids = [parent for parent in _parents(join) if parent.get_type_name() == "Sigmoid"]
        if len(sigmoids) != 1:
            continue
        others = _names_before(parent for parent in _parents(join) if parent is not sigmoids[0])
        # A Softmax that the classes need too is one of attention.
        others -= _names_before(sigmoids)
        edges = [node for node in nodes if node.get_name() in others and node.get_type_name() == "Softmax"]
        if edges:
            return sigmoids[0], edges[-1]
    return None


def _of_pixels(nodes: list[Any]) -> set[str]:
    """Names of the layers, in order, that depend on what a picture shows, not on its size alone."""
    found: set[str] = set()
    for node in nodes:
        kind = node.get_type_name()
        if kind == "Parameter" or (
            kind != "ShapeOf" and any(parent.get_name() in found for parent in _parents(node))
        ):
            found.add(node.get_name())
    return found


def _before(nodes: Iterable[Any], end: Callable[[Any], bool] = lambda node: False) -> list[Any]:
    """These layers and those that they depend on, each once; behind an ``end`` nothing is looked at."""
    waiting, seen = list(nodes), dict[str, Any]()
    while waiting:
        node = waiting.pop()
        if node.get_name() not in seen:
            seen[node.get_name()] = node
            waiting += [] if end(node) else _parents(node)
    return list(seen.values())


def _names_before(nodes: Iterable[Any]) -> set[str]:
    return {node.get_name() for node in _before(nodes)}


def _is_convolution(node: Any) -> bool:
    return bool(node.get_type_name() == "Convolution")


def _parents(node: Any) -> list[Any]:
    return [entry.get_source_output().get_node() for entry in node.inputs()]
