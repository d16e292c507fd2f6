package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"

	filesv1 "example.com/files-client/gen/files/v1"
)

// upload uploads the content, unless this user already has it. No call is needed after the PUT.
func upload(ctx context.Context, files filesv1.FileServiceClient, filename, mimeType string, content []byte) (*filesv1.CreatePresignedUploadResponse, error) {
	sum, size := md5.Sum(content), int64(len(content))
	answer, err := files.CreatePresignedUpload(ctx, &filesv1.CreatePresignedUploadRequest{
		Filename: filename, MimeType: mimeType, Md5: hex.EncodeToString(sum[:]), Size: &size,
	})
	if err != nil || answer.Type == filesv1.UploadType_UPLOAD_TYPE_EXISTING {
		return answer, err
	}
	return answer, put(ctx, answer, content)
}

// put sends the bytes with the required headers of the answer, and no others.
func put(ctx context.Context, answer *filesv1.CreatePresignedUploadResponse, content []byte) error {
	// Like a file, this reader does not tell its length to Go. Go would send it in chunks, which S3 refuses.
	file := io.NopCloser(bytes.NewReader(content))
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, answer.PresignedUrl, file)
	if err != nil {
		return err
	}
	request.ContentLength = int64(len(content))
	for name, value := range answer.RequiredHeaders {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(response.Body)
		return fmt.Errorf("PUT: %s: %s", response.Status, reason)
	}
	return nil
}
