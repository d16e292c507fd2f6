"""A client of the file service as a Python engineer would write it. The tests of the service run it.

client.py journey ADDRESS USER SMALL LARGE EMPTY   uploads the files, lists, downloads and deletes them
client.py list ADDRESS USER                        makes one call that fails, prints its failure

The outcome is one line of JSON.
"""

import json
import sys

import grpc
from failure import failure_of
from files.v1 import file_service_pb2 as pb, file_service_pb2_grpc
from journey import journey


def main(verb, address, user, *paths):
    metadata = [("x-user-id", user)]  # In production the gateway sets this header.
    with grpc.insecure_channel(address) as channel:
        files = file_service_pb2_grpc.FileServiceStub(channel)
        if verb == "journey":
            seen = journey(files, metadata, *paths)
        elif verb == "list":
            seen = failure_of(lambda: files.ListFiles(pb.ListFilesRequest(), metadata=metadata))
        else:
            raise SystemExit(__doc__)
    print(json.dumps(seen))


if __name__ == "__main__":
    if len(sys.argv) not in (4, 7):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
