package main

import (
	"context"

	filesv1 "example.com/files-client/gen/files/v1"
	"google.golang.org/grpc/status"
)

type batchSeen struct {
	Type         string   `json:"type"`
	Failure      failure  `json:"failure"`
	GotFilenames []string `json:"gotFilenames"`
}

// createTwo makes one call for two files, of which one is refused.
func createTwo(ctx context.Context, files filesv1.FileServiceClient, seen *journeySeen) error {
	answer, err := files.BatchCreatePresignedUploads(ctx, &filesv1.BatchCreatePresignedUploadsRequest{
		Requests: []*filesv1.CreatePresignedUploadRequest{
			{Filename: "first.txt", MimeType: "text/plain", Md5: "2942bfabb3d05332b66eb128e0842cff"},
			{Filename: "second.txt", MimeType: "text/plain", Md5: "no md5"},
		},
	})
	if err != nil {
		return err
	}
	first, second := answer.Results[0].GetResponse(), answer.Results[1].GetStatus()
	got, err := files.BatchGetFiles(ctx, &filesv1.BatchGetFilesRequest{S3Keys: []string{first.S3Key, "no such key"}})
	if err != nil {
		return err
	}
	seen.Batch = batchSeen{Type: first.Type.String(), Failure: failureFrom(status.FromProto(second))}
	for _, file := range got.Files {
		seen.Batch.GotFilenames = append(seen.Batch.GotFilenames, file.Filename)
	}
	_, err = files.DeleteFile(ctx, &filesv1.DeleteFileRequest{S3Key: first.S3Key})
	return err
}
