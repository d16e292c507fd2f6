//! Receives the events of the file service as a Rust engineer would. The tests of the service run it.

mod handle;

use std::env;

use files::file_events_service_server::{FileEventsService, FileEventsServiceServer};
use files::{DeliverFileEventRequest, DeliverFileEventResponse};
use tonic::{Request, Response, Status};

mod files {
    tonic::include_proto!("files.v1");
}

struct FileEvents {
    token: Option<String>,
}

#[tonic::async_trait]
impl FileEventsService for FileEvents {
    async fn deliver_file_event(
        &self,
        request: Request<DeliverFileEventRequest>,
    ) -> Result<Response<DeliverFileEventResponse>, Status> {
        let got = request.metadata().get("authorization").map_or(&b""[..], |value| value.as_bytes());
        if !self.token.as_ref().is_some_and(|token| is_equal(got, format!("Bearer {token}").as_bytes())) {
            return Err(Status::unauthenticated("wrong token"));
        }
        handle::handle(request.into_inner())?; // After an error, the event comes again.
        Ok(Response::new(DeliverFileEventResponse {}))
    }
}

/// Takes the same time wherever the first difference is.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = format!("{}:{}", env::var("HOST")?, env::var("PORT")?).parse()?;
    let events = FileEvents { token: env::var("EVENTS_TOKEN").ok() };
    tonic::transport::Server::builder()
        .add_service(FileEventsServiceServer::new(events))
        .serve(address)
        .await?;
    Ok(())
}
