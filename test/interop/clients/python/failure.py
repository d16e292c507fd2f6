import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


def failure_of(call):
    """Returns everything that a program can know of a failed call: its status and its typed details."""
    try:
        call()
    except grpc.RpcError as error:
        # If the deadline passes before the server answers, grpc itself makes the error, which then has no details.
        return failure_from(rpc_status.from_call(error) or status_pb2.Status(code=error.code().value[0]))
    raise AssertionError("the call succeeded")


def failure_from(status):
    failure = {"code": code_pb2.Code.Name(status.code), "reason": "", "domain": "", "metadata": {}, "fields": []}
    failure["retryDelaySeconds"] = 0
    for detail in status.details:
        info = unpack(detail, error_details_pb2.ErrorInfo)
        bad = unpack(detail, error_details_pb2.BadRequest)
        retry = unpack(detail, error_details_pb2.RetryInfo)
        if info:
            failure.update(reason=info.reason, domain=info.domain, metadata=dict(info.metadata))
        if bad:
            failure["fields"] += [violation.field for violation in bad.field_violations]
        if retry:
            failure["retryDelaySeconds"] = retry.retry_delay.ToTimedelta().total_seconds()
    return failure


def unpack(detail, message_type):
    message = message_type()
    return message if detail.Unpack(message) else None
