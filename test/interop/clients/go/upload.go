package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"

	filesv1 "example.com/files-client/gen/files/v1"
)

// partBytes is the size of all parts but the last, for files of up to 10,000 such parts.
const partBytes = 64 << 20

// upload uploads the file, unless this user already has it. No call is needed after the PUT.
func upload(ctx context.Context, files filesv1.FileServiceClient, path, filename, mimeType string) (*filesv1.CreatePresignedUploadResponse, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	hash := md5.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return nil, err
	}
	answer, err := files.CreatePresignedUpload(ctx, &filesv1.CreatePresignedUploadRequest{
		Filename: filename, MimeType: mimeType, Md5: hex.EncodeToString(hash.Sum(nil)), Size: &size,
	})
	if err != nil || answer.Type == filesv1.UploadType_UPLOAD_TYPE_EXISTING {
		return answer, err
	}
	return answer, put(ctx, answer.PresignedUrl, answer.RequiredHeaders, io.NewSectionReader(file, 0, size))
}

// uploadParts uploads the file in parts, or only the parts that an interrupted upload left.
func uploadParts(ctx context.Context, files filesv1.FileServiceClient, path, filename, mimeType string) (*filesv1.CreateMultipartUploadResponse, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	request := &filesv1.CreateMultipartUploadRequest{Filename: filename, MimeType: mimeType, Size: info.Size()}
	for from := int64(0); from < info.Size(); from += partBytes {
		hash := md5.New()
		if _, err := io.Copy(hash, io.NewSectionReader(file, from, partBytes)); err != nil {
			return nil, err
		}
		request.PartMd5S = append(request.PartMd5S, hash.Sum(nil))
	}
	answer, err := files.CreateMultipartUpload(ctx, request)
	if err != nil || answer.Type == filesv1.UploadType_UPLOAD_TYPE_EXISTING {
		return answer, err
	}
	urls, err := files.CreatePresignedParts(ctx, &filesv1.CreatePresignedPartsRequest{
		S3Key: answer.S3Key, PartNumbers: answer.MissingPartNumbers,
	})
	if err != nil {
		return nil, err
	}
	for _, part := range urls.Parts {
		from := int64(part.PartNumber-1) * answer.PartSize
		body := io.NewSectionReader(file, from, min(answer.PartSize, info.Size()-from))
		if err := put(ctx, part.PresignedUrl, part.RequiredHeaders, body); err != nil {
			return nil, err
		}
	}
	_, err = files.CompleteMultipartUpload(ctx, &filesv1.CompleteMultipartUploadRequest{S3Key: answer.S3Key})
	return answer, err
}

// put sends the bytes with the required headers, and no others.
func put(ctx context.Context, url string, requiredHeaders map[string]string, body *io.SectionReader) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, body)
	if err != nil {
		return err
	}
	// Go sends a file in chunks, which S3 refuses, unless it knows the length. With a body, a length of 0 means
	// an unknown length.
	request.ContentLength = body.Size()
	if body.Size() == 0 {
		request.Body = nil
	}
	for name, value := range requiredHeaders {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(response.Body)
		return fmt.Errorf("PUT: %d: %s", response.StatusCode, reason)
	}
	return nil
}
