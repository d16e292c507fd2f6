import hashlib
import os
import urllib.request

from files.v1 import file_service_pb2 as pb

PART_BYTES = 64 * 1024 * 1024  # The size of all parts but the last, for files of up to 10,000 such parts.


def upload(files, metadata, path, filename, mime_type):
    """Uploads the file, unless this user already has it. No call is needed after the PUT."""
    with open(path, "rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
        request = pb.CreatePresignedUploadRequest(
            filename=filename, mime_type=mime_type, md5=md5, size=file.seek(0, os.SEEK_END)
        )
        answer = files.CreatePresignedUpload(request, metadata=metadata)
        if answer.type == pb.UPLOAD_TYPE_NEW:
            file.seek(0)
            put(answer, file, request.size)
        return answer


def upload_parts(files, metadata, path, filename, mime_type):
    """Uploads the file in parts, or only the parts that an interrupted upload left."""
    with open(path, "rb") as file:
        md5s = [hashlib.md5(part).digest() for part in iter(lambda: file.read(PART_BYTES), b"")]
        size = file.tell()
        request = pb.CreateMultipartUploadRequest(
            filename=filename, mime_type=mime_type, size=size, part_md5s=md5s
        )
        answer = files.CreateMultipartUpload(request, metadata=metadata)
        if answer.type == pb.UPLOAD_TYPE_NEW:
            wanted = pb.CreatePresignedPartsRequest(
                s3_key=answer.s3_key, part_numbers=answer.missing_part_numbers
            )
            for part in files.CreatePresignedParts(wanted, metadata=metadata).parts:
                file.seek((part.part_number - 1) * answer.part_size)
                part_bytes = file.read(answer.part_size)
                put(part, part_bytes, len(part_bytes))
            files.CompleteMultipartUpload(
                pb.CompleteMultipartUploadRequest(s3_key=answer.s3_key), metadata=metadata
            )
        return answer


def put(answer, body, size):
    """Sends the bytes with the required headers of the answer. Raises HTTPError when S3 refuses them."""
    # urllib sends a file in chunks, which S3 refuses, unless the headers tell the length.
    headers = {**answer.required_headers, "Content-Length": str(size)}
    urllib.request.urlopen(urllib.request.Request(answer.presigned_url, body, headers, method="PUT")).close()
