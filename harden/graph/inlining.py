"""Local functions brought into the graph that calls them: a copy of their nodes for each call.

A tensor in a function's body serves every call; whoever wants to change one of them alone needs a copy of the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, helper

from harden.errors import UnsupportedError
from harden.graph.build import resolved
from harden.graph.labels import CALL, Address
from harden.graph.storage import called, node_label, normal_domain


@dataclass(frozen=True)
class Inliner:
    """Copies the bodies of local functions.

    Attributes:
        proto: The model that the nodes are for; a domain that only a function knows is added to its opsets.
        functions: Its local functions by key.
        labels: What each node goes by; the copies are named so.
        calls: The calls to replace; others within a function stay calls.
        fresh_name: Gives a name that nothing has, from one to begin with.
    """

    proto: ModelProto
    functions: Mapping[str, FunctionProto]
    labels: Mapping[Address, str]
    calls: Collection[Address]
    fresh_name: Callable[[str], str]

    def body(self, call: NodeProto, address: Address, label: str) -> list[NodeProto]:
        """The nodes to put in the place of a call.

        Args:
            call: The calling node.
            address: Where it stands in the file.
            label: What its values are named after.

        Raises:
            UnsupportedError: The function is written for another opset than the model.
        """
        function = called(call, self.functions)
        if function is None:
            return [call]
        self._adopt(function, label)
        names = dict(zip(function.input, call.input, strict=False))
        names.update(dict.fromkeys(function.input[len(call.input) :], ""))
        passed = []
        for result, target in zip(function.output, call.output, strict=False):
            if target and result in names:
                passed.append(helper.make_node("Identity", [names[result]], [target]))
            elif target:
                names[result] = target
        self._claim((name for node in function.node for name in node.output), names, label)
        attributes = {item.name: item for item in (*function.attribute_proto, *call.attribute)}
        return [*self._nodes(function.node, names, attributes, (*address, CALL), label), *passed]

    def _adopt(self, function: FunctionProto, label: str) -> None:
        versions = {normal_domain(item.domain): item.version for item in self.proto.opset_import}
        for item in function.opset_import:
            version = versions.get(normal_domain(item.domain))
            if version is None:
                self.proto.opset_import.add(domain=item.domain, version=item.version)
            elif version != item.version:
                raise UnsupportedError(
                    f"the local function '{function.name}' is written for opset {item.version} and the model for "
                    f"{version}, so that the weights in it cannot be replaced one by one",
                    where=label,
                    fix="Export the model with one opset, or inline its functions (onnx.inliner)",
                )

    def _claim(self, own: Iterable[str], names: dict[str, str], label: str) -> None:
        for name in own:
            if name and name not in names:
                names[name] = self.fresh_name(f"{label}/{name}")

    def _nodes(
        self,
        nodes: Iterable[NodeProto],
        names: dict[str, str],
        attributes: Mapping[str, AttributeProto],
        address: Address,
        label: str,
    ) -> list[NodeProto]:
        copies: list[NodeProto] = []
        for index, node in enumerate(nodes):
            node_address, path = (*address, index), f"{label}/{node_label(node, index)}"
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.name = self.labels.get(node_address, "")
            settled = resolved(node.attribute, attributes)
            del copy.attribute[:]
            copy.attribute.extend(settled)
            for ends in (copy.input, copy.output):
                ends[:] = [names.get(name, name) for name in ends]
            for attribute in copy.attribute:
                if attribute.type == AttributeProto.GRAPH:
                    inner = (*node_address, attribute.name)
                    self._graph(attribute.g, names, attributes, inner, f"{path}/{attribute.name}")
            copies += self.body(copy, node_address, path) if node_address in self.calls else [copy]
        return copies

    def _graph(
        self,
        graph: GraphProto,
        outer: Mapping[str, str],
        attributes: Mapping[str, AttributeProto],
        address: Address,
        label: str,
    ) -> None:
        """Rename in a nested graph, in place."""
        own = [item.name for item in (*graph.input, *graph.initializer)]
        own += [item.values.name for item in graph.sparse_initializer]
        own += [name for node in graph.node for name in node.output]
        names: dict[str, str] = {}
        self._claim(own, names, label)
        names = {**outer, **names}
        for item in (*graph.input, *graph.output, *graph.initializer):
            item.name = names.get(item.name, item.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = names[sparse.values.name]
        del graph.value_info[:]
        copies = self._nodes(graph.node, names, attributes, address, label)
        del graph.node[:]
        graph.node.extend(copies)
