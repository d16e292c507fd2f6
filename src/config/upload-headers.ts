/**
 * Reads S3_UPLOAD_HEADERS: headers that every upload must send, because a policy of the bucket demands them. Only the
 * headers of `RULES` are accepted. Other headers would break a promise of the service (under an object lock, a delete
 * cannot remove the bytes), or concern more than uploads (with a customer's key, downloads need the key, too).
 */

/** One header that the setting may have. */
interface HeaderRule {
  /** The form of the value, as the end of a sentence that begins with "must be". */
  form: string;
  holds(value: string): boolean;
}

const KMS = ['aws:kms', 'aws:kms:dsse'];

/** The accepted headers, in the order of README.md. The forms are those of the Amazon S3 API Reference, "PutObject". */
const RULES: Readonly<Record<string, HeaderRule>> = {
  'x-amz-server-side-encryption': {
    form: `AES256, ${KMS.join(' or ')}`,
    holds: (value) => ['AES256', ...KMS].includes(value),
  },
  'x-amz-server-side-encryption-aws-kms-key-id': {
    form: 'the id, alias or ARN of a key',
    holds: (value) => /^[\w:/+=.@-]{1,2048}$/.test(value),
  },
  'x-amz-server-side-encryption-bucket-key-enabled': {
    form: 'true or false',
    holds: (value) => ['true', 'false'].includes(value),
  },
  'x-amz-server-side-encryption-context': {
    form: 'the base64 of a JSON object whose values are strings',
    holds: isEncryptionContext,
  },
  'x-amz-storage-class': {
    form: 'a storage class whose objects can be read at once',
    holds: (value) => /^[A-Za-z0-9_-]{1,64}$/.test(value) && !['GLACIER', 'DEEP_ARCHIVE'].includes(value),
  },
  'x-amz-tagging': { form: '1 to 10 tags in the form NAME=VALUE&NAME=VALUE', holds: isTagging },
  'x-amz-acl': {
    form: 'private, bucket-owner-read or bucket-owner-full-control, because files are private',
    holds: (value) => ['private', 'bucket-owner-read', 'bucket-owner-full-control'].includes(value),
  },
  'x-amz-expected-bucket-owner': {
    // Amazon's account ids have 12 digits. Other S3 servers have other forms of account ids.
    form: 'the id of an account',
    holds: (value) => /^[\w.:@+-]{1,128}$/.test(value),
  },
};

/** The headers that S3_UPLOAD_HEADERS may have. */
export const UPLOAD_HEADER_NAMES: readonly string[] = Object.keys(RULES);

/** @param text a text in which `uploadHeadersProblem` finds no problem @returns the values by lower-case names */
export function parseUploadHeaders(text: string): Record<string, string> {
  return Object.fromEntries(pairs(text));
}

/**
 * Returns why the text is refused, as the end of a sentence that begins with the name of the setting. Returns
 * `undefined` if the text is accepted.
 */
export function uploadHeadersProblem(text: string): string | undefined {
  const headers = new Map<string, string>();
  for (const [name, value] of pairs(text)) {
    const rule = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
    if (rule === undefined) {
      return `must have the form NAME=VALUE,NAME=VALUE with the names ${UPLOAD_HEADER_NAMES.join(', ')}, and has ${JSON.stringify(name)}`;
    }
    if (headers.has(name)) return `has ${name} twice`;
    if (!rule.holds(value)) return `has ${name}=${value}: the value must be ${rule.form}`;
    headers.set(name, value);
  }
  return encryptionProblem(headers);
}

/** S3 refuses a request whose encryption headers contradict each other, so the start fails and not each upload. */
function encryptionProblem(headers: ReadonlyMap<string, string>): string | undefined {
  const encryption = headers.get('x-amz-server-side-encryption') ?? '';
  const forKms = UPLOAD_HEADER_NAMES.filter((name) => /-(key-id|context)$/.test(name) && headers.has(name));
  if (forKms.length > 0 && !KMS.includes(encryption)) {
    return `has ${forKms.join(' and ')}, which S3 takes only with x-amz-server-side-encryption=${KMS.join(' or ')}`;
  }
  const bucketKey = 'x-amz-server-side-encryption-bucket-key-enabled';
  if (headers.get(bucketKey) === 'true' && encryption !== '' && encryption !== 'aws:kms') {
    return `has ${bucketKey}=true, which S3 takes only with x-amz-server-side-encryption=aws:kms`;
  }
  return undefined;
}

/** Values contain no comma. A value may contain `=`, so the first `=` ends the name. */
function pairs(text: string): [name: string, value: string][] {
  return text.split(',').map((pair) => {
    const [name = '', ...value] = pair.split('=');
    return [name.trim().toLowerCase(), value.join('=').trim()];
  });
}

function isEncryptionContext(value: string): boolean {
  try {
    const context: unknown = JSON.parse(Buffer.from(value, 'base64').toString());
    return (
      typeof context === 'object' &&
      context !== null &&
      !Array.isArray(context) &&
      Object.values(context).every((each) => typeof each === 'string') &&
      Buffer.from(value, 'base64').toString('base64') === value
    );
  } catch {
    return false;
  }
}

/** The limits are those of Amazon's User Guide, "Categorizing your storage using tags". */
function isTagging(value: string): boolean {
  if (!/^[\w.:/@+=&%*~-]+$/.test(value) || /%(?![0-9A-Fa-f]{2})/.test(value)) return false;
  const tags = [...new URLSearchParams(value)];
  return (
    tags.length >= 1 &&
    tags.length <= 10 &&
    new Set(tags.map(([name]) => name)).size === tags.length &&
    tags.every(([name, tag]) => name !== '' && name.length <= 128 && tag.length <= 256)
  );
}
