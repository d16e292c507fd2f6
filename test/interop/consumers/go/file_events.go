package main

import (
	"context"
	"crypto/subtle"
	"os"
	"strings"

	filesv1 "example.com/files-client/gen/files/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var eventsToken = os.Getenv("EVENTS_TOKEN")

type fileEvents struct {
	filesv1.UnimplementedFileEventsServiceServer
}

func (fileEvents) DeliverFileEvent(
	ctx context.Context, event *filesv1.DeliverFileEventRequest,
) (*filesv1.DeliverFileEventResponse, error) {
	got := strings.Join(metadata.ValueFromIncomingContext(ctx, "authorization"), "")
	if eventsToken == "" || subtle.ConstantTimeCompare([]byte(got), []byte("Bearer "+eventsToken)) != 1 {
		return nil, status.Error(codes.Unauthenticated, "wrong token")
	}
	return &filesv1.DeliverFileEventResponse{}, handle(ctx, event) // After an error, the event comes again.
}
