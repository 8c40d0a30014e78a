"""How kernels that only other kernels call are compiled: to LLVM's intermediate code, and no further.

numba optimises every function, turns it into machine code and registers that, although the machine code of an inner function is never run:
the one that Python calls contains it. Here an inner function stops at its intermediate code, which waits until the outermost function is
finished and is optimised once, together with everything else. That halves the time of a first compilation.

It needs four inner parts of numba. Where a version of numba lacks one, `PIPELINE` is empty and inner functions are compiled as usual.
"""

from collections.abc import Callable
from typing import Any

from numba import njit, types

try:
    from numba import _dynfunc
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import Compiler
    from numba.core.typed_passes import NativeLowering

    _IS_SUPPORTED = all(
        hasattr(JITCodeLibrary, name) for name in ("_ensure_finalized", "_get_module_for_linking", "add_linking_library", "add_ir_module")
    )
except ImportError:
    _IS_SUPPORTED = False

PIPELINE: dict[str, Any] = {}
#: Passes for what a kernel of ours never has: closures, `with`, arrays computed as a whole, constants that decide types.
NEVER_NEEDED = frozenset(
    "WithLifting InlineClosureLikes RewriteDynamicRaises MakeFunctionToJitFunction InlineInlinables FindLiterallyCalls LiteralUnroll "
    "DeadBranchPrune InlineOverloads NopythonRewrites NoPythonSupportedFeatureValidation DumpParforDiagnostics".split()
)

if _IS_SUPPORTED:
    from numba.core.compiler_machinery import register_pass

    class WaitingLibrary(JITCodeLibrary):
        """The intermediate code of one inner function, and of all it calls once somebody links it."""

        _complete_module: Any = None

        def finalize(self) -> None:
            """Nothing more is added, and nothing is optimised yet."""
            self._finalized = True

        def own_module(self) -> Any:
            """The code of this function alone."""
            return super()._get_module_for_linking()

        def _get_module_for_linking(self) -> Any:
            if self._complete_module is None:
                self._complete_module = self.own_module().clone()
                for library in self.reached():
                    other = library.own_module() if isinstance(library, WaitingLibrary) else library._get_module_for_linking()
                    self._complete_module.link_in(other, preserve=True)
            return self._complete_module

        def reached(self) -> list[Any]:
            """Every library this one needs, directly or not."""
            found: dict[Any, None] = {}
            left = list(self._linking_libraries)
            while left:
                library = left.pop()
                if library is not self and library not in found:
                    found[library] = None
                    if isinstance(library, WaitingLibrary):
                        left.extend(library._linking_libraries)
            return list(found)

    @register_pass(mutates_CFG=True, analysis_only=False)
    class WaitingLowering(NativeLowering):
        """Lowers a function and leaves its code waiting."""

        _name = "waiting_lowering"

        def run_pass(self, state: Any) -> bool:
            """As numba's own, without an executable."""
            state.library = WaitingLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
            state.flags.no_compile = True
            super().run_pass(state)
            lowered = state["cr"]
            # numba finds the implementation of a function by this object, which is never called.
            name, module = lowered.fndesc.qualname.split(".")[-1], lowered.fndesc.lookup_module()
            key = _dynfunc.make_function(module, name, "", 0, lowered.env, (state.library,))
            state.targetctx.insert_user_function(key, lowered.fndesc, [state.library])
            state["cr"] = lowered._replace(cfunc=key)
            return True

    class InnerCompiler(Compiler):
        """numba's own passes, but for the last but one."""

        def define_pipelines(self) -> Any:
            """One pipeline, with `WaitingLowering` for `NativeLowering`; for the kernel's own functions without what they do not need."""
            managers = super().define_pipelines()
            left_out = NEVER_NEEDED if self.state.func_id.modname.startswith("openbell.") else frozenset()
            for manager in managers:
                kept = [(kind, text) for kind, text in manager.passes if kind.__name__ not in left_out]
                manager.passes = [(WaitingLowering, text) if kind is NativeLowering else (kind, text) for kind, text in kept]
                manager._finalized = False
                manager.finalize()
            return managers

    PIPELINE = {"pipeline_class": InnerCompiler}


def inner(function: Callable[..., Any], **options: Any) -> Any:
    """The dispatcher of an inner function."""
    dispatcher = njit(**options, **PIPELINE)(function)
    fold = dispatcher._compiler.fold_argument_types

    def widened(args: Any, kws: Any) -> Any:
        signature, folded = fold(args, kws)
        return signature, tuple(_wide(argument) for argument in folded)

    dispatcher._compiler.fold_argument_types = widened
    return dispatcher


def _wide(argument: Any) -> Any:
    """The type an argument is passed as: every integer as 64 bits, a constant as what it is one of, so that one compilation serves all."""
    argument = types.unliteral(argument)
    if isinstance(argument, types.Integer) and argument != types.uint64:
        return types.int64
    return argument
