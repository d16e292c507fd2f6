package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	filesv1 "example.com/files-client/gen/files/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// seen has the ids of the events that were delivered before.
var seen sync.Map

// handle prints each delivery. It refuses the first delivery of an event of a file that is named for that.
func handle(_ context.Context, event *filesv1.DeliverFileEventRequest) error {
	printed, err := protojson.Marshal(event)
	if err != nil {
		return err
	}
	fmt.Println(string(printed))
	_, again := seen.LoadOrStore(event.GetEventId(), true)
	if !again && strings.Contains(event.GetFile().GetS3Key(), "refuse-once") {
		return errors.New("refused once")
	}
	return nil
}
