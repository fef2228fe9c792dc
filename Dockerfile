# bpbreid_track with every network it needs. Without a GPU:
#
#   docker build -t bpbreid-track .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" bpbreid-track video.mp4 --out tracked.mp4
#
# With one (its driver and the NVIDIA container toolkit on the host; CUDA comes with torch):
#
#   docker build -t bpbreid-track:cuda --build-arg TORCH=cu128 .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/data" bpbreid-track:cuda video.mp4
FROM python:3.11-slim

# Which build of torch: cpu, or a CUDA that https://pytorch.org/get-started/locally names, such as cu128.
ARG TORCH=cpu

# opencv-python needs OpenGL's loader.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN pip install torch torchvision --index-url "https://download.pytorch.org/whl/${TORCH}"

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bpbreid_track bpbreid_track
COPY configs configs
COPY trainer trainer
RUN pip install '.[offline,eval,tune,train]'

# Any user may keep exported networks and settings here; one without a home has no other place.
ENV BPBREID_CACHE=/cache YOLO_CONFIG_DIR=/cache MPLCONFIGDIR=/cache HOME=/cache
RUN mkdir -m 777 /cache /data
WORKDIR /data

# The build fails where detector, encoder or video writer do not work; the exported networks stay in the cache.
RUN bpbreid-track demo --max-frames 60 --out /tmp/demo.mp4 \
    && bpbreid-track /tmp/demo.mp4 --out /tmp/again.mp4 \
    && rm /tmp/demo.mp4 /tmp/again.mp4 && chmod -R a+rwX /cache

ENTRYPOINT ["bpbreid-track"]
CMD ["--help"]
