package main

import (
	"context"

	filesv1 "example.com/files-client/gen/files/v1"
)

type largeSeen struct {
	Type               string  `json:"type"`
	MissingPartNumbers []int32 `json:"missingPartNumbers"`
	AgainType          string  `json:"againType"`
	State              string  `json:"state"`
	Size               int64   `json:"size"`
	DownloadedMd5      string  `json:"downloadedMd5"`
}

func sendParts(ctx context.Context, files filesv1.FileServiceClient, large string, seen *journeySeen) error {
	uploaded, err := uploadParts(ctx, files, large, "film.mp4", "video/mp4")
	if err != nil {
		return err
	}
	again, err := uploadParts(ctx, files, large, "film.mp4", "video/mp4")
	if err != nil {
		return err
	}
	got, err := files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: uploaded.S3Key})
	if err != nil {
		return err
	}
	sum, _, err := download(ctx, files, uploaded.S3Key)
	if err != nil {
		return err
	}
	seen.Large = largeSeen{
		Type: uploaded.Type.String(), MissingPartNumbers: uploaded.MissingPartNumbers, AgainType: again.Type.String(),
		State: got.File.State.String(), Size: got.File.Size, DownloadedMd5: sum,
	}
	_, err = files.DeleteFile(ctx, &filesv1.DeleteFileRequest{S3Key: uploaded.S3Key})
	return err
}
