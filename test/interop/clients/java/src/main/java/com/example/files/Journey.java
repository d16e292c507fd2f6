package com.example.files;

import com.google.common.hash.Hashing;
import com.google.common.hash.HashingInputStream;
import files.v1.BatchCreatePresignedUploadsRequest;
import files.v1.BatchGetFilesRequest;
import files.v1.CreatePresignedDownloadRequest;
import files.v1.CreatePresignedUploadRequest;
import files.v1.DeleteFileRequest;
import files.v1.File;
import files.v1.FileServiceGrpc.FileServiceBlockingStub;
import files.v1.GetFileRequest;
import files.v1.ListFilesRequest;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** What the client saw. Its fields are the fields of the printed JSON. */
final class Journey {
  private transient final FileServiceBlockingStub files;
  String pendingState;
  String otherBytes;
  String s3Key;
  String type;
  List<String> listedFilenames;
  long listedSize;
  String againS3Key;
  String againType;
  String state;
  String downloadedMd5;
  String disposition;
  Large large;
  String emptyState;
  Batch batch;
  int leftAfterDelete;
  Failure invalidMd5;
  Failure notFound;
  Failure noUser;
  String tooLate;

  record Large(
      String type,
      List<Integer> missingPartNumbers,
      String againType,
      String state,
      long size,
      String downloadedMd5) {}

  record Batch(String type, Failure failure, List<String> gotFilenames) {}

  private record Downloaded(String md5, String disposition) {}

  private Journey(FileServiceBlockingStub files) {
    this.files = files;
  }

  static Journey run(
      FileServiceBlockingStub withoutUser, FileServiceBlockingStub files, Path small, Path large, Path empty)
      throws IOException, InterruptedException {
    var seen = new Journey(files);
    seen.sendOtherBytes(small);
    seen.sendWhole(small);
    seen.large = seen.sendParts(large);
    seen.emptyState = seen.sendNothing(empty);
    seen.batch = seen.createTwo();
    seen.delete(seen.s3Key);
    seen.leftAfterDelete = seen.list().size();

    var noMd5 = textFile("report.txt", "no md5");
    var everything = ListFilesRequest.getDefaultInstance();
    seen.invalidMd5 = Failure.of(() -> files.createPresignedUpload(noMd5));
    seen.notFound = Failure.of(() -> seen.get(seen.s3Key));
    seen.noUser = Failure.of(() -> withoutUser.listFiles(everything));
    seen.tooLate = Failure.of(() -> files.withDeadlineAfter(1, TimeUnit.MICROSECONDS).listFiles(everything)).code();
    return seen;
  }

  /** Announces one content and sends another, which S3 refuses. */
  private void sendOtherBytes(Path small) throws IOException, InterruptedException {
    var pending = files.createPresignedUpload(textFile("grüße.txt", "2942bfabb3d05332b66eb128e0842cff"));
    pendingState = get(pending.getS3Key()).getState().name();
    try {
      Upload.put(pending.getPresignedUrl(), pending.getRequiredHeadersMap(), BodyPublishers.ofFile(small));
      throw new AssertionError("S3 accepted other bytes than were announced");
    } catch (IOException refusal) {
      otherBytes = refusal.getMessage();
    }
    delete(pending.getS3Key());
  }

  private void sendWhole(Path small) throws IOException, InterruptedException {
    var uploaded = Upload.whole(files, small, "report.txt", "text/plain");
    s3Key = uploaded.getS3Key();
    type = uploaded.getType().name();

    listedFilenames = list().stream().map(File::getFilename).toList();
    listedSize = list().stream().mapToLong(File::getSize).sum();

    var again = Upload.whole(files, small, "report.txt", "text/plain");
    againS3Key = again.getS3Key();
    againType = again.getType().name();

    state = get(s3Key).getState().name();
    var downloaded = download(s3Key);
    downloadedMd5 = downloaded.md5();
    disposition = downloaded.disposition();
  }

  private Large sendParts(Path path) throws IOException, InterruptedException {
    var uploaded = Upload.inParts(files, path, "film.mp4", "video/mp4");
    var again = Upload.inParts(files, path, "film.mp4", "video/mp4");
    var file = get(uploaded.getS3Key());
    var seen = new Large(
        uploaded.getType().name(),
        uploaded.getMissingPartNumbersList(),
        again.getType().name(),
        file.getState().name(),
        file.getSize(),
        download(uploaded.getS3Key()).md5());
    delete(uploaded.getS3Key());
    return seen;
  }

  private String sendNothing(Path empty) throws IOException, InterruptedException {
    var key = Upload.whole(files, empty, "empty.txt", "text/plain").getS3Key();
    var seen = get(key).getState().name();
    delete(key);
    return seen;
  }

  /** Makes one call for two files, of which one is refused. */
  private Batch createTwo() throws IOException {
    var results = files.batchCreatePresignedUploads(BatchCreatePresignedUploadsRequest.newBuilder()
        .addRequests(textFile("first.txt", "2942bfabb3d05332b66eb128e0842cff"))
        .addRequests(textFile("second.txt", "no md5"))
        .build());
    var first = results.getResults(0).getResponse();
    var got = files.batchGetFiles(BatchGetFilesRequest.newBuilder()
        .addS3Keys(first.getS3Key()).addS3Keys("no such key").build());
    delete(first.getS3Key());
    return new Batch(
        first.getType().name(),
        Failure.of(results.getResults(1).getStatus()),
        got.getFilesList().stream().map(File::getFilename).toList());
  }

  private static CreatePresignedUploadRequest textFile(String filename, String md5) {
    return CreatePresignedUploadRequest.newBuilder()
        .setFilename(filename).setMimeType("text/plain").setMd5(md5).build();
  }

  private File get(String key) {
    return files.getFile(GetFileRequest.newBuilder().setS3Key(key).build()).getFile();
  }

  private List<File> list() {
    return files.listFiles(ListFilesRequest.getDefaultInstance()).getFilesList();
  }

  private void delete(String key) {
    files.deleteFile(DeleteFileRequest.newBuilder().setS3Key(key).build());
  }

  private Downloaded download(String key) throws IOException {
    var request = CreatePresignedDownloadRequest.newBuilder().setS3Key(key).build();
    var connection = URI.create(files.createPresignedDownload(request).getPresignedUrl()).toURL().openConnection();
    try (var stream = new HashingInputStream(Hashing.md5(), connection.getInputStream())) {
      stream.transferTo(OutputStream.nullOutputStream());
      return new Downloaded(stream.hash().toString(), connection.getHeaderField("Content-Disposition"));
    }
  }
}
