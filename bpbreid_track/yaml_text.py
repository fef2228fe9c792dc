"""YAML as it is read everywhere: plain values, and no key twice, of which the last alone would count."""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """The plain values that ``text`` states.

    Raises:
        yaml.YAMLError: malformed, or a key that stands twice in one place; says the line.

    >>> read_yaml("tracker: {lost_seconds: 2}")
    {'tracker': {'lost_seconds': 2}}
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands there twice", key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)
