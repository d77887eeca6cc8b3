"""What pyproject.toml cannot say: the range coder in C, built where there is a compiler."""

import sysconfig

from setuptools import Extension, setup

# One wheel for all versions of Python from 3.11 on. Free-threaded ones have no stable ABI.
stable = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    ext_modules=[
        Extension(
            "pillow_mlic.entropy._rans",
            ["pillow_mlic/entropy/_rans.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")] if stable else [],
            py_limited_api=stable,
            optional=True,  # without it the package works as well, only slower
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable else {},
)
