"""Flags that follow from declared options: one for each option of :class:`~voxtrace.inference.PredictOptions`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

import typer

from voxtrace.declaration import OptionInfo
from voxtrace.inference.options import PredictOptions

PARAMETER = "options"


def with_option_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with a flag for each option in place of its parameter ``options``.

    The parameter's default, a :class:`PredictOptions`, holds the defaults of the flags.
    """
    signature = inspect.signature(command, eval_str=True)
    defaults: PredictOptions = signature.parameters[PARAMETER].default
    # options that are not flags, such as those of the method, keep the default's value
    infos = [info for info in defaults.options() if "command" in info.where]

    @functools.wraps(command)
    def with_flags(**given: Any) -> None:
        chosen = {info.name: given.pop(info.name) for info in infos}
        command(**given, **{PARAMETER: replace(defaults, **chosen)})

    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        flags = [_flag(info, getattr(defaults, info.name)) for info in infos]
        parameters += flags if name == PARAMETER else [parameter]
    # typer reads signature and annotations to make its flags
    with_flags.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del with_flags.__wrapped__  # else typer would read those of the wrapped command
    return with_flags


def _flag(info: OptionInfo, default: Any) -> inspect.Parameter:
    kind: Any = Literal[info.choices] if info.choices else info.kind
    limits: dict[str, Any] = {"min": info.low, "max": info.high} if info.kind in (int, float) else {}
    declared = typer.Option(help=info.sentence, **limits)
    annotation: Any = Annotated[kind | None if info.optional else kind, declared]
    return inspect.Parameter(info.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)
