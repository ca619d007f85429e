"""A collector of spans on loopback: OTLP over HTTP, as protobuf.

It can be told to answer with an error, or to hold each request and answer
nothing.
"""

import http.server
import threading
import types

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

Kind = trace_pb2.Span.SpanKind
ERROR = trace_pb2.Status.STATUS_CODE_ERROR


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.collector.take(self.path, self.headers, body)
        status = self.server.collector.status
        if status is None:
            self.server.collector.released.wait()
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Who was held may have gone away, which is no news here."""


class Collector:
    """`status` is what it answers with; None holds."""

    def __init__(self, status=200):
        self.status = status
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.requests = []
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.collector = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def take(self, path, headers, body):
        with self.lock:
            self.requests.append((path, dict(headers.items()), body, self.status))

    def variables(self, **more):
        """What leads a service to it."""
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        return {**named, **more}

    def seen(self):
        with self.lock:
            return list(self.requests)

    def bodies(self):
        return b"".join(body for _, _, body, _ in self.seen())

    def spans(self):
        """The spans that it has taken."""
        return [span for _, _, body, status in self.seen() if status == 200 for span in decoded(body)]


def decoded(body):
    request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield plain(resource, span)


def plain(resource, span):
    return types.SimpleNamespace(
        resource=resource,
        service=resource["service.name"],
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=attributes(span.attributes),
        status=span.status.code,
        why=span.status.message,
        events=list(span.events),
        nanoseconds=span.end_time_unix_nano - span.start_time_unix_nano,
    )


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
