/** Writes S3's XML from nested values, and parses the small subset of XML that S3's request bodies use. */
import { S3Error } from './errors.ts';

const xmlns = 'http://s3.amazonaws.com/doc/2006-03-01/';
const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** The content of an element: text, child elements by name (an array repeats its name), or nothing. */
export type XmlContent =
  | string
  | number
  | boolean
  | undefined
  | { readonly [name: string]: XmlContent | readonly XmlContent[] };

export function xmlDocument(root: string, content: XmlContent): string {
  return `${declaration}<${root} xmlns="${xmlns}">${render(content)}</${root}>`;
}

/** S3's error documents carry no namespace. */
export function xmlErrorDocument(content: XmlContent): string {
  return `${declaration}<Error>${render(content)}</Error>`;
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

// Escapes control characters too, as S3 does: an XML parser would turn a bare CR in a key into LF.
function escapeText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: keys may hold them
  return text.replace(/[&<>"\u0000-\u001f\u007f]/g, (character) => `&#${character.charCodeAt(0)};`);
}

export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

/** S3's request bodies nest three levels deep. A much deeper document is an attack on the parser. */
const DEPTH_MAX = 8;

const token =
  /<\?xml[^>]*\?>|<(\/?)([A-Za-z][\w.-]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;

/**
 * Elements, attributes (ignored), text and entities. No DOCTYPE, comments or CDATA: S3's bodies have none.
 */
export function parseXml(source: string, rootName: string): XmlElement {
  const root = { name: '', text: '', children: [] as XmlElement[] };
  const open = [root];
  token.lastIndex = 0;
  while (token.lastIndex < source.length) {
    const start = token.lastIndex;
    const match = token.exec(source);
    const parent = open.at(-1);
    if (match === null || parent === undefined) throw malformed();
    const [, closing, name, , selfClosing, text] = match;
    if (text !== undefined) {
      parent.text += unescapeText(text);
    } else if (name === undefined) {
      if (start !== 0) throw malformed();
    } else if (closing === '/') {
      if (open.length === 1 || parent.name !== name) throw malformed();
      open.pop();
    } else {
      const element = { name, text: '', children: [] as XmlElement[] };
      parent.children.push(element);
      if (selfClosing !== '/') open.push(element);
      if (open.length > DEPTH_MAX) throw malformed();
    }
  }
  const [top, second] = root.children;
  const closed = open.length === 1 && root.text.trim() === '';
  if (!closed || top === undefined || second !== undefined || top.name !== rootName) throw malformed();
  return top;
}

/** The text of the only child with that name, `undefined` without one. @throws when there are several */
export function childText(element: XmlElement, name: string): string | undefined {
  const found = element.children.filter((child) => child.name === name);
  if (found.length > 1) throw malformed();
  return found[0]?.text;
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeText(text: string): string {
  return text.replace(/&([^;&\s]*);?/g, (whole, name: string) => {
    if (!whole.endsWith(';')) throw malformed();
    const digits = /^#(?:x([0-9a-f]{1,6})|([0-9]{1,7}))$/i.exec(name);
    if (digits === null) {
      const character = Object.hasOwn(entities, name) ? entities[name] : undefined;
      if (character === undefined) throw malformed();
      return character;
    }
    const [, hexadecimal, decimal = ''] = digits;
    const codePoint =
      hexadecimal === undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hexadecimal, 16);
    if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) throw malformed();
    return String.fromCodePoint(codePoint);
  });
}

export function malformed(): S3Error {
  return new S3Error(
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  );
}
