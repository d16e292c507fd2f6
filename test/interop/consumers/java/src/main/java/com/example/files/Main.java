package com.example.files;

import files.v1.DeliverFileEventRequest;
import files.v1.DeliverFileEventResponse;
import files.v1.FileEventsServiceGrpc;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.security.MessageDigest;

/** Receives the events of the file service as a Java engineer would. The tests of the service run it. */
public final class Main {
  public static void main(String[] args) throws Exception {
    var address = new InetSocketAddress(System.getenv("HOST"), Integer.parseInt(System.getenv("PORT")));
    NettyServerBuilder.forAddress(address)
        .addService(new FileEvents())
        .intercept(new Token(System.getenv("EVENTS_TOKEN")))
        .build()
        .start()
        .awaitTermination();
  }

  private static final class FileEvents extends FileEventsServiceGrpc.FileEventsServiceImplBase {
    @Override
    public void deliverFileEvent(DeliverFileEventRequest event, StreamObserver<DeliverFileEventResponse> response) {
      Handle.handle(event); // After an exception, the event comes again.
      response.onNext(DeliverFileEventResponse.getDefaultInstance());
      response.onCompleted();
    }
  }

  /** Refuses calls that do not carry the token. */
  private record Token(String expected) implements ServerInterceptor {
    private static final Metadata.Key<String> AUTHORIZATION =
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
      if (isExpected(headers.get(AUTHORIZATION))) return next.startCall(call, headers);
      call.close(Status.UNAUTHENTICATED.withDescription("wrong token"), new Metadata());
      return new ServerCall.Listener<>() {};
    }

    private boolean isExpected(String authorization) {
      return expected != null
          && authorization != null
          && MessageDigest.isEqual(authorization.getBytes(), ("Bearer " + expected).getBytes());
    }
  }
}
