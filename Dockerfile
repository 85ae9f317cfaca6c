# An image with cxrbuild and the decoder for hospital DICOM. Build it in a checkout:
#     docker build --tag cxrbuild .
#     docker run --rm --volume "$PWD:/work" cxrbuild init images --yes
FROM python:3.12-slim-bookworm AS build
COPY . /source
RUN pip wheel --no-cache-dir --wheel-dir /wheels "/source[dicom]"

FROM python:3.12-slim-bookworm
# Files that the program writes into /work belong to this user.
RUN useradd --create-home --uid 1000 cxrbuild && mkdir /work && chown cxrbuild /work
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels "cxrbuild[dicom]" && rm -r /wheels
ENV PYTHONUTF8=1
USER cxrbuild
WORKDIR /work
ENTRYPOINT ["cxrbuild"]
CMD ["--help"]
