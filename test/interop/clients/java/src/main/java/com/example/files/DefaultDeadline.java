package com.example.files;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.MethodDescriptor;
import java.util.concurrent.TimeUnit;

/** Gives each call without a deadline one. {@code stub.withDeadlineAfter} is a deadline of all calls together. */
record DefaultDeadline(long seconds) implements ClientInterceptor {
  @Override
  public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
    var limited = options.getDeadline() == null ? options.withDeadlineAfter(seconds, TimeUnit.SECONDS) : options;
    return next.newCall(method, limited);
  }
}
