"""A client of the file service as a Python engineer would write it. The tests of the service run it.

client.py journey ADDRESS USER   uploads, lists, downloads and deletes a file, prints the results as one line of JSON
client.py list ADDRESS USER      makes one call that fails, prints its failure as one line of JSON
"""

import json
import sys
import urllib.error
import urllib.request

import grpc
from failure import failure_of
from files.v1 import file_pb2, file_service_pb2 as pb, file_service_pb2_grpc
from upload import put, upload


def journey(files, metadata):
    content = b"what a Python client keeps\n"
    seen = {}

    pending = files.CreatePresignedUpload(
        pb.CreatePresignedUploadRequest(
            filename="grüße.txt", mime_type="text/plain", md5="2942bfabb3d05332b66eb128e0842cff"
        ),
        metadata=metadata,
    )
    got = files.GetFile(pb.GetFileRequest(s3_key=pending.s3_key), metadata=metadata)
    seen["pendingState"] = file_pb2.FileState.Name(got.file.state)
    seen["otherBytes"] = refusal_of(lambda: put(pending, content))
    files.DeleteFile(pb.DeleteFileRequest(s3_key=pending.s3_key), metadata=metadata)

    uploaded = upload(files, metadata, "report.txt", "text/plain", content)
    seen["s3Key"], seen["type"] = uploaded.s3_key, pb.UploadType.Name(uploaded.type)

    listed = files.ListFiles(pb.ListFilesRequest(), metadata=metadata).files
    seen["listedFilenames"] = [file.filename for file in listed]
    seen["listedSize"] = sum(file.size for file in listed)

    again = upload(files, metadata, "report.txt", "text/plain", content)
    seen["againS3Key"], seen["againType"] = again.s3_key, pb.UploadType.Name(again.type)

    got = files.GetFile(pb.GetFileRequest(s3_key=uploaded.s3_key), metadata=metadata)
    seen["state"] = file_pb2.FileState.Name(got.file.state)

    download = files.CreatePresignedDownload(
        pb.CreatePresignedDownloadRequest(s3_key=uploaded.s3_key), metadata=metadata
    )
    with urllib.request.urlopen(download.presigned_url) as response:
        seen["downloaded"] = response.read().decode()
        seen["disposition"] = response.headers["Content-Disposition"]

    files.DeleteFile(pb.DeleteFileRequest(s3_key=uploaded.s3_key), metadata=metadata)
    seen["leftAfterDelete"] = len(files.ListFiles(pb.ListFilesRequest(), metadata=metadata).files)

    no_md5 = pb.CreatePresignedUploadRequest(filename="report.txt", mime_type="text/plain", md5="no md5")
    gone = pb.GetFileRequest(s3_key=uploaded.s3_key)
    seen["invalidMd5"] = failure_of(lambda: files.CreatePresignedUpload(no_md5, metadata=metadata))
    seen["notFound"] = failure_of(lambda: files.GetFile(gone, metadata=metadata))
    seen["noUser"] = failure_of(lambda: files.ListFiles(pb.ListFilesRequest()))
    return seen


def refusal_of(send):
    try:
        send()
    except urllib.error.HTTPError as error:
        return f"PUT: {error.code} {error.reason}: {error.read().decode()}"
    raise AssertionError("S3 accepted other bytes than were announced")


def main(verb, address, user):
    metadata = [("x-user-id", user)]  # In production the gateway sets this header.
    with grpc.insecure_channel(address) as channel:
        files = file_service_pb2_grpc.FileServiceStub(channel)
        if verb == "journey":
            seen = journey(files, metadata)
        elif verb == "list":
            seen = failure_of(lambda: files.ListFiles(pb.ListFilesRequest(), metadata=metadata))
        else:
            raise SystemExit(__doc__)
    print(json.dumps(seen))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
