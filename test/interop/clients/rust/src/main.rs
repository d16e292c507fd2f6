//! A client of the file service as a Rust engineer would write it. The tests of the service run it.
//!
//! ```text
//! files-client journey ADDRESS USER SMALL LARGE EMPTY   uploads the files, lists, downloads and deletes them
//! files-client list ADDRESS USER                        makes one call that fails, prints its failure
//! ```
//!
//! The outcome is one line of JSON.

mod failure;
mod journey;
mod upload;

use std::path::Path;
use std::time::Duration;

use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub mod files_v1 {
    tonic::include_proto!("files.v1");
}
use files_v1::ListFilesRequest;
use files_v1::file_service_client::FileServiceClient;

pub type Error = Box<dyn std::error::Error>;

/// Names the user of the calls in a header. In production, the gateway sets this header.
#[derive(Clone)]
pub struct AsUser(AsciiMetadataValue);

impl Interceptor for AsUser {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("x-user-id", self.0.clone());
        Ok(request)
    }
}

pub type Files = FileServiceClient<tonic::service::interceptor::InterceptedService<Channel, AsUser>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    let seen = match words[..] {
        ["journey", address, user, small, large, empty] => {
            let channel = connect(address).await?;
            let without_user = FileServiceClient::new(channel.clone());
            let files = FileServiceClient::with_interceptor(channel, AsUser(user.parse()?));
            let seen =
                journey::journey(without_user, files, Path::new(small), Path::new(large), Path::new(empty))
                    .await?;
            serde_json::to_string(&seen)?
        }
        ["list", address, user] => {
            let mut files =
                FileServiceClient::with_interceptor(connect(address).await?, AsUser(user.parse()?));
            serde_json::to_string(&failure::failure_of(files.list_files(ListFilesRequest::default()).await))?
        }
        _ => {
            return Err(
                "usage: files-client journey ADDRESS USER SMALL LARGE EMPTY, or list ADDRESS USER".into()
            );
        }
    };
    println!("{seen}");
    Ok(())
}

/// Every call has a deadline of 20 seconds, which tonic sends to the server.
async fn connect(address: &str) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint.timeout(Duration::from_secs(20)).connect().await?)
}
