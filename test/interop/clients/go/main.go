// Command files-client is a client of the file service as a Go engineer would write it. The tests of the service run
// it, and it prints one line of JSON:
//
//	files-client journey ADDRESS USER SMALL LARGE EMPTY   uploads the files, lists, downloads and deletes them
//	files-client list ADDRESS USER                        makes one call that fails, prints its failure
//	files-client load ADDRESSES USER                      makes calls until its standard input ends, prints their outcomes
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
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
	if len(os.Args) < 4 {
		log.Fatal("usage: files-client journey|list|load ADDRESS[,ADDRESS...] USER [SMALL LARGE EMPTY]")
	}
	verb, address, user, paths := os.Args[1], os.Args[2], os.Args[3], os.Args[4:]

	connection, err := dial(strings.Split(address, ","))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	files := filesv1.NewFileServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	var seen any
	switch {
	case verb == "journey" && len(paths) == 3:
		seen, err = journey(ctx, files, user, paths[0], paths[1], paths[2])
	case verb == "load":
		seen = load(files, user)
	case verb == "list":
		seen, err = listFailure(asUser(ctx, user), files)
	default:
		err = fmt.Errorf("no verb %q with %d paths", verb, len(paths))
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

// asUser names the user of the calls in a header. In production, the gateway sets this header.
func asUser(ctx context.Context, user string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-user-id", user)
}

func listFailure(ctx context.Context, files filesv1.FileServiceClient) (*failure, error) {
	_, err := files.ListFiles(ctx, &filesv1.ListFilesRequest{})
	if err == nil {
		return nil, errors.New("the call succeeded")
	}
	f := failureOf(err)
	return &f, nil
}
