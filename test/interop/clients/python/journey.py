import hashlib
import os
import urllib.error
import urllib.request

from failure import failure_from, failure_of
from files.v1 import file_pb2, file_service_pb2 as pb
from upload import put, upload, upload_parts


def journey(files, metadata, small, large, empty):
    seen = {**send_other_bytes(files, metadata, small)}

    uploaded = upload(files, metadata, small, "report.txt", "text/plain")
    seen["s3Key"], seen["type"] = uploaded.s3_key, pb.UploadType.Name(uploaded.type)

    listed = files.ListFiles(pb.ListFilesRequest(), metadata=metadata).files
    seen["listedFilenames"] = [file.filename for file in listed]
    seen["listedSize"] = sum(file.size for file in listed)

    again = upload(files, metadata, small, "report.txt", "text/plain")
    seen["againS3Key"], seen["againType"] = again.s3_key, pb.UploadType.Name(again.type)

    got = files.GetFile(pb.GetFileRequest(s3_key=uploaded.s3_key), metadata=metadata)
    seen["state"] = file_pb2.FileState.Name(got.file.state)
    seen["downloadedMd5"], seen["disposition"] = download(files, metadata, uploaded.s3_key)
    seen["large"] = send_parts(files, metadata, large)
    seen["emptyState"] = send_nothing(files, metadata, empty)
    seen["batch"] = create_two(files, metadata)

    files.DeleteFile(pb.DeleteFileRequest(s3_key=uploaded.s3_key), metadata=metadata)
    seen["leftAfterDelete"] = len(files.ListFiles(pb.ListFilesRequest(), metadata=metadata).files)

    no_md5 = pb.CreatePresignedUploadRequest(filename="report.txt", mime_type="text/plain", md5="no md5")
    gone = pb.GetFileRequest(s3_key=uploaded.s3_key)
    everything = pb.ListFilesRequest()
    seen["invalidMd5"] = failure_of(lambda: files.CreatePresignedUpload(no_md5, metadata=metadata))
    seen["notFound"] = failure_of(lambda: files.GetFile(gone, metadata=metadata))
    seen["noUser"] = failure_of(lambda: files.ListFiles(everything))
    seen["tooLate"] = failure_of(lambda: files.ListFiles(everything, metadata=metadata, timeout=1e-6))["code"]
    return seen


def send_other_bytes(files, metadata, small):
    """Announces one content and sends another, which S3 refuses."""
    pending = files.CreatePresignedUpload(
        pb.CreatePresignedUploadRequest(
            filename="grüße.txt", mime_type="text/plain", md5="2942bfabb3d05332b66eb128e0842cff"
        ),
        metadata=metadata,
    )
    got = files.GetFile(pb.GetFileRequest(s3_key=pending.s3_key), metadata=metadata)
    try:
        with open(small, "rb") as file:
            put(pending, file, os.path.getsize(small))
    except urllib.error.HTTPError as error:
        refusal = f"PUT: {error.code}: {error.read().decode()}"
    else:
        raise AssertionError("S3 accepted other bytes than were announced")
    files.DeleteFile(pb.DeleteFileRequest(s3_key=pending.s3_key), metadata=metadata)
    return {"pendingState": file_pb2.FileState.Name(got.file.state), "otherBytes": refusal}


def send_parts(files, metadata, large):
    uploaded = upload_parts(files, metadata, large, "film.mp4", "video/mp4")
    again = upload_parts(files, metadata, large, "film.mp4", "video/mp4")
    file = files.GetFile(pb.GetFileRequest(s3_key=uploaded.s3_key), metadata=metadata).file
    md5, _ = download(files, metadata, uploaded.s3_key)
    files.DeleteFile(pb.DeleteFileRequest(s3_key=uploaded.s3_key), metadata=metadata)
    return {
        "type": pb.UploadType.Name(uploaded.type),
        "missingPartNumbers": list(uploaded.missing_part_numbers),
        "againType": pb.UploadType.Name(again.type),
        "state": file_pb2.FileState.Name(file.state),
        "size": file.size,
        "downloadedMd5": md5,
    }


def send_nothing(files, metadata, empty):
    s3_key = upload(files, metadata, empty, "empty.txt", "text/plain").s3_key
    state = files.GetFile(pb.GetFileRequest(s3_key=s3_key), metadata=metadata).file.state
    files.DeleteFile(pb.DeleteFileRequest(s3_key=s3_key), metadata=metadata)
    return file_pb2.FileState.Name(state)


def create_two(files, metadata):
    """Makes one call for two files, of which one is refused."""
    first = pb.CreatePresignedUploadRequest(
        filename="first.txt", mime_type="text/plain", md5="2942bfabb3d05332b66eb128e0842cff"
    )
    second = pb.CreatePresignedUploadRequest(filename="second.txt", mime_type="text/plain", md5="no md5")
    created, refused = files.BatchCreatePresignedUploads(
        pb.BatchCreatePresignedUploadsRequest(requests=[first, second]), metadata=metadata
    ).results
    s3_key = created.response.s3_key
    got = files.BatchGetFiles(pb.BatchGetFilesRequest(s3_keys=[s3_key, "no such key"]), metadata=metadata)
    files.DeleteFile(pb.DeleteFileRequest(s3_key=s3_key), metadata=metadata)
    return {
        "type": pb.UploadType.Name(created.response.type),
        "failure": failure_from(refused.status),
        "gotFilenames": [file.filename for file in got.files],
    }


def download(files, metadata, s3_key):
    """Returns the MD5 of the downloaded bytes, and the Content-Disposition that came with them."""
    request = pb.CreatePresignedDownloadRequest(s3_key=s3_key)
    url = files.CreatePresignedDownload(request, metadata=metadata).presigned_url
    with urllib.request.urlopen(url) as response:
        return hashlib.file_digest(response, "md5").hexdigest(), response.headers["Content-Disposition"]
