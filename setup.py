"""Ship the configs and the bundled weights inside the package; everything else is in setup.cfg.

In a clone they keep their places, `projects/ACNet/configs` and `weights`. Installed they are
`acnet/configs` and `acnet/weights`, which a wheel, an sdist and `pip install --target` all keep.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["acnet", "acnet.*"]), "acnet.configs", "acnet.weights"],
    package_dir={"acnet.configs": "projects/ACNet/configs", "acnet.weights": "weights"},
    package_data={
        "acnet.configs": ["**/*.py", "*.csv"],
        "acnet.weights": ["*.safetensors", "*.onnx"],
        "": ["*.css", "*.js", "*.j2", "*/*.j2"],  # of the pages
    },
)
