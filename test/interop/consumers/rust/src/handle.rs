use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

use prost::Message;
use tonic::Status;

use crate::files::DeliverFileEventRequest;

/// The ids of the events that were delivered before.
static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Prints the bytes of each delivery, since JSON would need one more library. Refuses the first delivery of an event of
/// a file that is named for that.
pub fn handle(event: DeliverFileEventRequest) -> Result<(), Status> {
    let hex: String = event.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{hex}");
    let is_new = SEEN.lock().unwrap().insert(event.event_id);
    if is_new && event.file.is_some_and(|file| file.s3_key.contains("refuse-once")) {
        return Err(Status::internal("refused once"));
    }
    Ok(())
}
