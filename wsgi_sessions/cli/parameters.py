"""The base of the types of options, which takes a type itself from click 8.4 on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    ParameterType = click.ParamType
else:

    class ParameterType(click.ParamType):
        """A ``click.ParamType`` of something, whatever release of click there is."""

        def __class_getitem__(cls, _of: Any) -> type:
            return cls
