"""Python blocks of one page, run as the cells of a notebook: one after the other, with `await`, in one namespace."""

import ast
import inspect
from types import CodeType

from tests.docs.pages import Block


class Notebook:
    """The namespace that the cells of one page share."""

    def __init__(self) -> None:
        self._names: dict[str, object] = {"__name__": "__main__"}

    async def run(self, block: Block, code: str) -> None:
        """Run one cell inside the running event loop; errors are raised with the page's file and line."""
        compiled = compile(
            "\n" * (block.line - 1) + code, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        assert isinstance(compiled, CodeType)
        result = eval(compiled, self._names)  # noqa: S307 - it is our own documentation
        if inspect.isawaitable(result):
            await result
