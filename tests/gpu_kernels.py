"""Whether a traced function would run on a GPU without going back to the host, told without a GPU.

TensorFlow's Linux wheel registers its GPU kernels on machines that have none, so the graph of a
concrete function can be checked node by node: an op needs a GPU kernel for its types, and a kernel
that reads an input from host memory may do so only where that input is known on the host anyway (a
constant, a shape). Without the second rule TensorFlow's int32
kernels would pass, which are registered for the GPU and compute on the host.
"""

from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import kernels, op_def_registry

# Ops without a GPU kernel of their own that cost no trip to the host.
STRUCTURAL = {
    "Placeholder": "an argument of the function",
    "NoOp": "orders other ops",
    "PartitionedCall": "calls a function, whose body is checked",
    "StatefulPartitionedCall": "calls a function, whose body is checked",
    "Identity": "hands its input on, where it is",
    "IdentityN": "hands its inputs on, where they are",
    "StopGradient": "hands its input on, where it is",
}
# Ops that have a GPU kernel and wait for it, because the size of their result depends on values.
_WAITING = {"Where", "Unique", "UniqueV2", "UniqueWithCounts", "DynamicPartition"}
# Their values are known on the host before anything runs on the device.
_HOST_SOURCES = {"Const", "Shape", "ShapeN", "Size", "Rank", "BroadcastGradientArgs"}


def host_trips(concrete_function):
    """Nodes of a traced function that would not run on a GPU, or would wait for the host there.

    Args:
        concrete_function: From `tf.function(...).get_concrete_function(...)`.

    Returns:
        list of str: one line per node, "node (op): reason"; empty when everything stays on the GPU.
    """
    graph = concrete_function.graph.as_graph_def()
    bodies = {"the function": graph.node}
    bodies.update({body.signature.name: body.node_def for body in graph.library.function})
    return [problem for nodes in bodies.values() for problem in _body_trips(nodes)]


def _body_trips(nodes):
    """The problems of one function body."""
    by_name = {node.name: node for node in nodes}
    known = {}

    def on_host(reference):
        """Whether a node's value is known on the host: it comes of constants and shapes alone, or names a variable."""
        name = reference.split(":")[0]
        node = by_name.get(name)
        if node is None or node.op == "Placeholder":
            return node is not None and _is_handle(node)
        if node.op == "ReadVariableOp":
            return False
        if name not in known:
            known[name] = False
            known[name] = node.op in _HOST_SOURCES or (
                bool(_inputs(node)) and all(map(on_host, _inputs(node)))
            )
        return known[name]

    problems = []
    for node in nodes:
        if node.op in STRUCTURAL or on_host(node.name):
            continue
        reason = _reason(node, on_host)
        if reason:
            problems.append(f"{node.name} ({node.op}): {reason}")
    return problems


def _reason(node, on_host):
    """Why a node needs the host; None when it does not."""
    if node.op in _WAITING:
        return "the size of its result is read back"
    if node.op == "FusedBatchNormGradV3" and not node.attr["is_training"].b:
        return "stops on a GPU where ops are to be deterministic, as in training they are"
    candidates = [
        kernel
        for kernel in kernels.get_registered_kernels_for_op(node.op).kernel
        if kernel.device_type in ("GPU", "DEFAULT") and _fits(kernel, node)
    ]
    if not candidates:
        types = {name: _types(value) for name, value in node.attr.items() if _types(value)}
        return f"no GPU kernel for {types}"
    arguments = _argument_of_each_input(node)
    for kernel in candidates:
        waiting = [
            reference
            for reference, argument in zip(_inputs(node), arguments)
            if argument in kernel.host_memory_arg and not on_host(reference)
        ]
        if not waiting:
            return None
    return f"waits on the host for {waiting}"


def _is_handle(node):
    """Whether an argument is the handle of a variable, which lives on the host; its value does not."""
    return node.attr["dtype"].type == types_pb2.DT_RESOURCE


def _fits(kernel, node):
    """Whether a kernel is for the types of a node."""
    return all(
        set(_types(node.attr[constraint.name])) <= set(constraint.allowed_values.list.type)
        for constraint in kernel.constraint
    )


def _types(attribute):
    """The types that an attribute holds."""
    return [attribute.type] if attribute.type else list(attribute.list.type)


def _inputs(node):
    """What a node reads, without what it merely waits for."""
    return [reference for reference in node.input if not reference.startswith("^")]


def _argument_of_each_input(node):
    """The op's name for each of the node's inputs; lists of inputs repeat theirs."""
    arguments = []
    for argument in op_def_registry.get(node.op).input_arg:
        count = 1
        if argument.number_attr:
            count = node.attr[argument.number_attr].i
        elif argument.type_list_attr:
            count = len(node.attr[argument.type_list_attr].list.type)
        arguments += [argument.name] * count
    return arguments
