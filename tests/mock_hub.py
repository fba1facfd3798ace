"""A hub on this machine: what huggingface_hub needs to upload a folder in one commit and to load it again."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0ff"


class MockHub(ThreadingHTTPServer):
    """Keeps repositories in memory and remembers what was asked of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.tokens: set[str | None] = set()
        self.refuse = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def mock_hub() -> Iterator[MockHub]:
    hub = MockHub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: MockHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, content: object, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.tokens.add(self.headers.get("authorization"))
        path = unquote(urlsplit(self.path).path)
        if self.server.refuse:
            self.answer({"error": "Forbidden"}, 403, X_Error_Message="Forbidden: you may not write here.")
        elif path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.files.setdefault(repo, {})
            self.server.private[repo] = bool(asked.get("private") or asked.get("visibility") == "private")
            self.answer({"url": f"{self.server.endpoint}/{repo}"})
        elif path == "/api/validate-yaml":  # the card's front matter
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            self.answer({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif "/commit/" in path:
            repo = path.removeprefix("/api/models/").split("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[repo][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.server.endpoint}/{repo}/commit/{COMMIT}"
            self.answer({"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})
        else:
            self.answer({"error": f"unexpected POST {path}"}, 404)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        repo = "/".join(path.removeprefix("/api/models").split("/")[1:3])
        files = self.server.files.get(repo)
        if files is None:
            self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        elif path.startswith("/api/models/") and "/tree/" in path:
            self.answer([{"type": "file", "path": n, "size": len(c), "oid": _sha(c)} for n, c in files.items()])
        elif path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in files]
            self.answer({"id": repo, "sha": COMMIT, "siblings": siblings, "private": self.server.private[repo]})
        elif (name := path.split(f"/resolve/{COMMIT}/")[-1]) in files:
            etag = f'"{_sha(files[name])}"'
            self.answer(files[name], ETag=etag, X_Repo_Commit=COMMIT)
        else:
            self.answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")

    do_HEAD = do_GET


def _sha(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
