use std::path::Path;
use std::time::Duration;

use md5::{Digest, Md5};
use serde::Serialize;
use tonic::Request;
use tonic::transport::Channel;

use crate::failure::{Failure, failure_in, failure_of};
use crate::files_v1::batch_create_presigned_uploads_response::result::Result as Outcome;
use crate::files_v1::file_service_client::FileServiceClient;
use crate::files_v1::{
    BatchCreatePresignedUploadsRequest, BatchGetFilesRequest, CreatePresignedDownloadRequest,
    CreatePresignedUploadRequest, DeleteFileRequest, File, GetFileRequest, ListFilesRequest,
};
use crate::upload::{hex, put, upload, upload_parts};
use crate::{Error, Files};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Journey {
    pending_state: String,
    other_bytes: String,
    s3_key: String,
    r#type: String,
    listed_filenames: Vec<String>,
    listed_size: i64,
    again_s3_key: String,
    again_type: String,
    state: String,
    downloaded_md5: String,
    disposition: String,
    large: Large,
    empty_state: String,
    batch: Batch,
    left_after_delete: usize,
    invalid_md5: Failure,
    not_found: Failure,
    no_user: Failure,
    too_late: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Large {
    r#type: String,
    missing_part_numbers: Vec<i32>,
    again_type: String,
    state: String,
    size: i64,
    downloaded_md5: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    r#type: String,
    failure: Failure,
    got_filenames: Vec<String>,
}

pub async fn journey(
    mut without_user: FileServiceClient<Channel>,
    mut files: Files,
    small: &Path,
    large: &Path,
    empty: &Path,
) -> Result<Journey, Error> {
    let (pending_state, other_bytes) = send_other_bytes(&mut files, small).await?;

    let uploaded = upload(&mut files, small, "report.txt", "text/plain").await?;
    let s3_key = uploaded.s3_key.clone();
    let listed = list(&mut files).await?;
    let again = upload(&mut files, small, "report.txt", "text/plain").await?;
    let state = get(&mut files, &s3_key).await?.state().as_str_name().into();
    let (downloaded_md5, disposition) = download(&mut files, &s3_key).await?;
    let large = send_parts(&mut files, large).await?;
    let empty_state = send_nothing(&mut files, empty).await?;
    let batch = create_two(&mut files).await?;
    delete(&mut files, &s3_key).await?;
    let left_after_delete = list(&mut files).await?.len();

    let no_md5 = text_file("report.txt", "no md5");
    let everything = ListFilesRequest::default();
    let mut late = Request::new(everything.clone());
    late.set_timeout(Duration::from_micros(1));
    Ok(Journey {
        pending_state,
        other_bytes,
        r#type: uploaded.r#type().as_str_name().into(),
        listed_filenames: listed.iter().map(|file| file.filename.clone()).collect(),
        listed_size: listed.iter().map(|file| file.size).sum(),
        again_type: again.r#type().as_str_name().into(),
        again_s3_key: again.s3_key,
        state,
        downloaded_md5,
        disposition,
        large,
        empty_state,
        batch,
        left_after_delete,
        invalid_md5: failure_of(files.create_presigned_upload(no_md5).await),
        not_found: failure_of(files.get_file(GetFileRequest { s3_key: s3_key.clone() }).await),
        no_user: failure_of(without_user.list_files(everything).await),
        too_late: failure_of(files.list_files(late).await).code,
        s3_key,
    })
}

/// Announces one content and sends another, which S3 refuses.
async fn send_other_bytes(files: &mut Files, small: &Path) -> Result<(String, String), Error> {
    let request = text_file("grüße.txt", "2942bfabb3d05332b66eb128e0842cff");
    let pending = files.create_presigned_upload(request).await?.into_inner();
    let state = get(files, &pending.s3_key).await?.state().as_str_name().into();
    let size = small.metadata()?.len();
    let refusal = put(&pending.presigned_url, &pending.required_headers, small, 0, size)
        .await
        .expect_err("S3 accepted other bytes than were announced");
    delete(files, &pending.s3_key).await?;
    Ok((state, refusal.to_string()))
}

async fn send_parts(files: &mut Files, large: &Path) -> Result<Large, Error> {
    let uploaded = upload_parts(files, large, "film.mp4", "video/mp4").await?;
    let again = upload_parts(files, large, "film.mp4", "video/mp4").await?;
    let file = get(files, &uploaded.s3_key).await?;
    let (downloaded_md5, _) = download(files, &uploaded.s3_key).await?;
    delete(files, &uploaded.s3_key).await?;
    Ok(Large {
        r#type: uploaded.r#type().as_str_name().into(),
        missing_part_numbers: uploaded.missing_part_numbers,
        again_type: again.r#type().as_str_name().into(),
        state: file.state().as_str_name().into(),
        size: file.size,
        downloaded_md5,
    })
}

async fn send_nothing(files: &mut Files, empty: &Path) -> Result<String, Error> {
    let s3_key = upload(files, empty, "empty.txt", "text/plain").await?.s3_key;
    let state = get(files, &s3_key).await?.state();
    delete(files, &s3_key).await?;
    Ok(state.as_str_name().into())
}

/// Makes one call for two files, of which one is refused.
async fn create_two(files: &mut Files) -> Result<Batch, Error> {
    let requests =
        vec![text_file("first.txt", "2942bfabb3d05332b66eb128e0842cff"), text_file("second.txt", "no md5")];
    let answer = files
        .batch_create_presigned_uploads(BatchCreatePresignedUploadsRequest { requests })
        .await?
        .into_inner();
    let outcomes: Vec<_> = answer.results.into_iter().filter_map(|outcome| outcome.result).collect();
    let [Outcome::Response(first), Outcome::Status(second)] = &outcomes[..] else {
        return Err("not one upload and one refusal".into());
    };
    let s3_keys = vec![first.s3_key.clone(), "no such key".into()];
    let got = files.batch_get_files(BatchGetFilesRequest { s3_keys }).await?.into_inner();
    delete(files, &first.s3_key).await?;
    Ok(Batch {
        r#type: first.r#type().as_str_name().into(),
        failure: failure_in(second),
        got_filenames: got.files.into_iter().map(|file| file.filename).collect(),
    })
}

fn text_file(filename: &str, md5: &str) -> CreatePresignedUploadRequest {
    CreatePresignedUploadRequest {
        filename: filename.into(),
        mime_type: "text/plain".into(),
        md5: md5.into(),
        size: None,
    }
}

async fn get(files: &mut Files, s3_key: &str) -> Result<File, Error> {
    let answer = files.get_file(GetFileRequest { s3_key: s3_key.into() }).await?;
    answer.into_inner().file.ok_or_else(|| "no file in the answer".into())
}

async fn list(files: &mut Files) -> Result<Vec<File>, Error> {
    Ok(files.list_files(ListFilesRequest::default()).await?.into_inner().files)
}

async fn delete(files: &mut Files, s3_key: &str) -> Result<(), Error> {
    files.delete_file(DeleteFileRequest { s3_key: s3_key.into() }).await?;
    Ok(())
}

/// Returns the MD5 of the downloaded bytes, and the Content-Disposition that came with them.
async fn download(files: &mut Files, s3_key: &str) -> Result<(String, String), Error> {
    let request = CreatePresignedDownloadRequest { s3_key: s3_key.into() };
    let url = files.create_presigned_download(request).await?.into_inner().presigned_url;
    let mut response = reqwest::get(url).await?.error_for_status()?;
    let disposition = response.headers()["content-disposition"].to_str()?.to_owned();
    let mut hash = Md5::new();
    while let Some(chunk) = response.chunk().await? {
        hash.update(&chunk);
    }
    Ok((hex(&hash.finalize()), disposition))
}
