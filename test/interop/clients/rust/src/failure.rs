use std::collections::HashMap;

use serde::Serialize;
use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt, pb};

/// Everything that a program can know of a failed call: its status and its typed details.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    pub code: String,
    reason: String,
    domain: String,
    metadata: HashMap<String, String>,
    fields: Vec<String>,
    retry_delay_seconds: f64,
}

pub fn failure_of<T>(result: Result<Response<T>, Status>) -> Failure {
    let status = result.err().expect("the call succeeded");
    failure_from(status.code(), status.get_error_details())
}

/// The failure of one request of a batch.
pub fn failure_in(status: &pb::Status) -> Failure {
    failure_from(Code::from(status.code), status.get_error_details())
}

fn failure_from(code: Code, details: ErrorDetails) -> Failure {
    let info = details.error_info();
    Failure {
        code: format!("{:?}", code),
        reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
        domain: info.map(|info| info.domain.clone()).unwrap_or_default(),
        metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
        fields: details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|violation| violation.field.clone()).collect())
            .unwrap_or_default(),
        retry_delay_seconds: details
            .retry_info()
            .and_then(|retry| retry.retry_delay)
            .map(|delay| delay.as_secs_f64())
            .unwrap_or_default(),
    }
}
