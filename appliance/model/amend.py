"""A frozen value with some fields changed, for the values that change with every record.

`dataclasses.replace` runs the constructor again and asks about each field: for a value of thirty fields that is as much
work as to write the record to the disk. This copies the fields as one dictionary, so it is for dataclasses without
slots and without `__post_init__`. The type checker takes it for `dataclasses.replace`, and knows wrong fields.
"""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dataclasses import replace as amended
else:
    T = TypeVar("T")

    def amended(value: T, /, **changes: object) -> T:
        changed = object.__new__(type(value))
        object.__setattr__(changed, "__dict__", value.__dict__ | changes)
        return changed


__all__ = ["amended"]
