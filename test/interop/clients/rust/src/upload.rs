use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use md5::{Digest, Md5};
use reqwest::{Body, header::CONTENT_LENGTH};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::files_v1::{
    CompleteMultipartUploadRequest, CreateMultipartUploadRequest, CreateMultipartUploadResponse,
    CreatePresignedPartsRequest, CreatePresignedUploadRequest, CreatePresignedUploadResponse, UploadType,
};
use crate::{Error, Files};

/// The size of all parts but the last, for files of up to 10,000 such parts.
const PART_BYTES: u64 = 64 << 20;

/// Uploads the file, unless this user already has it. No call is needed after the PUT.
pub async fn upload(
    files: &mut Files,
    path: &Path,
    filename: &str,
    mime_type: &str,
) -> Result<CreatePresignedUploadResponse, Error> {
    let size = path.metadata()?.len();
    let request = CreatePresignedUploadRequest {
        filename: filename.into(),
        mime_type: mime_type.into(),
        md5: hex(&md5_of(path, 0, size)?),
        size: Some(size.try_into()?),
    };
    let answer = files.create_presigned_upload(request).await?.into_inner();
    if answer.r#type() == UploadType::New {
        put(&answer.presigned_url, &answer.required_headers, path, 0, size).await?;
    }
    Ok(answer)
}

/// Uploads the file in parts, or only the parts that an interrupted upload left.
pub async fn upload_parts(
    files: &mut Files,
    path: &Path,
    filename: &str,
    mime_type: &str,
) -> Result<CreateMultipartUploadResponse, Error> {
    let size = path.metadata()?.len();
    let mut part_md5s = Vec::new();
    for from in (0..size).step_by(PART_BYTES as usize) {
        part_md5s.push(md5_of(path, from, PART_BYTES)?);
    }
    let request = CreateMultipartUploadRequest {
        filename: filename.into(),
        mime_type: mime_type.into(),
        size: size.try_into()?,
        part_md5s,
    };
    let answer = files.create_multipart_upload(request).await?.into_inner();
    if answer.r#type() != UploadType::New {
        return Ok(answer);
    }
    let wanted = CreatePresignedPartsRequest {
        s3_key: answer.s3_key.clone(),
        part_numbers: answer.missing_part_numbers.clone(),
    };
    let part_size = answer.part_size as u64;
    for part in files.create_presigned_parts(wanted).await?.into_inner().parts {
        let from = (part.part_number as u64 - 1) * part_size;
        let length = part_size.min(size - from);
        put(&part.presigned_url, &part.required_headers, path, from, length).await?;
    }
    files.complete_multipart_upload(CompleteMultipartUploadRequest { s3_key: answer.s3_key.clone() }).await?;
    Ok(answer)
}

/// Sends these bytes of the file with the required headers. Fails when S3 refuses them.
pub async fn put(
    url: &str,
    required_headers: &HashMap<String, String>,
    path: &Path,
    from: u64,
    length: u64,
) -> Result<(), Error> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let body = ReaderStream::new(tokio::fs::File::from_std(file).take(length));
    // reqwest sends a stream in chunks, which S3 refuses, unless the headers tell the length.
    let mut request = reqwest::Client::new().put(url).header(CONTENT_LENGTH, length);
    for (name, value) in
        required_headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
    {
        request = request.header(name, value);
    }
    let response = request.body(Body::wrap_stream(body)).send().await?;
    match response.status().as_u16() {
        200 => Ok(()),
        status => Err(format!("PUT: {status}: {}", response.text().await?).into()),
    }
}

fn md5_of(path: &Path, from: u64, length: u64) -> Result<Vec<u8>, Error> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = file.take(length);
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match bytes.read(&mut buffer)? {
            0 => return Ok(hash.finalize().to_vec()),
            count => hash.update(&buffer[..count]),
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
