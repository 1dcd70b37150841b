# acnet without torch and detectron2: it predicts, evaluates and writes labels.
#
#   docker build -t acnet .
#   docker run --rm --network none -u "$(id -u)" -v "$PWD:/work" acnet predict photos --output results
#
# `acnet serve` serves 127.0.0.1 only, which is the container's own: add --network host for it.
FROM python:3.11-slim
WORKDIR /src
COPY constraints.txt ./
COPY requirements/light.txt requirements/
RUN pip install --no-cache-dir -c constraints.txt -r requirements/light.txt
COPY LICENSE README.md pyproject.toml setup.cfg setup.py ./
COPY acnet acnet
COPY projects/ACNet projects/ACNet
COPY weights weights
RUN pip install --no-cache-dir --no-deps . && acnet doctor
WORKDIR /work
ENTRYPOINT ["acnet"]
CMD ["--help"]
