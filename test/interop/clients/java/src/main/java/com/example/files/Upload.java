package com.example.files;

import com.google.common.hash.Hashing;
import com.google.common.io.MoreFiles;
import com.google.protobuf.ByteString;
import files.v1.CompleteMultipartUploadRequest;
import files.v1.CreateMultipartUploadRequest;
import files.v1.CreateMultipartUploadResponse;
import files.v1.CreatePresignedPartsRequest;
import files.v1.CreatePresignedUploadRequest;
import files.v1.CreatePresignedUploadResponse;
import files.v1.FileServiceGrpc.FileServiceBlockingStub;
import files.v1.UploadType;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Uploads of a file from the disk. */
final class Upload {
  /** The size of all parts but the last, for files of up to 10,000 such parts. */
  private static final long PART_BYTES = 64L << 20;

  private static final HttpClient HTTP = HttpClient.newHttpClient();

  /** Uploads the file, unless this user already has it. No call is needed after the PUT. */
  static CreatePresignedUploadResponse whole(
      FileServiceBlockingStub files, Path path, String filename, String mimeType)
      throws IOException, InterruptedException {
    var answer = files.createPresignedUpload(CreatePresignedUploadRequest.newBuilder()
        .setFilename(filename)
        .setMimeType(mimeType)
        .setMd5(MoreFiles.asByteSource(path).hash(Hashing.md5()).toString())
        .setSize(Files.size(path))
        .build());
    if (answer.getType() == UploadType.UPLOAD_TYPE_NEW) {
      put(answer.getPresignedUrl(), answer.getRequiredHeadersMap(), BodyPublishers.ofFile(path));
    }
    return answer;
  }

  /** Uploads the file in parts, or only the parts that an interrupted upload left. */
  static CreateMultipartUploadResponse inParts(
      FileServiceBlockingStub files, Path path, String filename, String mimeType)
      throws IOException, InterruptedException {
    var bytes = MoreFiles.asByteSource(path);
    long size = Files.size(path);
    var request = CreateMultipartUploadRequest.newBuilder()
        .setFilename(filename).setMimeType(mimeType).setSize(size);
    for (long from = 0; from < size; from += PART_BYTES) {
      request.addPartMd5S(ByteString.copyFrom(bytes.slice(from, PART_BYTES).hash(Hashing.md5()).asBytes()));
    }
    var answer = files.createMultipartUpload(request.build());
    if (answer.getType() != UploadType.UPLOAD_TYPE_NEW) return answer;

    var wanted = CreatePresignedPartsRequest.newBuilder()
        .setS3Key(answer.getS3Key()).addAllPartNumbers(answer.getMissingPartNumbersList());
    for (var part : files.createPresignedParts(wanted.build()).getPartsList()) {
      long from = (part.getPartNumber() - 1) * answer.getPartSize();
      long length = Math.min(answer.getPartSize(), size - from);
      var stream = BodyPublishers.ofInputStream(() -> open(path, from, length));
      // Without the length Java would send the stream in chunks, which S3 refuses.
      put(part.getPresignedUrl(), part.getRequiredHeadersMap(), BodyPublishers.fromPublisher(stream, length));
    }
    var complete = CompleteMultipartUploadRequest.newBuilder().setS3Key(answer.getS3Key());
    files.completeMultipartUpload(complete.build());
    return answer;
  }

  private static InputStream open(Path path, long from, long length) {
    try {
      return MoreFiles.asByteSource(path).slice(from, length).openStream();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** Sends the bytes with the required headers. Throws when S3 refuses them. */
  static void put(String url, Map<String, String> requiredHeaders, BodyPublisher body)
      throws IOException, InterruptedException {
    var request = HttpRequest.newBuilder(URI.create(url)).PUT(body);
    requiredHeaders.forEach((name, value) -> {
      // java.net.http sends Content-Length by itself, and throws if a caller sets this header.
      if (!name.equalsIgnoreCase("Content-Length")) request.setHeader(name, value);
    });
    var response = HTTP.send(request.build(), BodyHandlers.ofString());
    if (response.statusCode() != 200) {
      throw new IOException("PUT: " + response.statusCode() + ": " + response.body());
    }
  }
}
