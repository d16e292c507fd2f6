package main

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// failure is everything that a program can know of a failed call.
type failure struct {
	Code              string            `json:"code"`
	Reason            string            `json:"reason"`
	Domain            string            `json:"domain"`
	Metadata          map[string]string `json:"metadata"`
	Fields            []string          `json:"fields"`
	RetryDelaySeconds float64           `json:"retryDelaySeconds"`
}

// failureOf reads the status and its typed details from an error.
func failureOf(err error) failure {
	return failureFrom(status.Convert(err))
}

func failureFrom(s *status.Status) failure {
	f := failure{Code: s.Code().String(), Metadata: map[string]string{}, Fields: []string{}}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			f.Reason, f.Domain = d.Reason, d.Domain
			for name, value := range d.Metadata {
				f.Metadata[name] = value
			}
		case *errdetails.BadRequest:
			for _, violation := range d.FieldViolations {
				f.Fields = append(f.Fields, violation.Field)
			}
		case *errdetails.RetryInfo:
			f.RetryDelaySeconds = d.RetryDelay.AsDuration().Seconds()
		}
	}
	return f
}
