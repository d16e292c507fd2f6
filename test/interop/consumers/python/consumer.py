"""Receives the events of the file service as a Python engineer would. The tests of the service run it."""

import hmac
import os
from concurrent import futures

import grpc
from files.v1 import file_events_service_pb2 as pb, file_events_service_pb2_grpc
from handle import handle

EVENTS_TOKEN = os.environ.get("EVENTS_TOKEN")


class FileEvents(file_events_service_pb2_grpc.FileEventsServiceServicer):
    def DeliverFileEvent(self, request, context):
        token = dict(context.invocation_metadata()).get("authorization", "")
        if not EVENTS_TOKEN or not hmac.compare_digest(token, f"Bearer {EVENTS_TOKEN}"):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong token")
        handle(request)  # After an exception, the event comes again.
        return pb.DeliverFileEventResponse()


server = grpc.server(futures.ThreadPoolExecutor())
file_events_service_pb2_grpc.add_FileEventsServiceServicer_to_server(FileEvents(), server)
server.add_insecure_port(f"{os.environ['HOST']}:{os.environ['PORT']}")
server.start()
server.wait_for_termination()
