import hashlib
import urllib.request

from files.v1 import file_service_pb2 as pb


def upload(files, metadata, filename, mime_type, content):
    """Asks for a place for the content and puts it there, unless this user already has it. Nothing more to call."""
    md5 = hashlib.md5(content).hexdigest()
    answer = files.CreatePresignedUpload(
        pb.CreatePresignedUploadRequest(filename=filename, mime_type=mime_type, md5=md5), metadata=metadata
    )
    if answer.type == pb.UPLOAD_TYPE_NEW:
        put(answer, content)
    return answer


def put(answer, content):
    """Sends the bytes with the headers that the answer names. An HTTPError says that S3 refused them."""
    headers = dict(answer.required_headers)
    urllib.request.urlopen(urllib.request.Request(answer.presigned_url, content, headers, method="PUT")).close()
