// Command files-client is a client of the file service as a Go engineer would write it. The tests of the service run
// it, and it prints one line of JSON:
//
//	files-client journey ADDRESS USER   uploads, lists, downloads and deletes a file, prints the results
//	files-client list ADDRESS USER      makes one call that fails, prints its failure
//	files-client load ADDRESSES USER    makes calls until its standard input ends, prints their outcomes
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	filesv1 "example.com/files-client/gen/files/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: files-client journey|list|load ADDRESS[,ADDRESS...] USER")
	}
	verb, address, user := os.Args[1], os.Args[2], os.Args[3]

	connection, err := dial(strings.Split(address, ","))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	files := filesv1.NewFileServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	var seen any
	switch verb {
	case "journey":
		seen, err = journey(ctx, files, user)
	case "load":
		seen = load(files, user)
	case "list":
		seen, err = listFailure(asUser(ctx, user), files)
	default:
		err = fmt.Errorf("no verb %q", verb)
	}
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		log.Fatal(err)
	}
}

// reconnect is as short as the restart of an instance. The default of a second and more is for distant servers.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// dial balances over all addresses. Calls wait for a connection and have no retry policy: grpc-go itself repeats a call
// once if no server has begun it.
func dial(addresses []string) (*grpc.ClientConn, error) {
	all := manual.NewBuilderWithScheme("instances")
	state := resolver.State{}
	for _, address := range addresses {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
	}
	all.InitialState(state)
	return grpc.NewClient("instances:///files",
		grpc.WithResolvers(all),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithConnectParams(reconnect),
	)
}

// asUser does what the gateway does in production.
func asUser(ctx context.Context, user string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-user-id", user)
}

type journeySeen struct {
	S3Key           string   `json:"s3Key"`
	Type            string   `json:"type"`
	PendingState    string   `json:"pendingState"`
	OtherBytes      string   `json:"otherBytes"`
	ListedFilenames []string `json:"listedFilenames"`
	ListedSize      int64    `json:"listedSize"`
	AgainType       string   `json:"againType"`
	AgainS3Key      string   `json:"againS3Key"`
	State           string   `json:"state"`
	Downloaded      string   `json:"downloaded"`
	Disposition     string   `json:"disposition"`
	LeftAfterDelete int      `json:"leftAfterDelete"`
	InvalidMd5      failure  `json:"invalidMd5"`
	NotFound        failure  `json:"notFound"`
	NoUser          failure  `json:"noUser"`
}

func journey(withoutUser context.Context, files filesv1.FileServiceClient, user string) (*journeySeen, error) {
	ctx := asUser(withoutUser, user)
	seen := &journeySeen{}
	content := []byte("what a Go client keeps\n")

	pending, err := files.CreatePresignedUpload(ctx, &filesv1.CreatePresignedUploadRequest{
		Filename: "grüße.txt", MimeType: "text/plain", Md5: "2942bfabb3d05332b66eb128e0842cff",
	})
	if err != nil {
		return nil, err
	}
	got, err := files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: pending.S3Key})
	if err != nil {
		return nil, err
	}
	seen.PendingState = got.File.State.String()
	refusal := put(ctx, pending, content)
	if refusal == nil {
		return nil, errors.New("other bytes than were announced were taken")
	}
	seen.OtherBytes = refusal.Error()
	if _, err := files.DeleteFile(ctx, &filesv1.DeleteFileRequest{S3Key: pending.S3Key}); err != nil {
		return nil, err
	}

	uploaded, err := upload(ctx, files, "report.txt", "text/plain", content)
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

	again, err := upload(ctx, files, "report.txt", "text/plain", content)
	if err != nil {
		return nil, err
	}
	seen.AgainS3Key, seen.AgainType = again.S3Key, again.Type.String()

	got, err = files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: uploaded.S3Key})
	if err != nil {
		return nil, err
	}
	seen.State = got.File.State.String()

	download, err := files.CreatePresignedDownload(ctx, &filesv1.CreatePresignedDownloadRequest{S3Key: uploaded.S3Key})
	if err != nil {
		return nil, err
	}
	if seen.Downloaded, seen.Disposition, err = get(download.PresignedUrl); err != nil {
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

	_, err = files.CreatePresignedUpload(ctx, &filesv1.CreatePresignedUploadRequest{
		Filename: "report.txt", MimeType: "text/plain", Md5: "no md5",
	})
	seen.InvalidMd5 = failureOf(err)
	_, err = files.GetFile(ctx, &filesv1.GetFileRequest{S3Key: uploaded.S3Key})
	seen.NotFound = failureOf(err)
	_, err = files.ListFiles(withoutUser, &filesv1.ListFilesRequest{})
	seen.NoUser = failureOf(err)
	return seen, nil
}

func get(url string) (content, disposition string, err error) {
	response, err := http.Get(url)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, response.Body); err != nil {
		return "", "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("GET: %s: %s", response.Status, &body)
	}
	return body.String(), response.Header.Get("Content-Disposition"), nil
}

func listFailure(ctx context.Context, files filesv1.FileServiceClient) (*failure, error) {
	_, err := files.ListFiles(ctx, &filesv1.ListFilesRequest{})
	if err == nil {
		return nil, errors.New("the call succeeded")
	}
	f := failureOf(err)
	return &f, nil
}
