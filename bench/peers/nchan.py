"""nchan, a C module of nginx: one publishes by WebSocket, a backend by POST.

It has one worker, also where it may use two cores: of what two publish to a channel it loses some
at the turn of a second ("A message from the past has just been published"), each having its clock.
"""

import http.client
import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Unavailable
from bench.local import free_port
from bench.peers.program import UNPACKED, Program, find, most_descriptors
from bench.peers.published import Published
from bench.peers.server import OWN

MODULE = Path("usr/lib/nginx/modules/ngx_nchan_module.so")
# The module makes this folder whatever the configuration says. Not being root, and leaving no
# trace, we load a copy in which the path is relative, of the same length.
BUILT_IN_PATH, RELATIVE_PATH = b"/var/lib/nginx/body", b"client_body_in_here"
CONFIG = """\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/pid;
error_log stderr warn;
load_module {module};
events {{ worker_connections {descriptors}; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  keepalive_timeout 900s;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{ nchan_publisher; nchan_channel_id 0; }}
    location ~ ^/room-([0-9]+)$ {{
      nchan_pubsub websocket;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Nchan(Published):
    words = ("-", OWN, "@")

    def start(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="danmaku-nchan-")))
        nginx, self.port = find("nginx"), free_port()
        config = folder / "nginx.conf"
        config.write_text(self._config(folder))
        command: list[str | Path] = [nginx, "-p", folder, "-c", config, "-e", "stderr"]
        program = stack.enter_context(Program(command, folder, self.cores))
        program.wait_for(self.port)
        self.pids = program.pids(workers=1)
        self._publisher = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        stack.callback(self._publisher.close)

    def payload(self, size: int) -> None:
        self._body = b"x" * size

    def publish(self) -> None:
        self._publisher.request("POST", "/publish", self._body, {"Content-Type": "text/plain"})
        answer = self._publisher.getresponse()
        if answer.read() and answer.status >= 300:
            raise RuntimeError(f"nchan answered {answer.status} to a message")

    def _config(self, folder: Path) -> str:
        built = next((p for p in (UNPACKED / MODULE, "/" / MODULE) if p.exists()), None)
        if built is None:
            raise Unavailable("nginx has no nchan module (Debian: libnginx-mod-nchan)")
        module = folder / MODULE.name
        module.write_bytes(built.read_bytes().replace(BUILT_IN_PATH, RELATIVE_PATH))
        return CONFIG.format(
            folder=folder, module=module, port=self.port, descriptors=most_descriptors(),
            # Without it a worker started by root is `nobody` and cannot use the folder.
            user="user root;" if os.geteuid() == 0 else "",
        )  # fmt: skip
