package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	filesv1 "example.com/files-client/gen/files/v1"
)

const (
	// workers is the number of users that call at the same time.
	workers = 32
	// pause is the time between two calls of a user: the service must be busy, but not overloaded.
	pause = 10 * time.Millisecond
	// callTimeout is longer than any step of a deploy, so a call that fails was refused and did not time out.
	callTimeout = 20 * time.Second
)

// loadSeen is the outcome of all calls.
type loadSeen struct {
	Calls     int      `json:"calls"`
	SlowestMs float64  `json:"slowestMs"`
	Failures  []string `json:"failures"`
	mutex     sync.Mutex
}

// load creates, uses and deletes files as several users, until its standard input ends.
func load(files filesv1.FileServiceClient, user string) *loadSeen {
	seen := &loadSeen{Failures: []string{}}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	var users sync.WaitGroup
	for worker := range workers {
		users.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					seen.life(files, fmt.Sprintf("%s-%d", user, worker))
				}
			}
		})
	}
	users.Wait()
	return seen
}

// life makes all calls for one file, and returns at the first call that fails.
func (seen *loadSeen) life(files filesv1.FileServiceClient, user string) {
	content := make([]byte, 16)
	_, _ = rand.Read(content)
	sum := md5.Sum(content)
	var answer *filesv1.CreatePresignedUploadResponse
	var key string
	steps := []struct {
		name string
		run  func(ctx context.Context) error
	}{
		{"CreatePresignedUpload", func(ctx context.Context) (err error) {
			answer, err = files.CreatePresignedUpload(ctx, &filesv1.CreatePresignedUploadRequest{
				Filename: "a.txt", MimeType: "text/plain", Md5: hex.EncodeToString(sum[:]),
			})
			key = answer.GetS3Key()
			return err
		}},
		{"GetFile", func(ctx context.Context) error {
			_, err := files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: key})
			return err
		}},
		{"PUT", func(ctx context.Context) error {
			body := io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content)))
			return put(ctx, answer.PresignedUrl, answer.RequiredHeaders, body)
		}},
		{"ListFiles", func(ctx context.Context) error {
			_, err := files.ListFiles(ctx, &filesv1.ListFilesRequest{})
			return err
		}},
		{"CreatePresignedDownload", func(ctx context.Context) error {
			_, err := files.CreatePresignedDownload(ctx, &filesv1.CreatePresignedDownloadRequest{S3Key: key})
			return err
		}},
		{"DeleteFile", func(ctx context.Context) error {
			_, err := files.DeleteFile(ctx, &filesv1.DeleteFileRequest{S3Key: key})
			return err
		}},
	}
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(asUser(context.Background(), user), callTimeout)
		start := time.Now()
		err := step.run(ctx)
		cancel()
		// A PUT is not a call of the service, but a failed PUT must be reported too.
		if step.name != "PUT" || err != nil {
			seen.note(step.name, time.Since(start), err)
		}
		if err != nil {
			return
		}
		time.Sleep(pause)
	}
}

func (seen *loadSeen) note(name string, took time.Duration, err error) {
	seen.mutex.Lock()
	defer seen.mutex.Unlock()
	seen.Calls++
	seen.SlowestMs = max(seen.SlowestMs, float64(took)/float64(time.Millisecond))
	if err != nil {
		seen.Failures = append(seen.Failures, fmt.Sprintf("%s: %v", name, err))
	}
}
