"""Ship configs, peers and bundled weights inside the package; everything else is in setup.cfg.

In a clone they keep their places, `projects/ACNet/configs`, `projects/ACNet/peers` and `weights`.
Installed they are `acnet/configs`, `acnet/peers` and `acnet/weights`, which a wheel, an sdist and
`pip install --target` all keep. The tables, Figure 5 and the scripts beside them do not ship.
"""

from setuptools import find_packages, setup

PLACES = {
    "acnet.configs": "projects/ACNet/configs",
    "acnet.peers": "projects/ACNet/peers",
    "acnet.weights": "weights",
}

setup(
    packages=[*find_packages(include=["acnet", "acnet.*"]), *PLACES],
    package_dir=PLACES,
    package_data={
        "acnet.configs": ["**/*.py", "*.csv"],
        "acnet.weights": ["*.safetensors", "*.onnx"],
        "": ["*.css", "*.js", "*.j2", "*/*.j2"],  # of the pages
    },
)
