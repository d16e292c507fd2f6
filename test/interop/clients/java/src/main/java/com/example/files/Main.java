package com.example.files;

import com.google.gson.GsonBuilder;
import files.v1.FileServiceGrpc;
import files.v1.ListFilesRequest;
import io.grpc.ClientInterceptor;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * A client of the file service as a Java engineer would write it. The tests of the service run it.
 *
 * <pre>
 * journey ADDRESS USER SMALL LARGE EMPTY   uploads the files, lists, downloads and deletes them
 * list ADDRESS USER                        makes one call that fails, prints its failure
 * </pre>
 *
 * The outcome is one line of JSON.
 */
public final class Main {
  public static void main(String[] args) throws Exception {
    if (args.length != (args.length > 0 && args[0].equals("journey") ? 6 : 3)) {
      throw new IllegalArgumentException("usage: journey ADDRESS USER SMALL LARGE EMPTY, or list ADDRESS USER");
    }
    var channel = ManagedChannelBuilder.forTarget(args[1]).usePlaintext().build();
    try {
      var withoutUser = FileServiceGrpc.newBlockingStub(channel);
      var files = withoutUser.withInterceptors(asUser(args[2]), new DefaultDeadline(20));
      Object seen = args[0].equals("journey")
          ? Journey.run(withoutUser, files, Path.of(args[3]), Path.of(args[4]), Path.of(args[5]))
          : Failure.of(() -> files.listFiles(ListFilesRequest.getDefaultInstance()));
      System.out.println(new GsonBuilder().disableHtmlEscaping().create().toJson(seen));
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  /** Names the user of the calls in a header. In production, the gateway sets this header. */
  private static ClientInterceptor asUser(String user) {
    var metadata = new Metadata();
    metadata.put(Metadata.Key.of("x-user-id", Metadata.ASCII_STRING_MARSHALLER), user);
    return MetadataUtils.newAttachHeadersInterceptor(metadata);
  }
}
