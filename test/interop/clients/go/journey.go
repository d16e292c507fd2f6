package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	filesv1 "example.com/files-client/gen/files/v1"
)

type journeySeen struct {
	S3Key           string    `json:"s3Key"`
	Type            string    `json:"type"`
	PendingState    string    `json:"pendingState"`
	OtherBytes      string    `json:"otherBytes"`
	ListedFilenames []string  `json:"listedFilenames"`
	ListedSize      int64     `json:"listedSize"`
	AgainType       string    `json:"againType"`
	AgainS3Key      string    `json:"againS3Key"`
	State           string    `json:"state"`
	DownloadedMd5   string    `json:"downloadedMd5"`
	Disposition     string    `json:"disposition"`
	Large           largeSeen `json:"large"`
	EmptyState      string    `json:"emptyState"`
	Batch           batchSeen `json:"batch"`
	LeftAfterDelete int       `json:"leftAfterDelete"`
	InvalidMd5      failure   `json:"invalidMd5"`
	NotFound        failure   `json:"notFound"`
	NoUser          failure   `json:"noUser"`
	TooLate         string    `json:"tooLate"`
}

func journey(withoutUser context.Context, files filesv1.FileServiceClient, user, small, large, empty string) (*journeySeen, error) {
	ctx := asUser(withoutUser, user)
	seen := &journeySeen{}
	if err := sendOtherBytes(ctx, files, small, seen); err != nil {
		return nil, err
	}

	uploaded, err := upload(ctx, files, small, "report.txt", "text/plain")
	if err != nil {
		return nil, err
	}
	seen.S3Key, seen.Type = uploaded.S3Key, uploaded.Type.String()

	list, err := files.ListFiles(ctx, &filesv1.ListFilesRequest{})
	if err != nil {
		return nil, err
	}
	for _, file := range list.Files {
		seen.ListedFilenames = append(seen.ListedFilenames, file.Filename)
		seen.ListedSize += file.Size
	}

	again, err := upload(ctx, files, small, "report.txt", "text/plain")
	if err != nil {
		return nil, err
	}
	seen.AgainS3Key, seen.AgainType = again.S3Key, again.Type.String()

	got, err := files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: uploaded.S3Key})
	if err != nil {
		return nil, err
	}
	seen.State = got.File.State.String()
	if seen.DownloadedMd5, seen.Disposition, err = download(ctx, files, uploaded.S3Key); err != nil {
		return nil, err
	}
	if err := sendParts(ctx, files, large, seen); err != nil {
		return nil, err
	}
	if err := sendNothing(ctx, files, empty, seen); err != nil {
		return nil, err
	}
	if err := createTwo(ctx, files, seen); err != nil {
		return nil, err
	}

	if _, err := files.DeleteFile(ctx, &filesv1.DeleteFileRequest{S3Key: uploaded.S3Key}); err != nil {
		return nil, err
	}
	list, err = files.ListFiles(ctx, &filesv1.ListFilesRequest{})
	if err != nil {
		return nil, err
	}
	seen.LeftAfterDelete = len(list.Files)

	seen.fail(withoutUser, ctx, files)
	return seen, nil
}

// fail makes the calls that must fail.
func (seen *journeySeen) fail(withoutUser, ctx context.Context, files filesv1.FileServiceClient) {
	_, err := files.CreatePresignedUpload(ctx, &filesv1.CreatePresignedUploadRequest{
		Filename: "report.txt", MimeType: "text/plain", Md5: "no md5",
	})
	seen.InvalidMd5 = failureOf(err)
	_, err = files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: seen.S3Key})
	seen.NotFound = failureOf(err)
	_, err = files.ListFiles(withoutUser, &filesv1.ListFilesRequest{})
	seen.NoUser = failureOf(err)
	short, cancel := context.WithTimeout(ctx, time.Microsecond)
	defer cancel()
	_, err = files.ListFiles(short, &filesv1.ListFilesRequest{})
	seen.TooLate = failureOf(err).Code
}

// sendOtherBytes announces one content and sends another, which S3 refuses.
func sendOtherBytes(ctx context.Context, files filesv1.FileServiceClient, small string, seen *journeySeen) error {
	pending, err := files.CreatePresignedUpload(ctx, &filesv1.CreatePresignedUploadRequest{
		Filename: "grüße.txt", MimeType: "text/plain", Md5: "2942bfabb3d05332b66eb128e0842cff",
	})
	if err != nil {
		return err
	}
	got, err := files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: pending.S3Key})
	if err != nil {
		return err
	}
	seen.PendingState = got.File.State.String()
	file, err := os.Open(small)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	refusal := put(ctx, pending.PresignedUrl, pending.RequiredHeaders, io.NewSectionReader(file, 0, info.Size()))
	if refusal == nil {
		return errors.New("other bytes than were announced were taken")
	}
	seen.OtherBytes = refusal.Error()
	_, err = files.DeleteFile(ctx, &filesv1.DeleteFileRequest{S3Key: pending.S3Key})
	return err
}

func sendNothing(ctx context.Context, files filesv1.FileServiceClient, empty string, seen *journeySeen) error {
	uploaded, err := upload(ctx, files, empty, "empty.txt", "text/plain")
	if err != nil {
		return err
	}
	got, err := files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: uploaded.S3Key})
	if err != nil {
		return err
	}
	seen.EmptyState = got.File.State.String()
	_, err = files.DeleteFile(ctx, &filesv1.DeleteFileRequest{S3Key: uploaded.S3Key})
	return err
}

// download returns the MD5 of the downloaded bytes, and the Content-Disposition that came with them.
func download(ctx context.Context, files filesv1.FileServiceClient, s3Key string) (sum, disposition string, err error) {
	answer, err := files.CreatePresignedDownload(ctx, &filesv1.CreatePresignedDownloadRequest{S3Key: s3Key})
	if err != nil {
		return "", "", err
	}
	response, err := http.Get(answer.PresignedUrl)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	hash := md5.New()
	if _, err := io.Copy(hash, response.Body); err != nil {
		return "", "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("GET: %s", response.Status)
	}
	return hex.EncodeToString(hash.Sum(nil)), response.Header.Get("Content-Disposition"), nil
}
