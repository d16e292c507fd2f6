/** Writes S3's XML from nested values, and reads the only XML that clients send: a list of parts. */
import { S3Error } from './errors.ts';

const XMLNS = 'http://s3.amazonaws.com/doc/2006-03-01/';
const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** The content of an element: text, child elements by name (an array repeats its name), or nothing. */
type XmlContent =
  | string
  | number
  | boolean
  | undefined
  | { readonly [name: string]: XmlContent | readonly XmlContent[] };

export function xmlDocument(root: string, content: XmlContent): string {
  return `${DECLARATION}<${root} xmlns="${XMLNS}">${render(content)}</${root}>`;
}

/** S3's error documents carry no namespace. */
export function xmlErrorDocument(content: XmlContent): string {
  return `${DECLARATION}<Error>${render(content)}</Error>`;
}

function render(content: XmlContent): string {
  if (content === undefined) return '';
  if (typeof content !== 'object') return escapeText(String(content));
  return Object.entries(content)
    .flatMap(([name, value]) => {
      if (value === undefined) return [];
      const repeated = Array.isArray(value) ? value : [value];
      return repeated.map((each: XmlContent) => `<${name}>${render(each)}</${name}>`);
    })
    .join('');
}

// Escapes control characters too, as S3 does. Without the escape, an XML parser would turn a CR in a key into LF.
function escapeText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: keys may hold them
  return text.replace(/[&<>"\u0000-\u001f\u007f]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const ROOT =
  /^\s*(?:<\?xml[^>]*\?>\s*)?<CompleteMultipartUpload(?:\s[^<>]*)?>(.*)<\/CompleteMultipartUpload>\s*$/s;
const PART = /\s*<Part>((?:\s*<(\w+)>[^<]*<\/\2>)*)\s*<\/Part>\s*/y;
const FIELD = /<(\w+)>([^<]*)</g;

/**
 * Reads the body of CompleteMultipartUpload, the only XML that the store accepts: a list of parts, whose
 * fields are text. Any other document is refused, so no field has child elements, and no document can declare
 * entities that would have to be expanded.
 */
export function readParts(xml: string): Readonly<Record<string, string>>[] {
  const list = ROOT.exec(xml)?.[1] ?? '';
  const parts: Record<string, string>[] = [];
  PART.lastIndex = 0;
  while (PART.lastIndex < list.length) {
    const fields = PART.exec(list)?.[1];
    if (fields === undefined) throw malformed();
    parts.push(Object.fromEntries([...fields.matchAll(FIELD)].map(([, name, text]) => [name, text])));
  }
  if (parts.length === 0) throw malformed();
  return parts;
}

export function malformed(): S3Error {
  return new S3Error(
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  );
}
