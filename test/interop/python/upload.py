import hashlib
import io
import urllib.request

from files.v1 import file_service_pb2 as pb


def upload(files, metadata, filename, mime_type, content):
    """Uploads the content, unless this user already has it. No call is needed after the PUT."""
    md5 = hashlib.md5(content).hexdigest()
    answer = files.CreatePresignedUpload(
        pb.CreatePresignedUploadRequest(filename=filename, mime_type=mime_type, md5=md5), metadata=metadata
    )
    if answer.type == pb.UPLOAD_TYPE_NEW:
        put(answer, content)
    return answer


def put(answer, content):
    """Sends the bytes with the required headers of the answer. Raises HTTPError when S3 refuses them."""
    # urllib sends a file in chunks, which S3 refuses, unless the headers tell the length.
    file, headers = io.BytesIO(content), {**answer.required_headers, "Content-Length": str(len(content))}
    urllib.request.urlopen(urllib.request.Request(answer.presigned_url, file, headers, method="PUT")).close()
