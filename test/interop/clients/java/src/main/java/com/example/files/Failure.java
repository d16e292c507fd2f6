package com.example.files;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.Map;

/** Everything that a program can know of a failed call: its status and its typed details. */
record Failure(
    String code,
    String reason,
    String domain,
    Map<String, String> metadata,
    List<String> fields,
    double retryDelaySeconds) {

  static Failure of(Runnable call) throws InvalidProtocolBufferException {
    try {
      call.run();
    } catch (StatusRuntimeException error) {
      return of(StatusProto.fromThrowable(error));
    }
    throw new AssertionError("the call succeeded");
  }

  static Failure of(com.google.rpc.Status status) throws InvalidProtocolBufferException {
    var info = ErrorInfo.getDefaultInstance();
    var bad = BadRequest.getDefaultInstance();
    var retry = RetryInfo.getDefaultInstance();
    for (var detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) info = detail.unpack(ErrorInfo.class);
      if (detail.is(BadRequest.class)) bad = detail.unpack(BadRequest.class);
      if (detail.is(RetryInfo.class)) retry = detail.unpack(RetryInfo.class);
    }
    return new Failure(
        Status.fromCodeValue(status.getCode()).getCode().name(),
        info.getReason(),
        info.getDomain(),
        info.getMetadataMap(),
        bad.getFieldViolationsList().stream().map(BadRequest.FieldViolation::getField).toList(),
        retry.getRetryDelay().getSeconds() + retry.getRetryDelay().getNanos() / 1e9);
  }
}
