/**
 * Calls the service with Connect's JSON, through the gateway that served the page. The gateway adds the user.
 */

export interface UserFile {
  s3Key: string;
  filename: string;
  /** Text, because 64 bits do not fit into a JSON number. Omitted when it is 0. */
  size?: string;
}

/** The URL of a PUT, and the headers that the PUT must send. */
export interface Presigned {
  presignedUrl: string;
  requiredHeaders: Record<string, string>;
}

interface Methods {
  CreatePresignedUpload: [
    { filename: string; mimeType: string; md5: string; size: string },
    ({ type: 'UPLOAD_TYPE_NEW' } & Presigned) | { type: 'UPLOAD_TYPE_EXISTING' },
  ];
  CreateMultipartUpload: [
    { filename: string; mimeType: string; size: string; partMd5s: string[] },
    {
      type: 'UPLOAD_TYPE_NEW' | 'UPLOAD_TYPE_EXISTING';
      s3Key: string;
      /** Omitted when no part is missing. */
      missingPartNumbers?: number[];
    },
  ];
  CreatePresignedParts: [{ s3Key: string; partNumbers: [number] }, { parts: [Presigned] }];
  CompleteMultipartUpload: [{ s3Key: string }, { file: UserFile }];
  ListFiles: [Record<string, never>, { files?: UserFile[] }];
  CreatePresignedDownload: [{ s3Key: string }, { presignedUrl: string }];
  DeleteFile: [{ s3Key: string }, Record<string, never>];
}

/** @throws Error with the message of the service */
export async function call<Name extends keyof Methods>(
  name: Name,
  request: Methods[Name][0],
): Promise<Methods[Name][1]> {
  const response = await fetch(`/files.v1.FileService/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.message} (${answer.code})`);
  return answer;
}
