// Command files-client receives the events of the file service as a Go engineer would. The tests of the service run it.
package main

import (
	"log"
	"net"
	"os"

	filesv1 "example.com/files-client/gen/files/v1"
	"google.golang.org/grpc"
)

func main() {
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	filesv1.RegisterFileEventsServiceServer(server, fileEvents{})
	log.Fatal(server.Serve(listener))
}
