from golfreg.api import Kernel, Op, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_ops():
    yield Op(name="cube", summary="x^3", target="golfreg_kernels.cube:op")


@hookimpl
def golfreg_kernels():
    for name in ("reference", "wrong", "crashes"):
        yield Kernel(name=name, op="cube", summary="x^3", target=f"golfreg_kernels.cube:{name}")
